// What one chart draws of a stretch of columns: fills uPlot's arrays in place, and knows the newest, lowest and highest value in view.

import type { Columns } from '../columns';
import { GAP, pickRows } from './pick';

/** What is in view, in words' stead. */
export interface InView {
  newest: number;
  newestAt: number;
  low: number;
  high: number;
}

/** What is drawn: a column, and around it, where each row sums up several readings, the columns of the lowest and the highest. */
export interface Drawn {
  columns: Columns;
  column: number;
  edges?: { low: number; high: number };
  /** A longer pause between two rows is a gap. */
  gapMs: number;
}

export class ChartSource {
  readonly t: number[] = [];
  readonly y: (number | null)[] = [];
  /** As long as `y` where there are edges, else empty. */
  readonly low: (number | null)[] = [];
  readonly high: (number | null)[] = [];

  #rows = new Int32Array(0);

  /** Takes what lies between two times, for a chart that is `pixels` wide. */
  take({ columns, column, edges, gapMs }: Drawn, min: number, max: number, pixels: number): InView {
    const [t, y] = [columns.times(), columns.column(column)];
    const [low, high] = edges ? [columns.column(edges.low), columns.column(edges.high)] : [y, y];
    // One row beyond each edge, so that the line leaves the chart instead of ending in it.
    const from = Math.max(0, columns.lowerBound(min) - 1);
    const to = Math.min(t.length, columns.lowerBound(max + 1) + 1);
    const buckets = Math.max(50, Math.floor(pixels));
    // Rows that sum up are few already, and none may hide another's edges: each has a bucket of its own.
    const bucketMs = edges ? 1e-3 : Math.max((max - min) / buckets, 1e-3);
    const room = edges ? 2 * (to - from) : 4 * buckets + 16;
    if (this.#rows.length < room) this.#rows = new Int32Array(room);
    const count = pickRows({ t, y, from, to, bucketMs, gapMs }, this.#rows);
    this.t.length = this.y.length = count;
    this.low.length = this.high.length = edges ? count : 0;
    for (let i = 0; i < count; i++) {
      const row = this.#rows[i];
      this.t[i] = row === GAP ? (t[this.#rows[i - 1]] + t[this.#rows[i + 1]]) / 2 : t[row];
      this.y[i] = valueAt(y, row);
      if (edges) [this.low[i], this.high[i]] = [valueAt(low, row), valueAt(high, row)];
    }
    const seen = { newest: NaN, newestAt: NaN, low: NaN, high: NaN };
    for (let row = from; row < to; row++) {
      if (t[row] < min || t[row] > max || isNaN(y[row])) continue;
      seen.newest = y[row];
      seen.newestAt = t[row];
      if (!(seen.low <= low[row])) seen.low = low[row];
      if (!(seen.high >= high[row])) seen.high = high[row];
    }
    return seen;
  }
}

const valueAt = (values: Float64Array, row: number): number | null => (row === GAP || isNaN(values[row]) ? null : values[row]);
