// The requests of the pages for access: users, pump tokens, the audit log, and the own account. Beside queries.ts, since the first
// page needs none of them.

import { api, unwrap } from './client';
import type { paths } from './schema';
import type { AddedToken, AuditEntry, NewToken, NewUser, Role, SecondFactor, SetUpLink, Token, User, UserChange } from './types';

export type AuditQuery = NonNullable<paths['/api/audit-log']['get']['parameters']['query']>;

/** The roles, from the one that may do least to the one that may do everything. */
export const fetchRoles = async (): Promise<Role[]> => (await unwrap(api.GET('/api/roles'))).items;

export const fetchUsers = async (): Promise<User[]> => (await unwrap(api.GET('/api/users'))).items;

/** Adds a user, who has no password yet; the response has the link that sets one, once. */
export const addUser = (user: NewUser): Promise<SetUpLink> => unwrap(api.POST('/api/users', { body: user }));

export const changeUser = (name: string, change: UserChange): Promise<User> =>
  unwrap(api.PATCH('/api/users/{name}', { params: { path: { name } }, body: change }));

/** Removes a user's password and second factor, ends the user's sessions, enables the user, and returns a new set-up link. */
export const resetUser = (name: string): Promise<SetUpLink> => unwrap(api.POST('/api/users/{name}/reset', { params: { path: { name } } }));

export const fetchTokens = async (): Promise<Token[]> => (await unwrap(api.GET('/api/tokens'))).items;

/** Adds a pump token; the response has its text, once. */
export const addToken = (token: NewToken): Promise<AddedToken> => unwrap(api.POST('/api/tokens', { body: token }));

export const revokeToken = (id: string): Promise<unknown> => unwrap(api.DELETE('/api/tokens/{id}', { params: { path: { id } } }));

/** A page of the audit log, newest first. */
export const fetchAudit = (query: AuditQuery): Promise<{ items: AuditEntry[]; next_cursor: string | null }> =>
  unwrap(api.GET('/api/audit-log', { params: { query } }));

/** Changes the own password. All other sessions of the user end. */
export const changePassword = (current: string, next: string): Promise<unknown> =>
  unwrap(api.POST('/api/password', { body: { current, new: next } }));

/** Begins a second factor: returns the secret for an authenticator app, once. */
export const beginSecondFactor = (password: string): Promise<SecondFactor> => unwrap(api.POST('/api/second-factor', { body: { password } }));

export const confirmSecondFactor = (code: string): Promise<unknown> => unwrap(api.POST('/api/second-factor/confirm', { body: { code } }));

export const removeSecondFactor = (password: string): Promise<unknown> =>
  unwrap(api.POST('/api/second-factor/remove', { body: { password } }));
