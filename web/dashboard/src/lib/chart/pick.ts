// Which rows of a long stretch are drawn: all where they are few, else the lowest and highest of each bucket, so that no peak is lost.
// Buckets stand at fixed times and not at the view's edge, or a moving chart would shimmer. Pure.

/** Stands in the picks for a gap: no line is drawn across. */
export const GAP = -1;

export interface Picking {
  t: Float64Array;
  y: Float64Array;
  /** The first row, and the one behind the last. */
  from: number;
  to: number;
  bucketMs: number;
  gapMs: number;
}

/** Writes the rows to draw into `out`, in order, and says how many; `out` must hold four per bucket. The last row is always among them. */
export function pickRows({ t, y, from, to, bucketMs, gapMs }: Picking, out: Int32Array): number {
  let count = 0;
  let row = from;
  while (row < to) {
    const bucket = Math.floor(t[row] / bucketMs);
    let low = row;
    let high = row;
    let end = row + 1;
    for (; end < to && Math.floor(t[end] / bucketMs) === bucket && t[end] - t[end - 1] <= gapMs; end++) {
      if (!(y[end] >= y[low])) low = isNaN(y[end]) ? low : end;
      if (!(y[end] <= y[high])) high = isNaN(y[end]) ? high : end;
    }
    if (isNaN(y[low])) low = high;
    if (row > from && t[row] - t[row - 1] > gapMs && count < out.length) out[count++] = GAP;
    const [first, second] = low < high ? [low, high] : [high, low];
    if (count < out.length) out[count++] = first;
    if (second !== first && count < out.length) out[count++] = second;
    if (end === to && second !== to - 1 && count < out.length) out[count++] = to - 1;
    row = end;
  }
  return count;
}
