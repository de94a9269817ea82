// The order of the fleet: worst first. It is updated when a status or a pump's alarms change, else every 10 s, and never while the user points at the
// list: a list that moves while it is read or aimed at is worse than one that is a little out of date. An example:
//
//   pumps a (NORMAL) and b (NORMAL) are shown in this order;
//   b becomes ANOMALY while the pointer is on the list: the order stays a, b, and `pending` is true;
//   the pointer leaves: the order is b, a.

import type { AlarmSummary } from '../../api/types';
import { alarmRank } from '../../lib/alarms';
import { STATUS, type DisplayStatus } from '../../lib/status';
import { hasOpenEvent, hasStandingAlarm, isSilentAnomaly } from './summary';

export interface RankedPump {
  id: string;
  status: DisplayStatus;
  loss: number | null;
  threshold: number | null;
  activeEvents: number;
  alarms: AlarmSummary;
}

/** How long an order stays while no status changes. */
export const RESORT_INTERVAL_MS = 10_000;

const byName = new Intl.Collator('en', { numeric: true });

/**
 * Worst first: pumps with unacknowledged alarms, then with acknowledged ones, each by priority; then anomalies, also of pumps that have
 * fallen silent, by loss over threshold; then pumps with open events; then by status and id, with 9 before 10. An alarm leads also
 * while the pump is learning, has no model, or is silent.
 */
export function worstFirst(a: RankedPump, b: RankedPump): number {
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0) return rank;
  if (isAnomaly(a) || isAnomaly(b)) {
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
    const statuses = rows.map((row) => `${row.id} ${rankOf(row)}`).join('\n');
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

/** Alarms first, then anomalies; a pump with open events is ranked after these and before all others. */
function rankOf(row: RankedPump): number {
  if (hasStandingAlarm(row)) return (alarmRank(row.alarms) ?? 0) - 8;
  if (isAnomaly(row)) return STATUS.ANOMALY.rank;
  return hasOpenEvent(row) ? STATUS.ANOMALY.rank + 0.5 : STATUS[row.status].rank;
}

const isAnomaly = (row: RankedPump): boolean => row.status === 'ANOMALY' || isSilentAnomaly(row);

function ratioOf(row: RankedPump): number {
  const { loss, threshold } = row;
  return isAnomaly(row) && loss !== null && threshold !== null && threshold > 0 ? loss / threshold : 0;
}
