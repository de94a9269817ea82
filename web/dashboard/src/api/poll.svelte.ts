// Repeats a request, and holds its last result, the time at which the result arrived, and the reason if there is no newer one.
// The response to an earlier request never replaces the response to a later one. While the page is hidden, no request is
// repeated. A failed request is repeated after at most RETRY_MS.

import { ApiProblem } from './client';

/** The pause after a failed request. */
const RETRY_MS = 3_000;

export class Poll<T> {
  /** The last good result. */
  data = $state.raw<T | null>(null);
  /** Why the last request failed; null if it succeeded. */
  problem = $state.raw<ApiProblem | null>(null);
  /** When the last good result arrived, by the browser's clock. */
  at = $state<number | null>(null);

  #fetch: () => Promise<T>;
  #intervalMs: number | null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** The number of the newest request. */
  #newest = 0;
  #running = false;

  /** Fetches every `intervalMs`; if that is null, only at `start` and at each `refresh`. */
  constructor(fetch: () => Promise<T>, intervalMs: number | null = null) {
    this.#fetch = fetch;
    this.#intervalMs = intervalMs;
  }

  /** Starts polling; the returned function stops it. */
  start(): () => void {
    this.#running = true;
    void this.refresh();
    return () => {
      this.#running = false;
      this.#cancelTimer();
    };
  }

  refresh = async (): Promise<void> => {
    this.#cancelTimer();
    const request = ++this.#newest;
    try {
      const data = await this.#fetch();
      if (request !== this.#newest) return;
      this.data = data;
      this.problem = null;
      this.at = Date.now();
    } catch (error) {
      if (request !== this.#newest) return;
      this.problem = error instanceof ApiProblem ? error : new ApiProblem(0, String(error));
    }
    this.#scheduleNext();
  };

  /** Shows a newer result, which came with another request. A response that is still under way is older, and ignored. */
  replace(data: T): void {
    this.#cancelTimer();
    this.#newest++;
    this.data = data;
    this.problem = null;
    this.at = Date.now();
    this.#scheduleNext();
  }

  #scheduleNext(): void {
    const pause = this.problem ? Math.min(RETRY_MS, this.#intervalMs ?? RETRY_MS) : this.#intervalMs;
    if (!this.#running || pause === null) return;
    this.#cancelTimer();
    this.#timer = setTimeout(() => (document.hidden ? this.#scheduleNext() : void this.refresh()), pause);
  }

  #cancelTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
