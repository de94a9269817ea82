import { render } from 'svelte/server';
import { describe, expect, it } from 'vitest';
import type { Session } from '../api/types';
import { session } from '../lib/session.svelte';
import Account from './Account.svelte';

function account(current: Partial<Session> | null): string {
  session.poll.data = current && ({ permissions: ['view'], role: null, ...current } as Session);
  return render(Account).body.replace(/<!--.*?-->/g, '');
}

describe('Account', () => {
  it('is empty before the session is known', () => expect(account(null).trim()).toBe(''));

  it('shows the user, the role, and a button to log out', () => {
    const body = account({ secured: true, kind: 'user', name: 'ada', role: 'plant-head' });
    expect(body).toContain('<b>ada</b>');
    expect(body).toContain('plant head');
    expect(body).toContain('Log out');
    expect(body).not.toContain('Not secured');
  });

  it('says that the node is not secured, and how to change that', () => {
    const body = account({ secured: false, set_up_with: 'volute user add NAME --role admin', kind: 'anonymous', name: null });
    expect(body).toContain('Not secured');
    expect(body).toContain('<code>volute user add NAME --role admin</code>');
    expect(body).not.toContain('Log out');
  });

  it('links to the own account, and to the administration if the role sees a part of it', () => {
    const menu = (permissions: string[]) => account({ secured: true, kind: 'user', name: 'ada', role: 'viewer', permissions });
    expect(menu(['view'])).toContain('href="/account"');
    expect(menu(['view'])).not.toContain('href="/admin"');
    for (const permission of ['view-audit', 'manage-users', 'manage-tokens']) expect(menu([permission])).toContain('href="/admin"');
  });
});
