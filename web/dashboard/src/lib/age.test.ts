import { describe, expect, it } from 'vitest';
import { ageOrigin } from './age';

const NOON = Date.UTC(2026, 10, 29, 12);

describe('ageOrigin', () => {
  it('is the receipt of a current reading, and the time of any other', () => {
    const cases: [offsetMs: number, originMs: number][] = [
      [0, 0],
      [-20, 0],
      [-60_000, 0],
      [30_000, 0],
      [-60_001, -60_001],
      [-88_920_000, -88_920_000],
      [60_001, 60_001],
    ];
    for (const [offset, origin] of cases) expect(ageOrigin(NOON, NOON + offset) - NOON).toBe(origin);
  });
});
