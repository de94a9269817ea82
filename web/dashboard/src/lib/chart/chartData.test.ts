import { describe, expect, it } from 'vitest';
import { Columns } from '../columns';
import { ChartData } from './chartData';

describe('ChartData', () => {
  const columns = new Columns(1, 64);
  columns.add({ t: [0, 10, 20, 30, 1000, 1010], columns: [[5, 1, null, 3, 9, 4]] });
  const series = { columns, column: 0, gapMs: 100 };

  it('loads the view and one row beyond each edge', () => {
    const data = new ChartData();
    expect(data.load(series, 10, 20, 400)).toEqual({ newest: 1, newestAt: 10, low: 1, high: 1 });
    expect(data.t).toEqual([0, 10, 20, 30]);
    expect(data.y).toEqual([5, 1, null, 3]);
    expect(data.low).toEqual([]);
  });

  it('inserts a missing value in the middle of a gap', () => {
    const data = new ChartData();
    data.load(series, 0, 2000, 4000);
    expect(data.t).toEqual([0, 10, 20, 30, 515, 1000, 1010]);
    expect(data.y).toEqual([5, 1, null, 3, null, 9, 4]);
  });

  it('is empty for an empty view', () => {
    const data = new ChartData();
    const empty = { ...series, columns: new Columns(1, 4) };
    expect(data.load(empty, 0, 100, 400)).toEqual({ newest: NaN, newestAt: NaN, low: NaN, high: NaN });
    expect(data.t).toEqual([]);
  });

  describe('with aggregated rows', () => {
    const aggregated = new Columns(3, 64);
    const t = Array.from({ length: 40 }, (_, i) => 10 * i);
    aggregated.add({ t, columns: [t.map(() => 5), t.map((at) => (at === 70 ? -9 : 4)), t.map((at) => (at === 80 ? 99 : 6))] });
    const series = { columns: aggregated, column: 0, band: { low: 1, high: 2 }, gapMs: 15 };

    it('draws every row, however narrow the chart, and includes the band in the summary', () => {
      const data = new ChartData();
      expect(data.load(series, 0, 390, 10)).toEqual({ newest: 5, newestAt: 390, low: -9, high: 99 });
      expect(data.t).toEqual(t);
      expect([data.low[7], data.high[8], data.low.length, data.high.length]).toEqual([-9, 99, 40, 40]);
    });

    it('inserts a gap in the line and in the band', () => {
      const data = new ChartData();
      const withGap = new Columns(3, 8);
      withGap.add({ t: [0, 10, 40], columns: [[1, null, 3], [0, null, 2], [2, null, 4]] });
      data.load({ ...series, columns: withGap }, 0, 40, 400);
      expect(data.t).toEqual([0, 10, 25, 40]);
      expect([data.y, data.low, data.high]).toEqual([[1, null, null, 3], [0, null, null, 2], [2, null, null, 4]]);
    });
  });
});
