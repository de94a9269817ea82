import { describe, expect, it } from 'vitest';
import { downsample, GAP } from './downsample';

const out = new Int32Array(4096);
function select(t: number[], y: number[], bucketMs: number, gapMs = 1e9) {
  const count = downsample({ t: Float64Array.from(t), y: Float64Array.from(y), from: 0, to: t.length, bucketMs, gapMs }, out);
  return [...out.subarray(0, count)];
}

describe('downsample', () => {
  it('selects all rows if there is at most one per bucket', () => {
    expect(select([0, 10, 20, 30], [1, 2, 1, 3], 10)).toEqual([0, 1, 2, 3]);
  });

  it('selects the extremes and the last row, in order, each once', () => {
    for (let seed = 1; seed < 30; seed++) {
      const y = Array.from({ length: 500 }, (_, i) => Math.sin(i * seed * 1.7) * ((i * seed) % 13));
      const rows = select(y.map((_, i) => i), y, 40);
      expect(rows).toEqual([...new Set(rows)].sort((a, b) => a - b));
      expect(rows.length).toBeLessThan(4 * 13);
      const drawn = rows.map((row) => y[row]);
      expect([Math.min(...drawn), Math.max(...drawn)]).toEqual([Math.min(...y), Math.max(...y)]);
      expect(rows.at(-1)).toBe(499);
    }
  });

  it('marks a gap between two rows, also within a bucket', () => {
    expect(select([0, 1, 50, 51], [1, 1, 1, 1], 1, 10)).toEqual([0, 1, GAP, 2, 3]);
    expect(select([0, 1, 50, 51], [1, 2, 1, 2], 1000, 10)).toEqual([0, 1, GAP, 2, 3]);
  });

  it('ignores missing values, unless a bucket has no others', () => {
    expect(select([0, 1, 2], [NaN, 5, 3], 1000)).toEqual([1, 2]);
    expect(select([0, 1, 2], [5, NaN, 5], 1)).toEqual([0, 1, 2]);
  });

  it('selects the same rows wherever the view starts', () => {
    const t = Array.from({ length: 300 }, (_, i) => i);
    const y = t.map((i) => (i * 7919) % 101);
    const all = select(t, y, 10);
    const later = select(t.slice(20), y.slice(20), 10).map((row) => row + 20);
    expect(all.filter((row) => row >= 20)).toEqual(later);
  });
});
