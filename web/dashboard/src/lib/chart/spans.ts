// Stretches of time in which a flag was up. Pure.

import type { Columns } from '../columns';

export interface Span {
  from: number;
  to: number;
}

/** The stretches between two times in which `column` is not zero. One row alone is a stretch, and a gap ends one. */
export function spans(columns: Columns, column: number, from: number, to: number, gapMs: number): Span[] {
  const found: Span[] = [];
  let open: Span | null = null;
  for (let row = Math.max(0, columns.rowAt(from)); row < columns.length && columns.at(row) <= to; row++) {
    const t = columns.at(row);
    const up = columns.value(row, column) > 0;
    if (open && up && t - open.to <= gapMs) open.to = t;
    else open = up ? { from: t, to: t } : null;
    if (open && found.at(-1) !== open) found.push(open);
  }
  return found;
}
