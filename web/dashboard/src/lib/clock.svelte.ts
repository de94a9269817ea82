// The node's time, as well as the browser knows it: ages are differences of the node's times, and a phone's clock may be
// minutes off. Ticks once a second for everything that shows an age.

/** Frames arrive with some delay; less than this is no news of the clock. */
const TOLERANCE_MS = 400;

class Clock {
  /** The node's time, in epoch milliseconds, renewed every second. */
  now = $state(Date.now());

  #offset = 0;
  #synced = false;

  constructor() {
    setInterval(() => (this.now = this.exact()), 1000);
  }

  /** The node's time at this moment. */
  exact(): number {
    return Date.now() + this.#offset;
  }

  /** Learns the node's time from an answer or event. */
  sync(nodeNow: number): void {
    const offset = nodeNow - Date.now();
    if (this.#synced && Math.abs(offset - this.#offset) < TOLERANCE_MS) return;
    this.#offset = offset;
    this.#synced = true;
    this.now = this.exact();
  }
}

export const clock = new Clock();
