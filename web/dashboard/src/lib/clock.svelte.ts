// The node's time, estimated by the browser. Ages are differences of the node's times, since a phone's clock may be minutes off.
// Ticks once a second for everything that shows an age.

/** A smaller difference is ignored: it may be the delay of a frame. */
const TOLERANCE_MS = 400;

class Clock {
  /** The node's time in epoch milliseconds, updated every second. */
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

  /** Sets the clock by the node's time in a response or event. */
  sync(nodeNow: number): void {
    const offset = nodeNow - Date.now();
    if (this.#synced && Math.abs(offset - this.#offset) < TOLERANCE_MS) return;
    this.#offset = offset;
    this.#synced = true;
    this.now = this.exact();
  }
}

export const clock = new Clock();
