import { describe, expect, it } from 'vitest';
import { adminPath, alarmPath, eventPath, loginPath, parseRoute, pumpPath, timeInAddress } from './route';

describe('routes', () => {
  it('convert any pump id to a path and back', () => {
    const tags = ['P-101', 'P-101A/B', 'a/../b', 'ä ö', '100%', '%2F', '%252F', 'x?y#z', '=10.PAC20.AP001-M01', "+A;B'&`\\⟨", '冷却泵2', 'משאבה 5', '🚰'];
    for (const pump of tags) {
      const path = pumpPath(pump);
      expect(parseRoute(path)).toEqual({ page: 'pump', pump });
      // The browser does not change the path.
      expect(new URL(path, 'http://localhost').pathname).toBe(path);
    }
  });

  it('convert an alarm to a path and back', () => {
    expect(parseRoute('/alarms')).toEqual({ page: 'alarms' });
    expect(parseRoute('/handover')).toEqual({ page: 'handover' });
    for (const pump of ['P-101A/B', 'ä ö', '100%']) {
      expect(parseRoute(alarmPath(pump, 'bearing-high'))).toEqual({ page: 'alarm', pump, alarm: 'bearing-high' });
    }
    for (const path of ['/alarms/', '/alarms/P-1', '/alarms/P-1/a/b', '/alarms/%/a']) expect(parseRoute(path)).toEqual({ page: 'notFound', path });
  });

  it('convert a maintenance event to a path and back', () => {
    for (const id of ['P-1/bearing-hot/2026-03-09T10:14:33.000Z', 'P-101A%2FB 5%25/a/b/2026-03-09T10:14:33.000Z']) {
      expect(parseRoute(eventPath(id))).toEqual({ page: 'event', id });
      expect(parseRoute(new URL(loginPath(eventPath(id)), 'http://localhost').pathname, { search: new URL(loginPath(eventPath(id)), 'http://localhost').search })).toEqual({
        page: 'login',
        next: eventPath(id),
        signOn: null,
      });
    }
    for (const path of ['/events', '/events/', '/events/a/b', '/events/%']) expect(parseRoute(path)).toEqual({ page: 'notFound', path });
  });

  it('normalize the id of a pump', () => {
    for (const path of ['/pumps/Fo%CC%88rderpumpe%203', '/pumps/%20F%C3%B6rderpumpe%C2%A0%203']) {
      expect(parseRoute(path)).toEqual({ page: 'pump', pump: 'Förderpumpe 3' });
    }
  });

  it('lead from the login back to the page that asked for it', () => {
    for (const path of ['/', pumpPath('P-101A/B'), pumpPath('x?y&next=z'), '/handover', '/account', '/alarms?tab=history', alarmPath('P-1', 'hot'), '/admin', '/admin/audit?action=login&from=2026-03-09T10%3A00']) {
      const { pathname, search } = new URL(loginPath(path), 'http://localhost');
      expect(parseRoute(pathname, { search })).toEqual({ page: 'login', next: path, signOn: null });
    }
  });

  it.each(['', '?next=', '?next=//evil.example/pumps/a', '?next=https://evil.example', '?next=/login', '?next=/setup', '?next=/%5Cevil.example', '?next=javascript:x', '?next=/admin/other', '?next=//evil.example/account?'])(
    'lead from the login to the fleet after %s',
    (search) => expect(parseRoute('/login', { search })).toEqual({ page: 'login', next: '/', signOn: null }),
  );

  it('lead to the account and to the sections of the administration', () => {
    expect(parseRoute('/account')).toEqual({ page: 'account' });
    expect(parseRoute('/admin')).toEqual({ page: 'admin', section: null });
    expect(parseRoute(adminPath('audit'))).toEqual({ page: 'admin', section: 'audit' });
    for (const path of ['/admin/', '/admin/other', '/admin/users/x', '/account/x']) expect(parseRoute(path)).toEqual({ page: 'notFound', path });
  });

  it('say why a login at the identity provider failed', () => {
    expect(parseRoute('/login', { hash: '#sign-on=no-role' })).toEqual({ page: 'login', next: '/', signOn: 'no-role' });
  });

  it('take the token of a set-up link', () => {
    expect(parseRoute('/setup', { hash: '#vsu_0123_abc' })).toEqual({ page: 'setup', token: 'vsu_0123_abc' });
    expect(parseRoute('/setup')).toEqual({ page: 'setup', token: '' });
  });

  it('take the time of a link in a message', () => {
    expect(timeInAddress('?at=2026-03-09T10:01:00.000Z')).toBe(Date.UTC(2026, 2, 9, 10, 1));
    for (const search of ['', '?at=', '?at=soon', '?since=2026']) expect(timeInAddress(search)).toBeNull();
  });

  it('are notFound for unknown paths', () => {
    expect(parseRoute('/')).toEqual({ page: 'fleet' });
    for (const path of ['/pumps', '/pumps/', '/pumps/a/b', '/x', '/pumps/%E0%A4%A']) {
      expect(parseRoute(path)).toEqual({ page: 'notFound', path });
    }
  });
});
