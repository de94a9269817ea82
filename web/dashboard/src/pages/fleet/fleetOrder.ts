// The order of the fleet: worst first. It is updated when a status changes, else every 10 s, and never while the user points at the
// list: a list that moves while it is read or aimed at is worse than one that is a little out of date. An example:
//
//   pumps a (NORMAL) and b (NORMAL) are shown in this order;
//   b becomes ANOMALY while the pointer is on the list: the order stays a, b, and `pending` is true;
//   the pointer leaves: the order is b, a.

import { STATUS, type DisplayStatus } from '../../lib/status';
import { hasOpenEvent } from './summary';

export interface RankedPump {
  id: string;
  status: DisplayStatus;
  loss: number | null;
  threshold: number | null;
  activeEvents: number;
}

/** How long an order stays while no status changes. */
export const RESORT_INTERVAL_MS = 10_000;

const byName = new Intl.Collator('en', { numeric: true });

/** Worst first: anomalies, by loss over threshold; then pumps with open events; then by status and id, with 9 before 10. */
export function worstFirst(a: RankedPump, b: RankedPump): number {
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0) return rank;
  if (a.status === 'ANOMALY') {
    const ratio = ratioOf(b) - ratioOf(a);
    if (ratio !== 0) return ratio;
  }
  return byName.compare(a.id, b.id);
}

/** Holds the order, and decides when it changes. */
export class FleetOrder {
  #ids: string[] = [];
  #statuses = '';
  #sortedAt = -Infinity;

  /** Returns the order now. `held`: the user points at the list; until that ends, new pumps are added at the end. */
  update(rows: readonly RankedPump[], now: number, held: boolean): { ids: string[]; pending: boolean } {
    const statuses = rows.map((row) => `${row.id} ${row.status} ${hasOpenEvent(row)}`).join('\n');
    const due = statuses !== this.#statuses || now - this.#sortedAt >= RESORT_INTERVAL_MS;
    if (!due) return { ids: this.#ids, pending: false };
    const sorted = [...rows].sort(worstFirst).map((row) => row.id);
    if (held) {
      const present = new Set(sorted);
      const known = new Set(this.#ids);
      this.#ids = [...this.#ids.filter((id) => present.has(id)), ...sorted.filter((id) => !known.has(id))];
      return { ids: this.#ids, pending: this.#ids.some((id, i) => id !== sorted[i]) };
    }
    if (sorted.length !== this.#ids.length || sorted.some((id, i) => id !== this.#ids[i])) this.#ids = sorted;
    this.#statuses = statuses;
    this.#sortedAt = now;
    return { ids: this.#ids, pending: false };
  }
}

/** A pump with open events is ranked after the anomalies and before all others. */
function rankOf(row: RankedPump): number {
  return hasOpenEvent(row) ? STATUS.ANOMALY.rank + 0.5 : STATUS[row.status].rank;
}

function ratioOf({ loss, threshold }: RankedPump): number {
  return loss !== null && threshold !== null && threshold > 0 ? loss / threshold : 0;
}
