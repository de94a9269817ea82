// By which time the age of a reading goes. Pure.

/** A reading's time is at most this far from its receipt, else it is of the past (or of the future). */
const CURRENT_MS = 60_000;

/**
 * The time, by the node's clock, that a reading is as old as: when it was received, as a device's clock may be off by seconds;
 * of a reading of the past its own time, however lately it was sent.
 */
export function readingAt(receivedAt: number, t: number): number {
  return Math.abs(receivedAt - t) <= CURRENT_MS ? receivedAt : t;
}
