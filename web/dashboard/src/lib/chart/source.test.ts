import { describe, expect, it } from 'vitest';
import { Columns } from '../columns';
import { ChartSource } from './source';

describe('ChartSource', () => {
  const columns = new Columns(1, 64);
  columns.add({ t: [0, 10, 20, 30, 1000, 1010], columns: [[5, 1, null, 3, 9, 4]] });

  it('takes the view and one row beyond each edge', () => {
    const source = new ChartSource(columns, 0, 100);
    expect(source.take(10, 20, 400)).toEqual({ newest: 1, newestAt: 10, low: 1, high: 1 });
    expect(source.t).toEqual([0, 10, 20, 30]);
    expect(source.y).toEqual([5, 1, null, 3]);
  });

  it('a gap is drawn as one', () => {
    const source = new ChartSource(columns, 0, 100);
    source.take(0, 2000, 4000);
    expect(source.t).toEqual([0, 10, 20, 30, 515, 1000, 1010]);
    expect(source.y).toEqual([5, 1, null, 3, null, 9, 4]);
  });

  it('an empty view has nothing in it', () => {
    const source = new ChartSource(new Columns(1, 4), 0, 100);
    expect(source.take(0, 100, 400)).toEqual({ newest: NaN, newestAt: NaN, low: NaN, high: NaN });
    expect(source.t).toEqual([]);
  });
});
