import { describe, expect, it } from 'vitest';
import type { User } from '../../api/types';
import { disableConsequence, isLastAdmin, permissionsInWords, resetConsequence, roleConsequence, userState } from './users';

const user = (name: string, more: Partial<User> = {}): User => ({
  name, role: 'admin', disabled: false, has_password: true, second_factor: false, external: null, added_at: '2026-03-09T10:00:00.000Z', ...more,
});
const ada = user('ada');

describe('userState', () => {
  it.each([
    [{ disabled: false, has_password: true, external: null }, 'active'],
    [{ disabled: false, has_password: false, external: null }, 'new'],
    [{ disabled: true, has_password: true, external: null }, 'disabled'],
    [{ disabled: true, has_password: false, external: null }, 'disabled'],
    [{ disabled: false, has_password: false, external: { issuer: 'https://id.example', subject: '1' } }, 'active'],
  ])('%o is %s', (of, state) => expect(userState(of)).toBe(state));
});

describe('isLastAdmin', () => {
  it.each<[string, User[], boolean]>([
    ['alone', [ada], true],
    ['with another admin', [ada, user('bob')], false],
    ['with an engineer', [ada, user('bob', { role: 'engineer' })], true],
    ['with a disabled admin', [ada, user('bob', { disabled: true })], true],
    ['with an admin who has no password', [ada, user('bob', { has_password: false })], true],
  ])('%s', (_, users, last) => expect(isLastAdmin(ada, users)).toBe(last));

  it('is nobody who is no admin', () => expect(isLastAdmin(user('eve', { role: 'viewer' }), [ada])).toBe(false));
});

describe('a consequence', () => {
  it('warns before the last admin goes', () => {
    expect(disableConsequence(ada, [ada])).toContain('There is no other admin');
    expect(disableConsequence(ada, [ada, user('bob')])).not.toContain('There is no other admin');
    expect(roleConsequence(ada, 'viewer', [ada], null)).toContain('There is no other admin');
    expect(roleConsequence(ada, 'viewer', [ada, user('bob')], 'ada')).toBe('This is your own role.');
  });

  it('says what a new role means, and nothing for the same one', () => {
    expect(roleConsequence(ada, 'admin', [ada], null)).toBeNull();
    const vera = user('vera', { role: 'viewer' });
    expect(roleConsequence(vera, 'plant-head', [ada, vera], 'ada')).toBe('vera is plant head from the next request on, without a new login.');
    expect(roleConsequence(vera, 'admin', [ada, vera], 'ada')).toContain('can then do everything');
  });

  it('of a reset differs for a disabled user', () => {
    expect(resetConsequence(ada)).toContain('logged out everywhere now');
    expect(resetConsequence(user('bob', { disabled: true }))).toContain('may log in again');
  });
});

it('names permissions for people', () => expect(permissionsInWords(['view', 'view-audit'])).toBe('view, view audit'));
