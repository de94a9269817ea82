// The height of a chart's scale. It moves only when it must: a scale that breathes with every reading cannot be read. Pure.

export interface Content {
  /** The data's extremes in view; NaN where there are none. */
  low: number;
  high: number;
  /** Less than this is not worth a whole chart's height. */
  leastSpan: number;
  /** The scale begins at zero. */
  fromZero: boolean;
  /** Lines that are always in the picture. */
  always: readonly number[];
  /** Lines that are in the picture while the data comes near them. */
  near: readonly number[];
}

/** How near a line must be, in spans of the data. */
const NEAR = 1.5;
/** Room above and below. */
const PADDING = 0.15;
/** Data that needs less of the scale than this gets a smaller one. */
const ROOMY = 0.55;

export class YScale {
  min = 0;
  max = 1;
  #set = false;

  /** Makes the content fit; says whether the scale has changed. */
  fit(content: Content): boolean {
    const wanted = target(content);
    if (!wanted) return false;
    const [low, high] = wanted;
    const fits = this.#set && low >= this.min && high <= this.max && high - low >= ROOMY * (this.max - this.min);
    if (fits) return false;
    const padding = (high - low) * PADDING;
    this.min = content.fromZero ? 0 : low - padding;
    this.max = high + padding;
    this.#set = true;
    return true;
  }
}

function target({ low, high, leastSpan, fromZero, always, near }: Content): [number, number] | null {
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
  const missing = leastSpan - (to - from);
  if (missing > 0) {
    from -= fromZero ? 0 : missing / 2;
    to += fromZero ? missing : missing / 2;
  }
  const reach = (to - from) * NEAR;
  const [bottom, top] = [from, to];
  for (const line of near) {
    if (line > top && line - top <= reach) to = Math.max(to, line);
    if (line < bottom && bottom - line <= reach) from = Math.min(from, line);
  }
  return to > from ? [from, to] : [from - 0.5, to + 0.5];
}
