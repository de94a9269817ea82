// Reports whether the user points at the list, so that its order can stand still. A pointer that has not moved for 30 s no longer
// counts: otherwise the list of a wall screen would never be sorted again.

const IDLE_TIMEOUT_MS = 30_000;
/** How long the order still stands after a touch has ended, in milliseconds: the click of a tap comes after the touch. */
const AFTER_TOUCH_MS = 800;

export class PointerHold {
  #onChange: (held: boolean) => void;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(onChange: (held: boolean) => void) {
    this.#onChange = onChange;
  }

  enter = (): void => {
    this.#onChange(true);
    this.#endAfter(IDLE_TIMEOUT_MS);
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
    this.#onChange(false);
  }
}
