import { describe, expect, it } from 'vitest';
import { passwordRules } from './passwordRules';

const met = (password: string) => passwordRules(password).map((rule) => rule.met);

describe('passwordRules', () => {
  it('count characters, not bytes or UTF-16 units', () => {
    expect(met('pumps never')).toEqual([false, true]);
    expect(met('pumps never!')).toEqual([true, true]);
    expect(met('🚰'.repeat(11))).toEqual([false, false]);
    expect(met('🚰'.repeat(8) + 'abcd')).toEqual([true, true]);
  });

  it('count different characters without regard to case', () => expect(met('aAaAbBbBcCdD')).toEqual([true, false]));

  it('name the most bytes only for a password that is too long', () => {
    expect(passwordRules('abcde'.repeat(51))).toHaveLength(2);
    expect(passwordRules('ä'.repeat(129)).at(-1)).toEqual({ text: 'at most 256 bytes (it has 258)', met: false });
  });
});
