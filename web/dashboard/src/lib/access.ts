// What the session says about the user, in words. Pure.

import type { Session } from '../api/types';
import type { AdminSection } from '../shell/route';

/** The permissions that this dashboard's actions and pages need; docs/security.md has all of them. */
export type Permission = 'acknowledge' | 'shelve' | 'plan' | 'submit' | 'approve' | 'edit-rules' | 'configure-pumps' | 'simulate' | 'view-audit' | 'manage-users' | 'manage-tokens';

/** What each permission allows, as the end of 'may not …'. */
const ACTIONS: Record<Permission, string> = {
  acknowledge: 'acknowledge alarms or events',
  shelve: 'shelve alarms',
  plan: 'plan maintenance',
  submit: 'submit maintenance for approval',
  approve: 'approve or reject maintenance',
  'edit-rules': 'change the rules of alarms',
  'configure-pumps': 'configure pumps',
  simulate: 'start simulations',
  'view-audit': 'see the audit log',
  'manage-users': 'manage users',
  'manage-tokens': 'manage pump tokens',
};

/** The sections of the administration, with the permission that each needs. */
export const ADMIN_SECTIONS: readonly { section: AdminSection; title: string; needs: Permission }[] = [
  { section: 'users', title: 'Users', needs: 'manage-users' },
  { section: 'tokens', title: 'Pump tokens', needs: 'manage-tokens' },
  { section: 'audit', title: 'Audit log', needs: 'view-audit' },
];

/** Whether the node shows this browser nothing before a login. */
export const needsLogin = ({ secured, kind }: Pick<Session, 'secured' | 'kind'>): boolean => secured && kind !== 'user';

/** Whether this is a demo that requires no login, so that its pages can be looked at as each role sees them. */
export const isOpenDemo = ({ secured, demo }: Pick<Session, 'secured' | 'demo'>): boolean => demo && !secured;

/** A role's name for people: plant-head is 'plant head'. */
export const roleName = (role: string): string => role.replaceAll('-', ' ');

/** Why the user may not do something; null if it is allowed. Before the session is known, nothing is allowed and no reason given. */
export function whyNot(permission: Permission, session: Pick<Session, 'permissions' | 'role'> | null): string | null {
  if (session === null) return '';
  if (session.permissions.includes(permission)) return null;
  const who = session.role === null ? 'You' : `Your role, ${roleName(session.role)},`;
  return `${who} may not ${ACTIONS[permission]}.`;
}
