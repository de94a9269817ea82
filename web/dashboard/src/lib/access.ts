// What the session says about the user, in words. Pure.

import type { Session } from '../api/types';

/** The permissions that this dashboard's actions need; docs/security.md has all of them. */
export type Permission = 'configure-pumps' | 'simulate';

/** What each permission allows, as the end of 'may not …'. */
const ACTIONS: Record<Permission, string> = {
  'configure-pumps': 'configure pumps',
  simulate: 'start simulations',
};

/** Whether the node shows this browser nothing before a login. */
export const needsLogin = ({ secured, kind }: Pick<Session, 'secured' | 'kind'>): boolean => secured && kind !== 'user';

/** A role's name for people: plant-head is 'plant head'. */
export const roleName = (role: string): string => role.replaceAll('-', ' ');

/** Why the user may not do something; null if it is allowed. Before the session is known, nothing is allowed and no reason given. */
export function whyNot(permission: Permission, session: Pick<Session, 'permissions' | 'role'> | null): string | null {
  if (session === null) return '';
  if (session.permissions.includes(permission)) return null;
  const who = session.role === null ? 'You' : `Your role, ${roleName(session.role)},`;
  return `${who} may not ${ACTIONS[permission]}.`;
}
