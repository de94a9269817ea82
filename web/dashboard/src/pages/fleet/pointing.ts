// Whether someone points at the list. A mouse left lying on it for half a minute no longer counts: a wall screen would never be re-sorted.

const RESTING_MS = 30_000;
/** A finger that lifts has not yet tapped. */
const AFTER_TOUCH_MS = 800;

export class Pointing {
  #tell: (held: boolean) => void;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(tell: (held: boolean) => void) {
    this.#tell = tell;
  }

  enter = (): void => {
    this.#tell(true);
    this.#endAfter(RESTING_MS);
  };

  leave = (event: PointerEvent): void => {
    if (event.pointerType === 'mouse') this.#end();
    else this.#endAfter(AFTER_TOUCH_MS);
  };

  #endAfter(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(), ms);
  }

  #end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#tell(false);
  }
}
