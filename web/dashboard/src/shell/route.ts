// Which page a path means, and the path of a page. Pure.

export type Route = { page: 'fleet' } | { page: 'pump'; pump: string } | { page: 'nowhere'; path: string };

export function parseRoute(path: string): Route {
  if (path === '/') return { page: 'fleet' };
  const found = /^\/pumps\/([^/]+)\/?$/.exec(path);
  if (!found) return { page: 'nowhere', path };
  try {
    return { page: 'pump', pump: decodeURIComponent(found[1]) };
  } catch {
    return { page: 'nowhere', path };
  }
}

export const pumpPath = (pump: string): string => `/pumps/${encodeURIComponent(pump)}`;
