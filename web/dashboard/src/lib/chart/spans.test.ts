import { describe, expect, it } from 'vitest';
import { Columns } from '../columns';
import { flaggedSpans } from './spans';

function flags(t: number[], set: number[]) {
  const columns = new Columns(1, 32);
  columns.add({ t, columns: [set] });
  return columns;
}

describe('flaggedSpans', () => {
  it('finds every span, also of a single row and up to the last row', () => {
    const columns = flags([1, 2, 3, 4, 5, 6, 7], [0, 1, 1, 0, 1, 0, 1]);
    expect(flaggedSpans(columns, 0, 0, 10, 5)).toEqual([{ from: 2, to: 3 }, { from: 5, to: 5 }, { from: 7, to: 7 }]);
  });

  it('ends a span at a gap', () => {
    expect(flaggedSpans(flags([1, 2, 50, 51], [1, 1, 1, 1]), 0, 0, 100, 5)).toEqual([{ from: 1, to: 2 }, { from: 50, to: 51 }]);
  });

  it('covers only the view, and the row that the view starts in', () => {
    const columns = flags([1, 2, 3, 4, 5], [1, 1, 1, 1, 1]);
    expect(flaggedSpans(columns, 0, 2.5, 4, 5)).toEqual([{ from: 2, to: 4 }]);
    expect(flaggedSpans(flags([], []), 0, 0, 9, 5)).toEqual([]);
  });
});
