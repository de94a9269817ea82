// The geometry of a sparkline (Sparkline.svelte). Pure.

import type { Columns } from './columns';

export interface Spark {
  /** The SVG path of the losses, interrupted at gaps. */
  line: string;
  /** The area below it. */
  area: string;
  thresholdY: number | null;
}

/**
 * Fits losses into a box; null if there are fewer than two. The scale starts at zero and ends well above the threshold, so that the
 * lines of normal pumps look similar.
 */
export function sparkPath(trend: Columns, threshold: number | null, gapMs: number, width: number, height: number): Spark | null {
  const count = trend.length;
  if (count < 2) return null;
  const t = trend.times();
  const loss = trend.column(0);
  let top = (threshold ?? 0) * 1.35;
  for (const value of loss) if (value > top) top = value;
  if (!(top > 0)) return null;
  const x = (at: number) => (((at - t[0]) / (t[count - 1] - t[0])) * width).toFixed(1);
  const y = (value: number) => height - 1 - (value / top) * (height - 2);
  let line = '';
  let area = '';
  let start = -1;
  const close = (to: number) => {
    if (start >= 0) area += `L${x(t[to])} ${height}L${x(t[start])} ${height}Z`;
    start = -1;
  };
  for (let i = 0; i < count; i++) {
    if (start >= 0 && t[i] - t[i - 1] > gapMs) close(i - 1);
    const step = `${start < 0 ? 'M' : 'L'}${x(t[i])} ${y(loss[i]).toFixed(1)}`;
    if (start < 0) start = i;
    line += step;
    area += step;
  }
  close(count - 1);
  return { line, area, thresholdY: threshold === null ? null : y(threshold) };
}
