import { render } from 'svelte/server';
import { beforeEach, describe, expect, it, vi } from 'vitest';

vi.hoisted(() => {
  const location = { pathname: '/admin/users', search: '', hash: '', origin: 'http://127.0.0.1:5000' };
  vi.stubGlobal('location', location);
  vi.stubGlobal('history', { scrollRestoration: 'auto', replaceState: () => {} });
  vi.stubGlobal('addEventListener', () => {});
});

import { ApiProblem } from '../../api/client';
import { Poll } from '../../api/poll.svelte';
import type { AuditEntry, Role, Session, Token, User } from '../../api/types';
import { session } from '../../lib/session.svelte';
import AdminPage from './AdminPage.svelte';
import { AuditLog } from './auditLog.svelte';
import AuditSection from './AuditSection.svelte';
import TokensSection from './TokensSection.svelte';
import UsersSection from './UsersSection.svelte';

const text = (body: string) => body.replace(/<!--.*?-->/g, '');

function as(role: string, permissions: string[], more: Partial<Session> = {}) {
  session.shownRole = null;
  session.poll.data = { secured: true, kind: 'user', name: 'ada', role, permissions, demo: false, ...more } as Session;
}

const ADMIN = ['view', 'view-audit', 'manage-users', 'manage-tokens'];
const section = (one: 'users' | 'tokens' | 'audit' | null) => text(render(AdminPage, { props: { section: one } }).body);

describe('AdminPage', () => {
  it('has all sections for an admin, and marks the current one', () => {
    as('admin', ADMIN);
    const body = section('tokens');
    for (const path of ['/admin/users', '/admin/tokens', '/admin/audit']) expect(body).toContain(`href="${path}"`);
    expect(body).toMatch(/href="\/admin\/tokens" aria-current="page"/);
    expect(body).toMatch(/<h1[^>]*>Pump tokens<\/h1>/);
  });

  it('has only the audit log for a plant head', () => {
    as('plant-head', ['view', 'view-audit']);
    const body = section('audit');
    expect(body).toContain('href="/admin/audit"');
    expect(body).not.toContain('href="/admin/users"');
    expect(section('users')).toContain('Your role, plant head, may not manage users.');
  });

  it.each(['users', 'tokens', 'audit', null] as const)('tells a viewer who opens %s that the role may not', (one) => {
    as('viewer', ['view']);
    const body = section(one);
    expect(body).toContain('Your role may not see this page');
    expect(body).toContain('Your role, viewer, may not');
    expect(body).not.toContain('<nav');
  });

  it('is shown as a role in an open demo, and only there', () => {
    const viewer: Role = { role: 'viewer', permissions: ['view'] };
    as('', ADMIN, { secured: false, demo: true, kind: 'anonymous', role: null });
    expect(section('users')).toContain('<nav');
    session.shownRole = viewer;
    expect(section('users')).toContain('Your role, viewer, may not manage users.');
    as('admin', ADMIN, { demo: true });
    session.shownRole = viewer;
    expect(section('users')).toContain('<nav');
  });
});

/** A poll with a result, or without one because of a problem. */
function poll<T>(data: T | null, problem: ApiProblem | null = null): Poll<T> {
  const one = new Poll<T>(() => new Promise(() => {}));
  [one.data, one.problem] = [data, problem];
  return one;
}

const user = (name: string, more: Partial<User> = {}): User => ({
  name, role: 'viewer', disabled: false, has_password: true, second_factor: false, external: null, added_at: '2026-03-09T10:00:00.000Z', ...more,
});

describe('UsersSection', () => {
  beforeEach(() => as('admin', ADMIN));
  const list = (users: Poll<User[]>) => text(render(UsersSection, { props: { users, roles: poll<Role[]>([]) } }).body);
  const row = (body: string, name: string) => new RegExp(`data-row="${name}".*?</li>`, 's').exec(body)?.[0] ?? '';

  it('shows each state in words, and what can be done', () => {
    const body = list(poll([user('ada', { role: 'admin', second_factor: true }), user('bob', { has_password: false }), user('eve', { disabled: true })]));
    expect(row(body, 'ada')).toMatch(/\(you\).*Admin.*Active.*On.*Your account/s);
    expect(row(body, 'ada')).not.toContain('Disable');
    expect(row(body, 'bob')).toMatch(/No password yet.*Off.*Disable.*Reset/s);
    expect(row(body, 'eve')).toMatch(/Disabled.*Enable/s);
    expect(row(body, 'eve')).not.toContain('Reset');
  });

  it.each<[string, Poll<User[]>, string]>([
    ['loading', poll<User[]>(null), 'Loading: Users'],
    ['empty', poll<User[]>([]), 'The node has no users'],
    ['error', poll<User[]>(null, new ApiProblem(503, 'Users and tokens are unavailable.')), 'Users and tokens are unavailable.'],
    ['stale', poll([user('bob')], new ApiProblem(0, 'The node does not answer.')), 'Last known'],
  ])('has a state: %s', (_, users, words) => expect(list(users)).toContain(words));
});

describe('TokensSection', () => {
  const token = (id: string, more: Partial<Token> = {}): Token => ({
    id, name: 'gateway-1', pumps: ['P-1', 'P-2'], register: true, added_by: 'user ada', added_at: '2026-03-09T10:00:00.000Z', expires_at: null, revoked_at: null, used_at: null, ...more,
  });
  const list = (tokens: Poll<Token[]>) => text(render(TokensSection, { props: { tokens } }).body);

  it('marks tokens that were never used, and folds revoked ones away', () => {
    const body = list(poll([token('0a'), token('0b', { revoked_at: '2026-03-10T10:00:00.000Z' })]));
    expect(body).toMatch(/data-row="0a".*P-1, P-2.*Yes.*Never used.*Never.*Revoke/s);
    expect(body).toContain('1 token revoked or expired');
    expect(body.slice(body.indexOf('<details'))).toMatch(/data-row="0b"/);
    expect(body.slice(body.indexOf('<details'))).not.toMatch(/<button[^>]*>Revoke/);
  });

  it('says what it means that there is none', () => expect(list(poll<Token[]>([]))).toContain('There is no valid token'));
});

describe('AuditSection', () => {
  it('shows who did what, what was changed, and why something was refused', async () => {
    const at = '2026-03-09T10:00:00.000Z';
    const none = { before: null, after: null, peer: null, origin: null, request_id: null, number: null, hash: null };
    const items: AuditEntry[] = [
      { ...none, at, who: 'user ada', action: 'set-role', object: 'bob', outcome: 'done', detail: '', before: '{"role":"viewer"}', after: '{"role":"engineer"}' },
      { ...none, at, who: 'uid 0', action: 'restart', object: 'recorder', outcome: 'the actor is starting', detail: '' },
    ];
    const log = new AuditLog(async () => ({ items, next_cursor: 'x' }));
    await log.load({});
    const body = text(render(AuditSection, { props: { log } }).body);
    expect(body).toMatch(/user ada.*Change the role of.*bob.*role:.*viewer.*to.*engineer/s);
    expect(body).toMatch(/uid 0.*Restart.*recorder.*Refused: The actor is starting\./s);
    expect(body).toContain('Older entries');
  });
});
