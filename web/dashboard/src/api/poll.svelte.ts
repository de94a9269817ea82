// A question that is asked again and again: its last answer, when that came, and why there is no newer one.
// Answers to earlier questions never replace those to later ones. A hidden page asks nothing;
// a question without an answer is asked again soon.

import { ApiProblem } from './client';

/** After a question that had no answer. */
const RETRY_MS = 3_000;

export class Poll<T> {
  /** The last good answer. */
  data = $state.raw<T | null>(null);
  /** Why the last question had none. */
  problem = $state.raw<ApiProblem | null>(null);
  /** When the last good answer came, by the browser's clock. */
  at = $state<number | null>(null);

  #ask: () => Promise<T>;
  #everyMs: number | null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #asked = 0;
  #running = false;

  /** `everyMs` null: once, and when told to. */
  constructor(ask: () => Promise<T>, everyMs: number | null = null) {
    this.#ask = ask;
    this.#everyMs = everyMs;
  }

  /** Begins; the result ends it. */
  start(): () => void {
    this.#running = true;
    void this.refresh();
    return () => {
      this.#running = false;
      this.#cancel();
    };
  }

  refresh = async (): Promise<void> => {
    this.#cancel();
    const turn = ++this.#asked;
    try {
      const data = await this.#ask();
      if (turn !== this.#asked) return;
      this.data = data;
      this.problem = null;
      this.at = Date.now();
    } catch (error) {
      if (turn !== this.#asked) return;
      this.problem = error instanceof ApiProblem ? error : new ApiProblem(0, String(error));
    }
    this.#again();
  };

  #again(): void {
    const pause = this.problem ? Math.min(RETRY_MS, this.#everyMs ?? RETRY_MS) : this.#everyMs;
    if (!this.#running || pause === null) return;
    this.#cancel();
    this.#timer = setTimeout(() => (document.hidden ? this.#again() : void this.refresh()), pause);
  }

  #cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
