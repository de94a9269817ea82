import { describe, expect, it } from 'vitest';
import { Columns } from '../columns';
import { spans } from './spans';

function flags(t: number[], up: number[]) {
  const columns = new Columns(1, 32);
  columns.add({ t, columns: [up] });
  return columns;
}

describe('spans', () => {
  it('finds each stretch, also one row alone and one that is not over', () => {
    const columns = flags([1, 2, 3, 4, 5, 6, 7], [0, 1, 1, 0, 1, 0, 1]);
    expect(spans(columns, 0, 0, 10, 5)).toEqual([{ from: 2, to: 3 }, { from: 5, to: 5 }, { from: 7, to: 7 }]);
  });

  it('a gap ends a stretch', () => {
    expect(spans(flags([1, 2, 50, 51], [1, 1, 1, 1]), 0, 0, 100, 5)).toEqual([{ from: 1, to: 2 }, { from: 50, to: 51 }]);
  });

  it('looks only at the view, and at the row it begins in', () => {
    const columns = flags([1, 2, 3, 4, 5], [1, 1, 1, 1, 1]);
    expect(spans(columns, 0, 2.5, 4, 5)).toEqual([{ from: 2, to: 4 }]);
    expect(spans(flags([], []), 0, 0, 9, 5)).toEqual([]);
  });
});
