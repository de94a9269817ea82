// The time from which the age of a reading is counted. Pure.

/** A reading is current if its time is at most this far from its receipt; else it is a reading of the past or of the future. */
const CURRENT_MS = 60_000;

/**
 * Returns the time, by the node's clock, from which a reading's age is counted. For a current reading that is its receipt, since
 * a device's clock may be off by seconds. For any other it is the reading's own time `t`, however late it was sent.
 */
export function ageOrigin(receivedAt: number, t: number): number {
  return Math.abs(receivedAt - t) <= CURRENT_MS ? receivedAt : t;
}
