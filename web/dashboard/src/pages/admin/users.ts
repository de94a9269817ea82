// What the page of the users says about them, and what a change of one means. Pure.

import type { User } from '../../api/types';
import { roleName } from '../../lib/access';

export type UserState = 'active' | 'new' | 'disabled';

export const STATE_WORDS: Record<UserState, string> = {
  active: 'Active',
  new: 'No password yet',
  disabled: 'Disabled',
};

/** What each role is for; the node says what each may do. */
const PURPOSES: Record<string, string> = {
  viewer: 'Looks, and changes nothing.',
  engineer: 'Runs the pumps: alarms, maintenance, settings.',
  'plant-head': 'Is responsible for the plant: approves maintenance, sees who did what.',
  manager: 'Is responsible for costs: approves maintenance, sees who did what.',
  admin: 'Runs the node: users, tokens, restarts. May do everything that a role can.',
};

export const purposeOf = (role: string): string => PURPOSES[role] ?? '';

/** Permissions for people: 'view, view audit'. */
export const permissionsInWords = (permissions: readonly string[]): string => permissions.map((name) => name.replaceAll('-', ' ')).join(', ');

export function userState({ disabled, has_password, external }: Pick<User, 'disabled' | 'has_password' | 'external'>): UserState {
  if (disabled) return 'disabled';
  return has_password || external ? 'active' : 'new';
}

/** Whether nobody could manage the node's users without this user, except with the commands on its machine. */
export function isLastAdmin(user: User, users: readonly User[]): boolean {
  const isAdmin = (one: User) => one.role === 'admin' && userState(one) === 'active';
  return isAdmin(user) && !users.some((one) => one.name !== user.name && isAdmin(one));
}

const LAST_ADMIN = 'There is no other admin: from then on only the command volute user on the node’s machine can change users.';

export function disableConsequence(user: User, users: readonly User[]): string {
  const enabling = user.external ? 'The identity provider cannot change that.' : 'Enabling the user again needs a new link and a new password.';
  const text = `${user.name} can no longer log in, and is logged out everywhere now. ${enabling}`;
  return isLastAdmin(user, users) ? `${text} ${LAST_ADMIN}` : text;
}

export const enableConsequence = ({ name }: User): string => `${name} may log in again at the identity provider, with the role of the groups there.`;

export function resetConsequence({ name, disabled }: User): string {
  const enabled = disabled ? `${name} may log in again, after setting a new password` : `${name} is logged out everywhere now, and sets a new password`;
  return `${enabled} with a link that you see once. The old password no longer works, and a second factor is removed.`;
}

/** Null if there is nothing to say beyond the change itself. */
export function roleConsequence(user: User, role: string, users: readonly User[], ownName: string | null): string | null {
  if (role === user.role) return null;
  const texts = [
    user.name === ownName ? 'This is your own role.' : '',
    role !== 'admin' && isLastAdmin(user, users) ? LAST_ADMIN : '',
    role === 'admin' ? `${user.name} can then do everything, also add further admins.` : '',
  ];
  return texts.filter((text) => text !== '').join(' ') || `${user.name} is ${roleName(role)} from the next request on, without a new login.`;
}
