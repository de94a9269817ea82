// The data that one chart draws of a time range: fills uPlot's arrays in place, and returns the newest, lowest and highest value
// in view.

import type { Columns } from '../columns';
import { downsample, GAP } from './downsample';

/** The values in view, for the chart's text. */
export interface ViewSummary {
  newest: number;
  newestAt: number;
  low: number;
  high: number;
}

/** What is drawn: a column, and a band around it if each row aggregates several readings. */
export interface Series {
  columns: Columns;
  column: number;
  /** The columns of the lowest and the highest values. */
  band?: { low: number; high: number };
  /** A longer pause between two rows is a gap. */
  gapMs: number;
}

export class ChartData {
  readonly t: number[] = [];
  readonly y: (number | null)[] = [];
  /** The band's edges: as long as `y` if there is a band, else empty. */
  readonly low: (number | null)[] = [];
  readonly high: (number | null)[] = [];

  #rows = new Int32Array(0);

  /** Loads the rows between two times, for a chart that is `pixels` wide. */
  load({ columns, column, band, gapMs }: Series, min: number, max: number, pixels: number): ViewSummary {
    const [t, y] = [columns.times(), columns.column(column)];
    const [low, high] = band ? [columns.column(band.low), columns.column(band.high)] : [y, y];
    // One row beyond each edge, so that the line leaves the chart instead of ending inside it.
    const from = Math.max(0, columns.lowerBound(min) - 1);
    const to = Math.min(t.length, columns.lowerBound(max + 1) + 1);
    const buckets = Math.max(50, Math.floor(pixels));
    // There are few aggregated rows, and the band of each must be drawn. So each row gets its own bucket.
    const bucketMs = band ? 1e-3 : Math.max((max - min) / buckets, 1e-3);
    const capacity = band ? 2 * (to - from) : 4 * buckets + 16;
    if (this.#rows.length < capacity) this.#rows = new Int32Array(capacity);
    const count = downsample({ t, y, from, to, bucketMs, gapMs }, this.#rows);
    this.t.length = this.y.length = count;
    this.low.length = this.high.length = band ? count : 0;
    for (let i = 0; i < count; i++) {
      const row = this.#rows[i];
      this.t[i] = row === GAP ? (t[this.#rows[i - 1]] + t[this.#rows[i + 1]]) / 2 : t[row];
      this.y[i] = valueAt(y, row);
      if (band) [this.low[i], this.high[i]] = [valueAt(low, row), valueAt(high, row)];
    }
    const summary = { newest: NaN, newestAt: NaN, low: NaN, high: NaN };
    for (let row = from; row < to; row++) {
      if (t[row] < min || t[row] > max || isNaN(y[row])) continue;
      summary.newest = y[row];
      summary.newestAt = t[row];
      if (!(summary.low <= low[row])) summary.low = low[row];
      if (!(summary.high >= high[row])) summary.high = high[row];
    }
    return summary;
  }
}

const valueAt = (values: Float64Array, row: number): number | null => (row === GAP || isNaN(values[row]) ? null : values[row]);
