// When a pause between two readings is a hole in the data.

/** Longer than the larger of ten intervals and 15 s: there a pump's window starts anew, and a chart draws no line across. */
export const gapMs = (intervalMs: number): number => Math.max(10 * intervalMs, 15_000);
