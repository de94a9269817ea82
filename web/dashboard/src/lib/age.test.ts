import { describe, expect, it } from 'vitest';
import { readingAt } from './age';

const NOON = Date.UTC(2026, 10, 29, 12);

describe('the time that a reading is as old as', () => {
  it('is its receipt while it is current, and else its own', () => {
    const own: [offsetMs: number, asOfMs: number][] = [
      [0, 0],
      [-20, 0],
      [-60_000, 0],
      [30_000, 0],
      [-60_001, -60_001],
      [-88_920_000, -88_920_000],
      [60_001, 60_001],
    ];
    for (const [offset, as] of own) expect(readingAt(NOON, NOON + offset) - NOON).toBe(as);
  });
});
