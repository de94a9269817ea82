// The order of the fleet: worst first, and calm. A list that is re-sorted while a person reads or aims is worse than one that is a
// little out of date, so it is re-sorted when a status changes, else every ten seconds, and never under a pointer.

import { STATUS, type Shown } from '../../lib/status';
import { hasOpenEvent } from './summary';

export interface Ranked {
  id: string;
  status: Shown;
  loss: number | null;
  threshold: number | null;
  activeEvents: number;
}

/** How long an order stands while no status changes. */
export const RESORT_MS = 10_000;

const byName = new Intl.Collator('en', { numeric: true });

/** Worst first: anomalies, the highest loss against threshold first; then what has open events; else by name, with 9 before 10. */
export function worstFirst(a: Ranked, b: Ranked): number {
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0) return rank;
  if (a.status === 'ANOMALY') {
    const ratio = ratioOf(b) - ratioOf(a);
    if (ratio !== 0) return ratio;
  }
  return byName.compare(a.id, b.id);
}

/** Decides when the order changes. */
export class Order {
  #ids: string[] = [];
  #statuses = '';
  #sortedAt = -Infinity;

  /** The order now. `held`: someone points at the list. A new pump comes last while it is. */
  of(rows: readonly Ranked[], now: number, held: boolean): { ids: string[]; waiting: boolean } {
    const statuses = rows.map((row) => `${row.id} ${row.status} ${hasOpenEvent(row)}`).join('\n');
    const due = statuses !== this.#statuses || now - this.#sortedAt >= RESORT_MS;
    if (!due) return { ids: this.#ids, waiting: false };
    const sorted = [...rows].sort(worstFirst).map((row) => row.id);
    if (held) {
      const here = new Set(sorted);
      const known = new Set(this.#ids);
      this.#ids = [...this.#ids.filter((id) => here.has(id)), ...sorted.filter((id) => !known.has(id))];
      return { ids: this.#ids, waiting: this.#ids.some((id, i) => id !== sorted[i]) };
    }
    if (sorted.length !== this.#ids.length || sorted.some((id, i) => id !== this.#ids[i])) this.#ids = sorted;
    this.#statuses = statuses;
    this.#sortedAt = now;
    return { ids: this.#ids, waiting: false };
  }
}

/** A pump with open events stands behind the anomalies, before all others. */
function rankOf(row: Ranked): number {
  return hasOpenEvent(row) ? STATUS.ANOMALY.rank + 0.5 : STATUS[row.status].rank;
}

function ratioOf({ loss, threshold }: Ranked): number {
  return loss !== null && threshold !== null && threshold > 0 ? loss / threshold : 0;
}
