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

export class ChartSource {
  readonly t: number[] = [];
  readonly y: (number | null)[] = [];

  #columns: Columns;
  #column: number;
  #gapMs: number;
  #rows = new Int32Array(0);

  constructor(columns: Columns, column: number, gapMs: number) {
    this.#columns = columns;
    this.#column = column;
    this.#gapMs = gapMs;
  }

  /** Takes what lies between two times, for a chart that is `pixels` wide. */
  take(min: number, max: number, pixels: number): InView {
    const [t, y] = [this.#columns.times(), this.#columns.column(this.#column)];
    // One row beyond each edge, so that the line leaves the chart instead of ending in it.
    const from = Math.max(0, this.#columns.lowerBound(min) - 1);
    const to = Math.min(t.length, this.#columns.lowerBound(max + 1) + 1);
    const buckets = Math.max(50, Math.floor(pixels));
    if (this.#rows.length < 4 * buckets + 16) this.#rows = new Int32Array(4 * buckets + 16);
    const bucketMs = Math.max((max - min) / buckets, 1e-3);
    const count = pickRows({ t, y, from, to, bucketMs, gapMs: this.#gapMs }, this.#rows);
    this.t.length = this.y.length = count;
    for (let i = 0; i < count; i++) {
      const row = this.#rows[i];
      this.t[i] = row === GAP ? (t[this.#rows[i - 1]] + t[this.#rows[i + 1]]) / 2 : t[row];
      this.y[i] = row === GAP || isNaN(y[row]) ? null : y[row];
    }
    return this.#inView(t, y, from, to, min, max);
  }

  #inView(t: Float64Array, y: Float64Array, from: number, to: number, min: number, max: number): InView {
    const seen = { newest: NaN, newestAt: NaN, low: NaN, high: NaN };
    for (let row = from; row < to; row++) {
      if (t[row] < min || t[row] > max || isNaN(y[row])) continue;
      seen.newest = y[row];
      seen.newestAt = t[row];
      if (!(seen.low <= y[row])) seen.low = y[row];
      if (!(seen.high >= y[row])) seen.high = y[row];
    }
    return seen;
  }
}
