import { describe, expect, it } from 'vitest';
import { Columns } from './columns';

const rows = (...t: number[]) => ({ t, columns: [t.map((x) => x * 10)] });
const times = (columns: Columns) => [...columns.times()];

describe('Columns', () => {
  it('keeps the newest rows up to its capacity, whatever the size of a frame', () => {
    for (const size of [1, 3, 7, 40]) {
      const columns = new Columns(1, 10);
      const all: number[] = [];
      for (let t = 0; t < 200; t += size) {
        const frame = Array.from({ length: size }, (_, i) => t + i);
        all.push(...frame);
        columns.add(rows(...frame));
        expect(times(columns)).toEqual(all.slice(-10));
        expect([...columns.column(0)]).toEqual(all.slice(-10).map((x) => x * 10));
      }
    }
  });

  it('joins history and stream without gaps or duplicates, in any order of arrival', () => {
    const all = Array.from({ length: 50 }, (_, i) => i + 1);
    for (let seed = 1; seed < 60; seed++) {
      const columns = new Columns(1, 64);
      // Overlapping parts in a shuffled order.
      const parts = [all.slice(0, 21), all.slice(15, 33), all.slice(28, 40), all.slice(38)];
      parts.sort((a, b) => ((a[0] * seed) % 17) - ((b[0] * seed) % 17));
      for (const part of parts) columns.add(rows(...part));
      expect(times(columns)).toEqual(all);
    }
  });

  it('accepts late and duplicate rows within one frame', () => {
    const columns = new Columns(1, 8);
    columns.add(rows(5, 3, 4, 4));
    columns.add(rows(3, 1));
    expect(times(columns)).toEqual([1, 3, 4, 5]);
  });

  it('keeps the values of a time, and adds its missing ones', () => {
    const columns = new Columns(1, 8);
    columns.add({ t: [1, 2], columns: [[7, null]] });
    columns.add({ t: [1, 2, 3], columns: [[8, 8, 8]] });
    expect([...columns.column(0)]).toEqual([7, 8, 8]);
    columns.add({ t: [4], columns: [[null]] });
    columns.add({ t: [4], columns: [[9]] });
    columns.add({ t: [4], columns: [[1]] });
    expect([...columns.column(0)]).toEqual([7, 8, 8, 9]);
  });

  it('drops rows older than those of a full buffer', () => {
    const columns = new Columns(1, 4);
    columns.add(rows(10, 11, 12, 13));
    columns.add(rows(1, 2));
    expect(times(columns)).toEqual([10, 11, 12, 13]);
  });

  it('finds rows by time', () => {
    const columns = new Columns(1, 8);
    columns.add(rows(10, 20, 30));
    expect([5, 10, 15, 30, 31].map((t) => columns.lowerBound(t))).toEqual([0, 0, 1, 2, 3]);
    expect([5, 10, 15, 30, 99].map((t) => columns.rowAt(t))).toEqual([-1, 0, 0, 2, 2]);
    expect(columns.at(-1)).toBeNaN();
    expect(columns.at(3)).toBeNaN();
  });
});
