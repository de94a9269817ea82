import { describe, expect, it } from 'vitest';
import { isOpenDemo, needsLogin, roleName, whyNot } from './access';

describe('needsLogin', () => {
  it.each([
    [false, 'anonymous', false],
    [true, 'anonymous', true],
    [true, 'user', false],
    [true, 'token', true],
  ])('secured %s, kind %s: %s', (secured, kind, needed) => expect(needsLogin({ secured, kind })).toBe(needed));
});

it('an open demo is a demo without users', () => {
  expect(isOpenDemo({ secured: false, demo: true })).toBe(true);
  expect(isOpenDemo({ secured: true, demo: true })).toBe(false);
  expect(isOpenDemo({ secured: false, demo: false })).toBe(false);
});

describe('whyNot', () => {
  it('gives no reason for what is allowed', () => {
    expect(whyNot('configure-pumps', { role: 'engineer', permissions: ['view', 'configure-pumps'] })).toBeNull();
  });

  it('names the role for what is not', () => {
    expect(whyNot('configure-pumps', { role: 'plant-head', permissions: ['view'] })).toBe('Your role, plant head, may not configure pumps.');
    expect(whyNot('simulate', { role: null, permissions: [] })).toBe('You may not start simulations.');
  });

  it('allows nothing, without a reason, before the session is known', () => expect(whyNot('simulate', null)).toBe(''));
});

it('names roles for people', () => expect(['viewer', 'plant-head'].map(roleName)).toEqual(['viewer', 'plant head']));
