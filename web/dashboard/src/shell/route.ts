// Which page a path means, and the path of a page. Pure.

export type Route = { page: 'fleet' } | { page: 'pump'; pump: string } | { page: 'nowhere'; path: string };

/** The one spelling of a pump's id, as the node has it: a link may have been typed on another system. */
export const spelled = (id: string): string => id.normalize('NFC').replace(/\p{Zs}+/gu, ' ').replace(/^ | $/g, '');

export function parseRoute(path: string): Route {
  if (path === '/') return { page: 'fleet' };
  const found = /^\/pumps\/([^/]+)\/?$/.exec(path);
  if (!found) return { page: 'nowhere', path };
  try {
    return { page: 'pump', pump: spelled(decodeURIComponent(found[1])) };
  } catch {
    return { page: 'nowhere', path };
  }
}

export const pumpPath = (pump: string): string => `/pumps/${encodeURIComponent(pump)}`;
