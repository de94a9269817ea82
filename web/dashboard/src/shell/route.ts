// Converts paths to routes, and pumps to paths. Pure.

import { signOnWord } from '../pages/entry/signOn';

export type AdminSection = 'users' | 'tokens' | 'audit';

export type Route =
  | { page: 'fleet' }
  | { page: 'pump'; pump: string }
  /** All alarms; what is shown of them is in the address's `?…`. */
  | { page: 'alarms' }
  | { page: 'alarm'; pump: string; alarm: string }
  /** One maintenance event, by its id. */
  | { page: 'event'; id: string }
  /** What happened since the last look. */
  | { page: 'handover' }
  /** `section` is null for the first one that the user may see. */
  | { page: 'admin'; section: AdminSection | null }
  | { page: 'account' }
  /** `next` is the path of the page that is shown after the login; `signOn` why a login at the identity provider failed, if one did. */
  | { page: 'login'; next: string; signOn: string | null }
  /** `token` is the part of the set-up link after `#`; empty if it is missing. */
  | { page: 'setup'; token: string }
  | { page: 'notFound'; path: string };

/** The parts of an address beside its path: `?…` and `#…`. */
export interface AddressParts {
  search?: string;
  hash?: string;
}

/** The normal form of a pump's id, as in the node: other systems may encode the same characters differently. */
export const normalizeId = (id: string): string => id.normalize('NFC').replace(/\p{Zs}+/gu, ' ').replace(/^ | $/g, '');

export function parseRoute(path: string, { search = '', hash = '' }: AddressParts = {}): Route {
  if (path === '/') return { page: 'fleet' };
  if (path === '/login') return { page: 'login', next: nextPath(search), signOn: signOnWord(hash) };
  if (path === '/setup') return { page: 'setup', token: hash.replace(/^#/, '') };
  if (path === '/account') return { page: 'account' };
  const admin = /^\/admin(?:\/(users|tokens|audit))?$/.exec(path);
  if (admin) return { page: 'admin', section: (admin[1] as AdminSection | undefined) ?? null };
  if (path === '/alarms') return { page: 'alarms' };
  if (path === '/handover') return { page: 'handover' };
  const match = /^\/(?:pumps\/([^/]+)\/?|alarms\/([^/]+)\/([^/]+)|events\/([^/]+))$/.exec(path);
  if (!match) return { page: 'notFound', path };
  const [, pump, pumpOfAlarm, alarm, event] = match;
  try {
    if (pump !== undefined) return { page: 'pump', pump: normalizeId(decodeURIComponent(pump)) };
    if (event !== undefined) return { page: 'event', id: decodeURIComponent(event) };
    return { page: 'alarm', pump: normalizeId(decodeURIComponent(pumpOfAlarm)), alarm: decodeURIComponent(alarm) };
  } catch {
    return { page: 'notFound', path };
  }
}

/** The address of the login that leads back to the page `path`. */
export const loginPath = (path: string): string => (path === '/' ? '/login' : `/login?next=${encodeURIComponent(path)}`);

/** The path that `?next=` names, with its own `?…`, if it is one of the node's own pages behind the login; otherwise that of the fleet. */
function nextPath(search: string): string {
  const next = new URLSearchParams(search).get('next') ?? '/';
  const behindLogin = ['pump', 'alarms', 'alarm', 'event', 'handover', 'admin', 'account'];
  return behindLogin.includes(parseRoute(next.split('?')[0]).page) ? next : '/';
}

/** The time that `?at=` names, in epoch milliseconds: messages link to a pump's page at that time. Null if there is none. */
export function timeInAddress(search: string): number | null {
  const t = Date.parse(new URLSearchParams(search).get('at') ?? '');
  return isNaN(t) ? null : t;
}

export const adminPath = (section: AdminSection): string => `/admin/${section}`;

export const alarmPath = (pump: string, alarm: string): string => `/alarms/${encodeURIComponent(pump)}/${encodeURIComponent(alarm)}`;

export const eventPath = (id: string): string => `/events/${encodeURIComponent(id)}`;

export const pumpPath = (pump: string): string => `/pumps/${encodeURIComponent(pump)}`;
