// Converts paths to routes, and pumps to paths. Pure.

export type Route = { page: 'fleet' } | { page: 'pump'; pump: string } | { page: 'notFound'; path: string };

/** The normal form of a pump's id, as in the node: other systems may encode the same characters differently. */
export const normalizeId = (id: string): string => id.normalize('NFC').replace(/\p{Zs}+/gu, ' ').replace(/^ | $/g, '');

export function parseRoute(path: string): Route {
  if (path === '/') return { page: 'fleet' };
  const match = /^\/pumps\/([^/]+)\/?$/.exec(path);
  if (!match) return { page: 'notFound', path };
  try {
    return { page: 'pump', pump: normalizeId(decodeURIComponent(match[1])) };
  } catch {
    return { page: 'notFound', path };
  }
}

export const pumpPath = (pump: string): string => `/pumps/${encodeURIComponent(pump)}`;
