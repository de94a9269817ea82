// The vertical scale of a chart. It changes only when necessary: a scale that moves with every reading is hard to read. It grows
// at once when data leaves it, and shrinks when data needs less than SHRINK_BELOW of it. Pure.

export interface ScaleContent {
  /** The data's extremes in view; NaN if there are none. */
  low: number;
  high: number;
  /** The scale spans at least this much. */
  minSpan: number;
  /** The scale starts at zero. */
  fromZero: boolean;
  /** Lines that are always within the scale. */
  always: readonly number[];
  /** Lines that are within the scale while the data is near them. */
  near: readonly number[];
}

/** The largest distance of a near line, in spans of the data. */
const NEAR_SPANS = 1.5;
/** The padding above and below, as a share of the content's span. */
const PADDING = 0.15;
/** The scale shrinks if its content needs less than this share of it. */
const SHRINK_BELOW = 0.55;

export class YScale {
  min = 0;
  max = 1;
  #set = false;

  /** Fits the content; returns whether the scale has changed. */
  fit(content: ScaleContent): boolean {
    const range = targetRange(content);
    if (!range) return false;
    const [low, high] = range;
    const fits = this.#set && low >= this.min && high <= this.max && high - low >= SHRINK_BELOW * (this.max - this.min);
    if (fits) return false;
    const padding = (high - low) * PADDING;
    this.min = content.fromZero ? 0 : low - padding;
    this.max = high + padding;
    this.#set = true;
    return true;
  }
}

function targetRange({ low, high, minSpan, fromZero, always, near }: ScaleContent): [number, number] | null {
  let [from, to] = [low, high];
  if (isNaN(from) || isNaN(to)) {
    if (always.length === 0) return null;
    [from, to] = [Math.min(...always), Math.max(...always)];
  }
  if (fromZero) from = Math.min(0, from);
  for (const line of always) {
    from = Math.min(from, line);
    to = Math.max(to, line);
  }
  const shortfall = minSpan - (to - from);
  if (shortfall > 0) {
    from -= fromZero ? 0 : shortfall / 2;
    to += fromZero ? shortfall : shortfall / 2;
  }
  const maxDistance = (to - from) * NEAR_SPANS;
  const [bottom, top] = [from, to];
  for (const line of near) {
    if (line > top && line - top <= maxDistance) to = Math.max(to, line);
    if (line < bottom && bottom - line <= maxDistance) from = Math.min(from, line);
  }
  return to > from ? [from, to] : [from - 0.5, to + 0.5];
}
