// What all time charts of a page share: the time range they show, the cursor, and when they are drawn. A view has three modes:
//
//   live       follows the newest data;
//   pointing   the pointer is over a chart: the range stands still; back to live LEAVE_DELAY_MS after the pointer has left;
//   pinned     after a click, a key or a zoom: the range stands still until "back to live".
//
// Data is collected in all modes. All charts are drawn in the same animation frame, and none while the tab is hidden.

export interface TimeRange {
  min: number;
  max: number;
}

const DAY_MS = 24 * 60 * 60_000;

/** The lengths that a user can choose. */
export const RANGES = [
  { ms: 2 * 60_000, label: '2 min' },
  { ms: 10 * 60_000, label: '10 min' },
  { ms: 60 * 60_000, label: '1 h' },
  { ms: DAY_MS, label: '24 h' },
  { ms: 7 * DAY_MS, label: '7 d' },
  { ms: 30 * DAY_MS, label: '30 d' },
  { ms: 365 * DAY_MS, label: '1 y' },
];

/** The shortest range that contains at least 30 readings at this interval; at least the default of 10 min. */
export const initialRangeMs = (intervalMs: number): number =>
  RANGES.slice(1).find(({ ms }) => ms >= 30 * intervalMs)?.ms ?? RANGES[RANGES.length - 1].ms;

/** The longest range whose readings are drawn one by one; a longer range is drawn from aggregates. */
export const MAX_RAW_RANGE_MS = 60 * 60_000;

/** How long the range stands still after the pointer has left a chart: moving on to the next chart does not jump. */
const LEAVE_DELAY_MS = 500;
const MIN_RANGE_MS = 5_000;

export class ChartView {
  /** The length of the range in live mode. */
  rangeMs = $state(RANGES[1].ms);
  mode = $state<'live' | 'pointing' | 'pinned'>('live');
  /** The time that the user points at, in epoch milliseconds. */
  cursor = $state<number | null>(null);

  #newest: () => number;
  #onRangeChange: () => void;
  /** The range while it stands still. */
  #heldRange: TimeRange | null = null;
  #userChose = false;
  #charts = new Set<() => void>();
  #frame: number | null = null;
  #leaveTimer: ReturnType<typeof setTimeout> | null = null;

  /** `newest`: the time of the newest data. `onRangeChange`: called when the user chooses another range, or goes back to live. */
  constructor(newest: () => number, onRangeChange: () => void = () => {}) {
    this.#newest = newest;
    this.#onRangeChange = onRangeChange;
  }

  /** Whether the range in live mode is longer than MAX_RAW_RANGE_MS. */
  get long(): boolean {
    return this.rangeMs > MAX_RAW_RANGE_MS;
  }

  get live(): boolean {
    return this.mode === 'live';
  }

  /** The range that is shown now. */
  range(): TimeRange {
    if (this.#heldRange) return this.#heldRange;
    const max = this.#newest();
    return { min: max - this.rangeMs, max };
  }

  /** Adds a chart; the returned function removes it. */
  register(draw: () => void): () => void {
    this.#charts.add(draw);
    this.invalidate();
    return () => this.#charts.delete(draw);
  }

  /** Must be called when there is new data. */
  dataChanged(): void {
    if (!this.#heldRange) this.invalidate();
  }

  /** Draws all charts in the next animation frame. */
  invalidate(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      for (const draw of this.#charts) draw();
    });
  }

  /** Sets the initial length, unless the user has chosen one or the view is not live. */
  setInitialRange(rangeMs: number): void {
    if (this.#userChose || this.mode !== 'live' || rangeMs === this.rangeMs) return;
    this.rangeMs = rangeMs;
    this.#onRangeChange();
    this.invalidate();
  }

  /** Shows the newest data of the length that the user has chosen. */
  choose(rangeMs: number): void {
    this.#userChose = true;
    this.rangeMs = rangeMs;
    this.backToLive();
  }

  point(t: number): void {
    this.#cancelLeave();
    this.#holdRange();
    if (this.mode === 'live') this.mode = 'pointing';
    this.cursor = t;
  }

  /** The pointer has left. A pinned view stays as it is. */
  leave(): void {
    if (this.mode !== 'pointing') return;
    this.#cancelLeave();
    this.#leaveTimer = setTimeout(() => this.backToLive(), LEAVE_DELAY_MS);
  }

  pin(): void {
    this.#cancelLeave();
    this.#holdRange();
    this.mode = 'pinned';
  }

  /** Shows this range and pins it. */
  zoom(min: number, max: number): void {
    const middle = (min + max) / 2;
    const half = Math.max(max - min, MIN_RANGE_MS) / 2;
    this.pin();
    this.#heldRange = { min: middle - half, max: middle + half };
    this.invalidate();
    this.#onRangeChange();
  }

  /** Shows the hour around a time, and pins it. Back in live mode the range is a day. */
  showAround(t: number): void {
    this.#userChose = true;
    this.rangeMs = DAY_MS;
    this.zoom(t - MAX_RAW_RANGE_MS / 2, t + MAX_RAW_RANGE_MS / 2);
  }

  backToLive = (): void => {
    this.#cancelLeave();
    this.#heldRange = null;
    this.cursor = null;
    this.mode = 'live';
    this.invalidate();
    this.#onRangeChange();
  };

  close(): void {
    this.#cancelLeave();
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#charts.clear();
  }

  #holdRange(): void {
    this.#heldRange ??= this.range();
  }

  #cancelLeave(): void {
    if (this.#leaveTimer !== null) clearTimeout(this.#leaveTimer);
    this.#leaveTimer = null;
  }
}
