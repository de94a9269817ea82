import { render } from 'svelte/server';
import { describe, expect, it, vi } from 'vitest';
import { ApiProblem } from '../../api/client';
import type { Session } from '../../api/types';
import { session } from '../../lib/session.svelte';
import AccountPage from './AccountPage.svelte';
import { qrCode } from './qr';
import { SecondFactorSteps } from './secondFactor.svelte';
import SecondFactorPanel from './SecondFactorPanel.svelte';

const SECRET = { secret: 'JBSWY3DPEHPK3PXP', url: 'otpauth://totp/Volute:ada?secret=JBSWY3DPEHPK3PXP&issuer=Volute' };

function steps(more: object = {}) {
  const requests = { begin: vi.fn(async () => SECRET), confirm: vi.fn(async () => {}), remove: vi.fn(async () => {}), changed: vi.fn(async () => {}), ...more };
  return { steps: new SecondFactorSteps(requests), requests };
}

describe('a second factor', () => {
  it('is begun, confirmed, and then the session is asked for', async () => {
    const { steps: one, requests } = steps();
    expect(await one.begin('')).toBe(false);
    expect(one.error).toBe('Enter your password.');
    expect(await one.begin('pumps never sleep')).toBe(true);
    expect([one.secret, one.error]).toEqual([SECRET, null]);
    expect(await one.confirm('12 34')).toBe(false);
    expect(requests.confirm).not.toHaveBeenCalled();
    expect(await one.confirm('287 082')).toBe(true);
    expect(requests.confirm).toHaveBeenCalledWith('287082');
    expect(requests.changed).toHaveBeenCalledTimes(1);
    expect([one.secret, one.done]).toEqual([null, 'Your logins need a code of the app from now on.']);
  });

  it('keeps the secret after a wrong code', async () => {
    const { steps: one } = steps({ confirm: async () => Promise.reject(new ApiProblem(401, 'The code is wrong, or was used already.', 'login-failed')) });
    await one.begin('pumps never sleep');
    expect(await one.confirm('000000')).toBe(false);
    expect([one.secret, one.error, one.busy]).toEqual([SECRET, 'The code is wrong, or was used already.', false]);
    one.cancel();
    expect([one.secret, one.error]).toEqual([null, null]);
  });

  it('is removed with the password', async () => {
    const { steps: one, requests } = steps({ remove: async () => Promise.reject(new ApiProblem(401, 'The name or the password is wrong.', 'login-failed')) });
    expect(await one.remove('wrong')).toBe(false);
    expect([one.error, requests.changed.mock.calls.length]).toEqual(['The password is wrong.', 0]);
  });

  it('shows its state in words, and what can be done', () => {
    const panel = (isOn: boolean) => render(SecondFactorPanel, { props: { isOn, name: 'ada' } }).body;
    expect(panel(false)).toContain('Off: your logins need the password only.');
    expect(panel(false)).toContain('Set up a second factor…');
    expect(panel(true)).toContain('Remove the second factor…');
  });
});

describe('qrCode', () => {
  const { size, path } = qrCode(SECRET.url);
  /** The dark modules of the path, as 'x,y'. */
  const dark = new Set(
    [...path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)].flatMap(([, x, y, width]) => Array.from({ length: Number(width) }, (_, i) => `${Number(x) + i},${y}`)),
  );

  it('has the three finder patterns of a QR code', () => {
    expect((size - 17) % 4).toBe(0);
    for (const [left, top] of [[0, 0], [size - 7, 0], [0, size - 7]]) {
      for (let y = 0; y < 7; y++) {
        for (let x = 0; x < 7; x++) {
          const ring = Math.max(Math.abs(x - 3), Math.abs(y - 3));
          expect(dark.has(`${left + x},${top + y}`), `${left + x},${top + y}`).toBe(ring !== 2);
        }
      }
    }
    expect(dark.size).toBeGreaterThan(200);
  });
});

describe('AccountPage', () => {
  function page(current: Partial<Session> | null) {
    session.poll.data = current as Session | null;
    return render(AccountPage).body;
  }

  it('shows the session, the password and the second factor', () => {
    const body = page({ secured: true, kind: 'user', name: 'ada', role: 'plant-head', second_factor: true, permissions: ['view', 'view-audit'] });
    for (const text of ['ada', 'Plant head', 'view, view audit', 'Current password', 'On: your logins need a code', 'Log out here']) expect(body).toContain(text);
  });

  it('leaves the password and the second factor to the identity provider', () => {
    const body = page({ secured: true, kind: 'user', name: 'ada', role: 'viewer', external: true, permissions: ['view'] });
    expect(body).toContain('You log in at the identity provider');
    expect(body).not.toContain('Current password');
  });

  it('says that nobody is logged in on an open node, and waits for the session', () => {
    expect(page({ secured: false, kind: 'anonymous', permissions: [] })).toContain('Nobody is logged in');
    expect(page(null)).toContain('Loading…');
  });
});
