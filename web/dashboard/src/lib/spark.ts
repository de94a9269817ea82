// The geometry of a sparkline. Pure.

import type { Columns } from './columns';

export interface Spark {
  /** SVG path of the losses, broken where there is a gap. */
  line: string;
  /** The same, closed down to the bottom. */
  area: string;
  thresholdY: number | null;
}

/** Draws losses into a box. The scale begins at zero and leaves room above the threshold, so that calm pumps look alike. */
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
  let begun = -1;
  const close = (to: number) => {
    if (begun >= 0) area += `L${x(t[to])} ${height}L${x(t[begun])} ${height}Z`;
    begun = -1;
  };
  for (let i = 0; i < count; i++) {
    if (begun >= 0 && t[i] - t[i - 1] > gapMs) close(i - 1);
    const step = `${begun < 0 ? 'M' : 'L'}${x(t[i])} ${y(loss[i]).toFixed(1)}`;
    if (begun < 0) begun = i;
    line += step;
    area += step;
  }
  close(count - 1);
  return { line, area, thresholdY: threshold === null ? null : y(threshold) };
}
