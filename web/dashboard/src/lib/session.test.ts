import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiProblem } from '../api/client';
import { fetchSession } from '../api/queries';
import type { Session } from '../api/types';

vi.mock('../api/queries', () => ({ fetchSession: vi.fn() }));

const user = { secured: true, kind: 'user', name: 'ada', role: 'viewer', permissions: ['view'] } as Session;
const nobody = { secured: true, kind: 'anonymous', name: null, role: null, permissions: [] as string[] } as Session;

async function loadSession() {
  vi.resetModules();
  return (await import('./session.svelte')).session;
}

describe('the session', () => {
  beforeEach(() => void vi.mocked(fetchSession).mockReset());
  afterEach(() => void vi.restoreAllMocks());

  it('has ended if a user was logged in and no longer is', async () => {
    const session = await loadSession();
    for (const [answer, hasEnded] of [[nobody, false], [user, false], [nobody, true], [nobody, true], [user, false]] as const) {
      vi.mocked(fetchSession).mockResolvedValueOnce(answer);
      await session.check();
      expect(session.hasEnded).toBe(hasEnded);
    }
  });

  it('is kept while the node does not answer', async () => {
    const session = await loadSession();
    vi.mocked(fetchSession).mockResolvedValueOnce(user);
    await session.check();
    vi.mocked(fetchSession).mockRejectedValueOnce(new ApiProblem(0, 'The node does not answer.'));
    await session.check();
    expect(session.poll.data).toEqual(user);
    expect(session.hasEnded).toBe(false);
  });

  it('is asked for once after several checks at the same time, and again later', async () => {
    const session = await loadSession();
    vi.mocked(fetchSession).mockResolvedValue(user);
    await Promise.all([session.check(), session.check(), session.check()]);
    expect(fetchSession).toHaveBeenCalledTimes(1);
    await session.check();
    expect(fetchSession).toHaveBeenCalledTimes(2);
  });

  it('allows what its permissions allow', async () => {
    const session = await loadSession();
    expect(session.may('simulate')).toBe(false);
    vi.mocked(fetchSession).mockResolvedValueOnce({ ...user, permissions: ['view', 'simulate'] });
    await session.check();
    expect([session.may('simulate'), session.may('configure-pumps')]).toEqual([true, false]);
  });

  it('is shown as a role in an open demo, also after a reload, and nowhere else', async () => {
    const kept = new Map<string, string>();
    vi.stubGlobal('sessionStorage', { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value) });
    const open: Session = { ...nobody, secured: false, demo: true, permissions: ['view', 'simulate', 'manage-users'] };
    (await loadSession()).showAs({ role: 'viewer', permissions: ['view'] });
    const session = await loadSession();
    for (const [answer, may] of [[open, false], [{ ...open, demo: false }, true], [{ ...user, demo: true, permissions: ['simulate'] }, true]] as [Session, boolean][]) {
      vi.mocked(fetchSession).mockResolvedValueOnce(answer);
      await session.check();
      expect(session.may('simulate')).toBe(may);
    }
    session.showAs(null);
    expect((await loadSession()).shownRole).toBeNull();
    kept.set('volute.shown-role', '{"role":1}');
    expect((await loadSession()).shownRole).toBeNull();
    vi.unstubAllGlobals();
  });
});
