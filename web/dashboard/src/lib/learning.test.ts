import { describe, expect, it } from 'vitest';
import type { Learning } from '../api/types';
import { learningInWords, learningShare } from './learning';

const commissioning = (phase: 'gathering' | 'calculating', running_h: number, needed_h = 24): Learning => ({
  of: 'commissioning', phase, running_h, needed_h, trouble: null,
});

describe('the progress to the first verdict', () => {
  it.each<[Learning, string, number | null]>([
    [{ of: 'window', have: 12, need: 30 }, 'Learning: 12 of 30 readings until the first verdict', 0.4],
    [commissioning('gathering', 6), 'Learning what is normal: 6.0 of 24 h', 0.25],
    [commissioning('gathering', 0.04, 0.5), 'Learning what is normal: 0.0 of 0.5 h', 0.08],
    [commissioning('gathering', 25), 'Learning what is normal: 25.0 of 24 h', 1],
    [commissioning('calculating', 24), 'Learning what is normal: calculating the threshold', null],
  ])('%j: %s', (learning, words, share) => {
    expect(learningInWords(learning, 'en')).toBe(words);
    expect(learningShare(learning)).toBe(share);
  });
});
