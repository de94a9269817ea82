import { describe, expect, it } from 'vitest';
import type { Token } from '../../api/types';
import { expiryInWords, pumpsInWords, revokeConsequence, splitTokens, tokenOf, tokenState, unknownPumpsHint } from './tokens';

const NOW = Date.parse('2026-03-09T10:00:00.000Z');
const inDays = (days: number) => new Date(NOW + days * 86_400_000).toISOString();
const token = (id: string, more: Partial<Token> = {}): Token => ({
  id, name: 'gateway-1', pumps: ['P-1'], register: false, added_by: 'user ada', added_at: inDays(-10), expires_at: null, revoked_at: null, used_at: null, ...more,
});
const form = { name: 'gateway-1', known: ['P-1'], others: '', register: false, days: null };

describe('tokenState', () => {
  it.each<[Partial<Token>, string]>([
    [{}, 'valid'],
    [{ expires_at: inDays(15) }, 'valid'],
    [{ expires_at: inDays(13) }, 'expires-soon'],
    [{ expires_at: inDays(0) }, 'expired'],
    [{ expires_at: inDays(15), revoked_at: inDays(-1) }, 'revoked'],
  ])('%o is %s', (more, state) => expect(tokenState(token('a', more), NOW)).toBe(state));
});

it('splits valid tokens from others, by name and newest first', () => {
  const tokens = [token('b', { name: 'z' }), token('old'), token('new', { added_at: inDays(-1) }), token('gone', { revoked_at: inDays(-1) })];
  const { valid, ended } = splitTokens(tokens, NOW);
  expect([valid.map(({ id }) => id), ended.map(({ id }) => id)]).toEqual([['new', 'old', 'b'], ['gone']]);
});

it('puts the expiry in words', () => {
  expect([expiryInWords(null, NOW), expiryInWords(inDays(2), NOW), expiryInWords(inDays(-1), NOW)]).toEqual(['Never', 'In 2 d', '1 d ago']);
});

it('names a few pumps and counts the others', () => {
  expect(pumpsInWords(['a', 'b'])).toBe('a, b');
  expect(pumpsInWords(['a', 'b', 'c', 'd', 'e', 'f'])).toBe('a, b, c, d, e, f');
  expect(pumpsInWords(['a', 'b', 'c', 'd', 'e', 'f', 'g'])).toBe('a, b, c, d, e and 2 more');
});

describe('the consequence of a revocation', () => {
  it('says whether the token was used, and whether its gateway has another', () => {
    const used = token('a', { used_at: inDays(-1) });
    expect(revokeConsequence(used, [used], NOW)).toContain('It was last used 1 d ago. gateway-1 has no other valid token.');
    expect(revokeConsequence(token('a'), [token('a'), token('b')], NOW)).toContain('It was never used. gateway-1 has another valid token.');
    expect(revokeConsequence(token('a'), [token('a'), token('b', { revoked_at: inDays(-1) })], NOW)).toContain('no other valid token');
  });
});

describe('the form of a new token', () => {
  it('becomes a token', () => {
    expect(tokenOf({ ...form, name: ' gateway-1 ', others: 'P-2\n\n P-1 \n', days: 90 })).toEqual({
      token: { name: 'gateway-1', pumps: ['P-1', 'P-2'], register: false, expires_days: 90 },
    });
    expect(tokenOf(form)).toEqual({ token: { name: 'gateway-1', pumps: ['P-1'], register: false } });
  });

  it('says what is missing', () => {
    expect(tokenOf({ ...form, name: ' ' })).toEqual({ missing: 'Enter the name of the gateway or device.' });
    expect(tokenOf({ ...form, known: [] })).toEqual({ missing: 'Select one pump or more, or type their ids.' });
  });

  it('warns of pumps that the token cannot register', () => {
    expect(unknownPumpsHint({ ...form, others: 'P-1\nP-9' }, ['P-1'])).toContain('does not know P-9.');
    expect(unknownPumpsHint({ ...form, others: 'P-9', register: true }, ['P-1'])).toBeNull();
    expect(unknownPumpsHint({ ...form, others: 'P-1' }, ['P-1'])).toBeNull();
  });
});
