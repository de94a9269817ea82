// How long a pause between two readings must be to count as a gap in the data.

/** Ten intervals, but at least 15 s. A pump's window restarts after a longer pause, and a chart draws no line across it. */
export const gapMs = (intervalMs: number): number => Math.max(10 * intervalMs, 15_000);
