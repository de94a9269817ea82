// The state of the fleet page: rows from /api/pumps, updated by the stream's `fleet` event once a second. The fields that only
// /api/pumps has (since when, why, open events) are requested again after a status change, and every 30 s.

import { liveConnection } from '../../api/liveConnection.svelte';
import { Poll } from '../../api/poll.svelte';
import { fetchPumps, type ResultList } from '../../api/queries';
import type { AlarmsEvent, Feed, FleetEvent, Incomplete, Learning, Pump, RemovedEvent, RenamedEvent, Status } from '../../api/types';
import { NO_ALARMS, shownPriority, sumAlarms, summaryInWords } from '../../lib/alarms';
import { clock } from '../../lib/clock.svelte';
import { Columns } from '../../lib/columns';
import { displayStatus, STATUS, type DisplayStatus } from '../../lib/status';
import { FleetOrder } from './fleetOrder';
import { countStatuses, hasOpenEvent, hasStandingAlarm, isSilentAnomaly, type Attention } from './summary';

/** The number of losses in a row's trend. */
const TREND_POINTS = 120;
const POLL_INTERVAL_MS = 30_000;
/** The delay of the request after a status change: changes come in bursts, and one request serves a burst. */
const REFRESH_DELAY_MS = 700;
/** The least time between two requests, per pump: 500 rows with their trends are more than 1 MB. */
const MIN_PAUSE_PER_PUMP_MS = 20;

/** One pump. */
export class PumpRow {
  readonly id: string;
  /** The name of its profile. */
  profile = $state('');
  /** Its display name, if it has one. */
  name = $state<string | null>(null);
  status = $state<DisplayStatus>('UNKNOWN');
  /** In a demo: whether the pump is no longer simulated. */
  simulationEnded = false;
  reason = $state<string | null>(null);
  /** The fault of its clock, if any. */
  clock = $state<string | null>(null);
  learning = $state.raw<Learning | null>(null);
  /** How often it reads and posts, and advice about that. */
  feed = $state.raw<Feed | null>(null);
  /** When the status began, by the node's clock. */
  since = $state<number | null>(null);
  /** When the newest reading was received, by the node's clock. */
  receivedAt = $state<number | null>(null);
  /** The time of its newest reading by the pump's clock; null unless that clock has a fault. */
  deviceTime = $state<number | null>(null);
  loss = $state<number | null>(null);
  threshold = $state<number | null>(null);
  topChannel = $state<string | null>(null);
  activeEvents = $state(0);
  alarms = $state.raw(NO_ALARMS);
  /** The last verdict before it fell silent was an anomaly. */
  readonly silentAnomaly = $derived(isSilentAnomaly(this));
  /** Incremented with each change of `trend`. */
  version = $state(0);
  /** The last losses. */
  readonly trend = new Columns(1, TREND_POINTS);

  constructor(id: string) {
    this.id = id;
  }
}

class Fleet {
  /** In display order. */
  rows = $state.raw<PumpRow[]>([]);
  /** Another order will be shown when the user no longer points at the list. */
  orderPending = $state(false);
  /** The last changes, for screen readers. */
  announcement = $state('');
  counts = $derived(countStatuses(this.rows));
  /** What calls for attention beside the statuses. */
  attention: Attention = $derived({
    withAlarms: this.rows.filter((row) => hasStandingAlarm(row) && row.status !== 'ANOMALY' && row.status !== 'STALE').length,
    withEvents: this.rows.filter(hasOpenEvent).length,
    silentAnomalies: this.rows.filter((row) => row.silentAnomaly).length,
    alarms: sumAlarms(this.rows.filter(hasStandingAlarm).map((row) => row.alarms)),
  });

  readonly poll = new Poll(async () => this.#load(await fetchPumps()), POLL_INTERVAL_MS);
  /** Why rows may be missing. */
  incomplete = $state.raw<Incomplete | null>(null);

  #byId = new Map<string, PumpRow>();
  #order = new FleetOrder();
  #held = false;
  #loadedAt = 0;
  #refreshTimer: ReturnType<typeof setTimeout> | null = null;

  /** Starts to follow the fleet; the returned function ends that. */
  follow(): () => void {
    const stop = this.poll.start();
    const on = {
      fleet: (event: FleetEvent) => this.#onFleet(event),
      alarms: (event: AlarmsEvent) => this.#onAlarms(event),
      removed: (event: RemovedEvent) => this.#onRemoved(event),
      renamed: (event: RenamedEvent) => this.#onRenamed(event),
    };
    const disconnect = liveConnection.follow('/api/stream?events=fleet', on, () => this.poll.refresh());
    return () => {
      stop();
      disconnect();
      if (this.#refreshTimer !== null) clearTimeout(this.#refreshTimer);
      this.#refreshTimer = null;
      this.#held = false;
    };
  }

  /** Sets whether the user points at the list. */
  hold(held: boolean): void {
    this.#held = held;
    if (!held && this.orderPending) this.#updateOrder();
  }

  #load({ items: pumps, incomplete }: ResultList<Pump>): true {
    this.incomplete = incomplete ?? null;
    const now = clock.exact();
    const removed = new Set(this.#byId.keys());
    for (const pump of pumps) {
      removed.delete(pump.pump_id);
      const row = this.#rowOf(pump.pump_id);
      row.name = pump.name;
      row.profile = pump.profile;
      row.simulationEnded = pump.simulation_ended;
      this.#setStatus(row, pump.status);
      row.reason = pump.status_reason;
      row.clock = pump.clock?.note ?? null;
      row.learning = pump.learning;
      row.feed = pump.feed;
      row.since = pump.since === null ? null : Date.parse(pump.since);
      row.receivedAt = pump.age_ms === null ? null : now - pump.age_ms;
      row.deviceTime = pump.clock === null || pump.last_reading_at === null ? null : Date.parse(pump.last_reading_at);
      row.loss = pump.loss;
      row.threshold = pump.threshold;
      row.topChannel = pump.top_channel;
      row.activeEvents = pump.active_events;
      row.alarms = pump.alarms;
      this.#extendTrend(row, pump.trend);
    }
    for (const id of removed) this.#byId.delete(id);
    this.#loadedAt = Date.now();
    this.#updateOrder();
    return true;
  }

  /** Adds the losses that are newer than the row's last one. */
  #extendTrend(row: PumpRow, { t, loss }: Pump['trend']): void {
    const last = row.trend.last;
    const first = isNaN(last) ? 0 : t.findIndex((at) => at > last);
    if (first < 0 || t.length === 0) return;
    row.trend.add({ t: t.slice(first), columns: [loss.slice(first)] });
    row.version++;
  }

  #onFleet(event: FleetEvent): void {
    clock.sync(event.now);
    const changes: string[] = [];
    let hasUnknownPump = false;
    event.pumps.forEach((id, i) => {
      const row = this.#byId.get(id);
      if (!row) {
        hasUnknownPump = true;
        return;
      }
      if (this.#setStatus(row, event.status[i])) {
        row.since = event.now;
        row.reason = null;
        row.learning = null;
        changes.push(`${row.name ?? id}: ${STATUS[row.status].word.toLowerCase()}`);
      }
      row.clock = event.clock[i];
      if (row.clock === null) row.deviceTime = null;
      const age = event.age_ms[i];
      row.receivedAt = age === null ? row.receivedAt : event.now - age;
      row.loss = event.loss[i];
      row.threshold = event.threshold[i];
      row.alarms = event.alarms[i];
      const [at, loss] = [event.at[i], event.loss[i]];
      if (at !== null && loss !== null && !(at <= row.trend.last)) {
        row.trend.add({ t: [at], columns: [[loss]] });
        row.version++;
      }
    });
    if (changes.length > 0) this.announcement = changes.slice(0, 5).join('; ');
    if (hasUnknownPump || changes.length > 0) this.#refreshSoon();
    this.#updateOrder();
  }

  #onAlarms({ pump, alarms }: AlarmsEvent): void {
    const row = this.#byId.get(pump);
    if (!row) return this.#refreshSoon();
    const before = shownPriority(row.alarms);
    const more = alarms.unacknowledged > row.alarms.unacknowledged;
    row.alarms = alarms;
    if (more || shownPriority(alarms) !== before) this.announcement = `${row.name ?? pump}: ${summaryInWords(alarms).toLowerCase() || 'no alarm stands'}`;
    this.#updateOrder();
  }

  #onRemoved(event: RemovedEvent): void {
    if (!this.#byId.delete(event.pump)) return;
    this.announcement = `${event.pump}: removed`;
    this.#updateOrder();
    // The response to an earlier request may still contain the pump.
    this.#refreshSoon();
  }

  #onRenamed({ pump, name }: RenamedEvent): void {
    const row = this.#byId.get(pump);
    if (row) row.name = name;
  }

  /** Sets the status; returns whether it has changed. */
  #setStatus(row: PumpRow, status: Status): boolean {
    const next = displayStatus(status, row.simulationEnded);
    if (row.status === next) return false;
    row.status = next;
    return true;
  }

  #rowOf(id: string): PumpRow {
    let row = this.#byId.get(id);
    if (!row) this.#byId.set(id, (row = new PumpRow(id)));
    return row;
  }

  #updateOrder(): void {
    const { ids, pending } = this.#order.update([...this.#byId.values()], clock.exact(), this.#held);
    this.orderPending = pending;
    const same = ids.length === this.rows.length && ids.every((id, i) => this.rows[i].id === id);
    if (!same) this.rows = ids.flatMap((id) => this.#byId.get(id) ?? []);
  }

  #refreshSoon(): void {
    const pauseLeft = this.#loadedAt + MIN_PAUSE_PER_PUMP_MS * this.#byId.size - Date.now();
    this.#refreshTimer ??= setTimeout(
      () => {
        this.#refreshTimer = null;
        void this.poll.refresh();
      },
      Math.max(REFRESH_DELAY_MS, pauseLeft),
    );
  }
}

/** Kept while other pages are shown, so that going back is instant. */
export const fleet = new Fleet();
