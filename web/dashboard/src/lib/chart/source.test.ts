import { describe, expect, it } from 'vitest';
import { Columns } from '../columns';
import { ChartSource } from './source';

describe('ChartSource', () => {
  const columns = new Columns(1, 64);
  columns.add({ t: [0, 10, 20, 30, 1000, 1010], columns: [[5, 1, null, 3, 9, 4]] });
  const drawn = { columns, column: 0, gapMs: 100 };

  it('takes the view and one row beyond each edge', () => {
    const source = new ChartSource();
    expect(source.take(drawn, 10, 20, 400)).toEqual({ newest: 1, newestAt: 10, low: 1, high: 1 });
    expect(source.t).toEqual([0, 10, 20, 30]);
    expect(source.y).toEqual([5, 1, null, 3]);
    expect(source.low).toEqual([]);
  });

  it('a gap is drawn as one', () => {
    const source = new ChartSource();
    source.take(drawn, 0, 2000, 4000);
    expect(source.t).toEqual([0, 10, 20, 30, 515, 1000, 1010]);
    expect(source.y).toEqual([5, 1, null, 3, null, 9, 4]);
  });

  it('an empty view has nothing in it', () => {
    const source = new ChartSource();
    const nothing = { ...drawn, columns: new Columns(1, 4) };
    expect(source.take(nothing, 0, 100, 400)).toEqual({ newest: NaN, newestAt: NaN, low: NaN, high: NaN });
    expect(source.t).toEqual([]);
  });

  describe('of rows that sum up', () => {
    const summed = new Columns(3, 64);
    const t = Array.from({ length: 40 }, (_, i) => 10 * i);
    summed.add({ t, columns: [t.map(() => 5), t.map((at) => (at === 70 ? -9 : 4)), t.map((at) => (at === 80 ? 99 : 6))] });
    const drawn = { columns: summed, column: 0, edges: { low: 1, high: 2 }, gapMs: 15 };

    it('draws each of them, however narrow the chart, and sees the edges', () => {
      const source = new ChartSource();
      expect(source.take(drawn, 0, 390, 10)).toEqual({ newest: 5, newestAt: 390, low: -9, high: 99 });
      expect(source.t).toEqual(t);
      expect([source.low[7], source.high[8], source.low.length, source.high.length]).toEqual([-9, 99, 40, 40]);
    });

    it('a gap is one in the line and in the band', () => {
      const source = new ChartSource();
      const holed = new Columns(3, 8);
      holed.add({ t: [0, 10, 40], columns: [[1, null, 3], [0, null, 2], [2, null, 4]] });
      source.take({ ...drawn, columns: holed }, 0, 40, 400);
      expect(source.t).toEqual([0, 10, 25, 40]);
      expect([source.y, source.low, source.high]).toEqual([[1, null, null, 3], [0, null, null, 2], [2, null, null, 4]]);
    });
  });
});
