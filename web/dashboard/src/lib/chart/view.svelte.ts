// What all time charts of a page have in common: the stretch of time they show, the moment that is pointed at, and when they are
// drawn. A view follows the newest data until a person looks closer: pointing at a chart holds it while the pointer is there,
// a click, a key or a zoom pins it until "back to live". Data goes on being collected meanwhile. All charts are drawn in one
// animation frame, and in none while the tab is hidden.

export interface Stretch {
  min: number;
  max: number;
}

const DAY_MS = 24 * 60 * 60_000;

export const WINDOWS = [
  { ms: 2 * 60_000, label: '2 min' },
  { ms: 10 * 60_000, label: '10 min' },
  { ms: 60 * 60_000, label: '1 h' },
  { ms: DAY_MS, label: '24 h' },
  { ms: 7 * DAY_MS, label: '7 d' },
  { ms: 30 * DAY_MS, label: '30 d' },
  { ms: 365 * DAY_MS, label: '1 y' },
];

/** The shortest length that has some thirty readings so far apart; not less than the usual one. */
export const lengthFor = (everyMs: number): number =>
  WINDOWS.slice(1).find(({ ms }) => ms >= 30 * everyMs)?.ms ?? WINDOWS[WINDOWS.length - 1].ms;

/** Up to this long a view shows readings one by one; a longer one shows them summed up. */
export const ONE_BY_ONE_MS = 60 * 60_000;

/** After the pointer has left a chart, so that crossing from one to the next does not jump. */
const LEAVE_MS = 500;
const SHORTEST_MS = 5_000;

export class ChartView {
  /** How long the view is while it follows. */
  windowMs = $state(WINDOWS[1].ms);
  mode = $state<'live' | 'pointing' | 'pinned'>('live');
  /** The moment that is pointed at, in epoch milliseconds. */
  cursor = $state<number | null>(null);

  #newest: () => number;
  #moved: () => void;
  #held: Stretch | null = null;
  #chosen = false;
  #charts = new Set<() => void>();
  #frame: number | null = null;
  #leaving: ReturnType<typeof setTimeout> | null = null;

  /** `newest`: the time of the newest data. `moved`: a person has chosen another stretch, or has gone back to live. */
  constructor(newest: () => number, moved: () => void = () => {}) {
    this.#newest = newest;
    this.#moved = moved;
  }

  /** Whether the view, while it follows, is too long for readings one by one. */
  get long(): boolean {
    return this.windowMs > ONE_BY_ONE_MS;
  }

  get live(): boolean {
    return this.mode === 'live';
  }

  /** What is shown now. */
  stretch(): Stretch {
    if (this.#held) return this.#held;
    const max = this.#newest();
    return { min: max - this.windowMs, max };
  }

  /** Adds a chart; the result takes it away. */
  register(draw: () => void): () => void {
    this.#charts.add(draw);
    this.invalidate();
    return () => this.#charts.delete(draw);
  }

  /** There is new data. */
  data(): void {
    if (!this.#held) this.invalidate();
  }

  /** Draws all charts with the next frame. */
  invalidate(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      for (const draw of this.#charts) draw();
    });
  }

  /** Shows another length than usual to begin with, unless a person has chosen one, or looks at something. */
  begin(windowMs: number): void {
    if (this.#chosen || this.mode !== 'live' || windowMs === this.windowMs) return;
    this.windowMs = windowMs;
    this.#moved();
    this.invalidate();
  }

  choose(windowMs: number): void {
    this.#chosen = true;
    this.windowMs = windowMs;
    this.backToLive();
  }

  point(t: number): void {
    this.#stay();
    this.#hold();
    if (this.mode === 'live') this.mode = 'pointing';
    this.cursor = t;
  }

  /** The pointer has gone. What is pinned stays. */
  leave(): void {
    if (this.mode !== 'pointing') return;
    this.#stay();
    this.#leaving = setTimeout(() => this.backToLive(), LEAVE_MS);
  }

  pin(): void {
    this.#stay();
    this.#hold();
    this.mode = 'pinned';
  }

  /** Shows this stretch and stays there. */
  zoom(min: number, max: number): void {
    const middle = (min + max) / 2;
    const half = Math.max(max - min, SHORTEST_MS) / 2;
    this.pin();
    this.#held = { min: middle - half, max: middle + half };
    this.invalidate();
    this.#moved();
  }

  backToLive = (): void => {
    this.#stay();
    this.#held = null;
    this.cursor = null;
    this.mode = 'live';
    this.invalidate();
    this.#moved();
  };

  close(): void {
    this.#stay();
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#charts.clear();
  }

  #hold(): void {
    this.#held ??= this.stretch();
  }

  #stay(): void {
    if (this.#leaving !== null) clearTimeout(this.#leaving);
    this.#leaving = null;
  }
}
