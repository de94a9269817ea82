// Selects the rows of a long series that are drawn: all of them if they are few, else the lowest and the highest of each time
// bucket, so that no peak is lost. Buckets start at fixed times and not at the view's edge: a moving chart does not shimmer.
// Pure. An example with buckets of 10 ms:
//
//   rows      t = 0, 3, 6 and 12 ms with the values 1, 9, 4 and 2
//   selected  t = 0 and 3 (lowest and highest of the first bucket), t = 12 (only row of the second)

/** Marks a gap among the selected rows: no line is drawn across. */
export const GAP = -1;

export interface DownsampleInput {
  t: Float64Array;
  y: Float64Array;
  /** The first row, and the one after the last. */
  from: number;
  to: number;
  bucketMs: number;
  gapMs: number;
}

/**
 * Writes the rows to draw into `out`, in order, and returns their number; `out` must hold four per bucket. The last row is always
 * among them.
 */
export function downsample({ t, y, from, to, bucketMs, gapMs }: DownsampleInput, out: Int32Array): number {
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
