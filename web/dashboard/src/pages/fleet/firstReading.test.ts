import { render } from 'svelte/server';
import { describe, expect, it, vi } from 'vitest';

vi.hoisted(() => vi.stubGlobal('location', { origin: 'http://127.0.0.1:5000' }));

import type { Session } from '../../api/types';
import { session } from '../../lib/session.svelte';
import FirstReading from './FirstReading.svelte';

function help(current: Partial<Session>) {
  session.poll.data = { role: null, permissions: ['view'], demo: false, ...current } as Session;
  return render(FirstReading).body;
}

describe('the help to post a first reading', () => {
  it('sends no token to an open node', () => {
    const body = help({ secured: false });
    expect(body).toContain('curl -s http://127.0.0.1:5000/api/ingest');
    expect(body).not.toContain('authorization');
  });

  it('sends a token to a node with users, and says who adds one', () => {
    const body = help({ secured: true, role: 'viewer' });
    expect(body).toContain("-H 'authorization: Bearer TOKEN'");
    expect(body).toContain('An admin of this node adds one.');
    expect(help({ secured: true, role: 'admin', permissions: ['view', 'manage-tokens'] })).toContain('href="/admin/tokens"');
  });
});
