// Spans of time in which a flag is set, such as the anomalous ones. Pure.

import type { Columns } from '../columns';

export interface Span {
  from: number;
  to: number;
}

/** The spans between two times in which `column` is not zero. A single row is a span; a gap ends one. */
export function flaggedSpans(columns: Columns, column: number, from: number, to: number, gapMs: number): Span[] {
  const spans: Span[] = [];
  let open: Span | null = null;
  for (let row = Math.max(0, columns.rowAt(from)); row < columns.length && columns.at(row) <= to; row++) {
    const t = columns.at(row);
    const set = columns.value(row, column) > 0;
    if (open && set && t - open.to <= gapMs) open.to = t;
    else open = set ? { from: t, to: t } : null;
    if (open && spans.at(-1) !== open) spans.push(open);
  }
  return spans;
}
