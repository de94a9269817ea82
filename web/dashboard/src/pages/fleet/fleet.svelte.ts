// Every pump as the fleet page shows it: rows from /api/pumps, kept up by the stream's `fleet` event once a second. What only
// the rows know (since when, why, open events) is asked for again when a status changes and now and then.

import { link } from '../../api/link.svelte';
import { Poll } from '../../api/poll.svelte';
import { askPumps, type Part } from '../../api/queries';
import type { Feed, FleetEvent, Incomplete, Learning, Pump, RemovedEvent, RenamedEvent, Status } from '../../api/types';
import { clock } from '../../lib/clock.svelte';
import { Columns } from '../../lib/columns';
import { shown, STATUS, type Shown } from '../../lib/status';
import { Order } from './order';
import { countStatuses, hasOpenEvent } from './summary';

const TREND = 120;
const ROWS_EVERY_MS = 30_000;
/** Status changes come in bursts; the rows are asked for once after each. */
const AFTER_CHANGE_MS = 700;
/** Five hundred rows with their trends are more than a megabyte: large fleets are asked about less often. */
const PAUSE_PER_PUMP_MS = 20;

/** One pump. */
export class PumpRow {
  readonly id: string;
  /** Its profile's name. */
  profile = $state('');
  /** Its name for people, if it has one. */
  name = $state<string | null>(null);
  status = $state<Shown>('UNKNOWN');
  /** On a demo: it is no longer simulated. */
  simulationEnded = false;
  reason = $state<string | null>(null);
  /** What is wrong with its clock. */
  clock = $state<string | null>(null);
  learning = $state.raw<Learning | null>(null);
  /** How it posts, and what should be done about that. */
  feed = $state.raw<Feed | null>(null);
  /** Since when the status holds, by the node's clock. */
  since = $state<number | null>(null);
  /** When the newest reading was received, by the node's clock. */
  heardAt = $state<number | null>(null);
  /** The time of its newest reading, where its clock is not right. */
  readAt = $state<number | null>(null);
  loss = $state<number | null>(null);
  threshold = $state<number | null>(null);
  topChannel = $state<string | null>(null);
  activeEvents = $state(0);
  /** Counts the changes of `trend`. */
  version = $state(0);
  /** The last losses. */
  readonly trend = new Columns(1, TREND);

  constructor(id: string) {
    this.id = id;
  }
}

class Fleet {
  /** In the order they are shown. */
  rows = $state.raw<PumpRow[]>([]);
  /** A new order waits until nobody points at the list. */
  waiting = $state(false);
  /** What has just changed, for those who listen instead of looking. */
  news = $state('');
  counts = $derived(countStatuses(this.rows));
  /** Pumps with open events whose status does not say that they need attention. */
  withEvents = $derived(this.rows.filter(hasOpenEvent).length);

  readonly poll = new Poll(async () => this.#take(await askPumps()), ROWS_EVERY_MS);
  /** What of the rows cannot be read now. */
  incomplete = $state.raw<Incomplete | null>(null);

  #byId = new Map<string, PumpRow>();
  #order = new Order();
  #held = false;
  #takenAt = 0;
  #soon: ReturnType<typeof setTimeout> | null = null;

  /** Begins to follow the fleet; the result ends it. */
  follow(): () => void {
    const stop = this.poll.start();
    const on = {
      fleet: (event: FleetEvent) => this.#hear(event),
      removed: (event: RemovedEvent) => this.#remove(event),
      renamed: (event: RenamedEvent) => this.#rename(event),
    };
    const unlink = link.follow('/api/stream?events=fleet', on, () => this.poll.refresh());
    return () => {
      stop();
      unlink();
      if (this.#soon !== null) clearTimeout(this.#soon);
      this.#soon = null;
      this.#held = false;
    };
  }

  /** Someone points at the list, or no longer does. */
  hold(held: boolean): void {
    this.#held = held;
    if (!held && this.waiting) this.#arrange();
  }

  #take({ items: pumps, incomplete }: Part<Pump>): true {
    this.incomplete = incomplete ?? null;
    const now = clock.exact();
    const gone = new Set(this.#byId.keys());
    for (const pump of pumps) {
      gone.delete(pump.pump_id);
      const row = this.#row(pump.pump_id);
      row.name = pump.name;
      row.profile = pump.profile;
      row.simulationEnded = pump.simulation_ended;
      this.#turn(row, pump.status);
      row.reason = pump.status_reason;
      row.clock = pump.clock?.note ?? null;
      row.learning = pump.learning;
      row.feed = pump.feed;
      row.since = pump.since === null ? null : Date.parse(pump.since);
      row.heardAt = pump.age_ms === null ? null : now - pump.age_ms;
      row.readAt = pump.clock === null || pump.last_reading_at === null ? null : Date.parse(pump.last_reading_at);
      row.loss = pump.loss;
      row.threshold = pump.threshold;
      row.topChannel = pump.top_channel;
      row.activeEvents = pump.active_events;
      this.#extend(row, pump.trend);
    }
    for (const id of gone) this.#byId.delete(id);
    this.#takenAt = Date.now();
    this.#arrange();
    return true;
  }

  /** Takes the verdicts that the stream has not told. */
  #extend(row: PumpRow, { t, loss }: Pump['trend']): void {
    const known = row.trend.last;
    const first = isNaN(known) ? 0 : t.findIndex((at) => at > known);
    if (first < 0 || t.length === 0) return;
    row.trend.add({ t: t.slice(first), columns: [loss.slice(first)] });
    row.version++;
  }

  #hear(event: FleetEvent): void {
    clock.sync(event.now);
    const news: string[] = [];
    let unknown = false;
    event.pumps.forEach((id, i) => {
      const row = this.#byId.get(id);
      if (!row) {
        unknown = true;
        return;
      }
      if (this.#turn(row, event.status[i])) {
        row.since = event.now;
        row.reason = null;
        row.learning = null;
        news.push(`${row.name ?? id}: ${STATUS[row.status].word.toLowerCase()}`);
      }
      row.clock = event.clock[i];
      if (row.clock === null) row.readAt = null;
      const age = event.age_ms[i];
      row.heardAt = age === null ? row.heardAt : event.now - age;
      row.loss = event.loss[i];
      row.threshold = event.threshold[i];
      const [at, loss] = [event.at[i], event.loss[i]];
      if (at !== null && loss !== null && !(at <= row.trend.last)) {
        row.trend.add({ t: [at], columns: [[loss]] });
        row.version++;
      }
    });
    if (news.length > 0) this.news = news.slice(0, 5).join('; ');
    if (unknown || news.length > 0) this.#askSoon();
    this.#arrange();
  }

  #remove(event: RemovedEvent): void {
    if (!this.#byId.delete(event.pump)) return;
    this.news = `${event.pump}: removed`;
    this.#arrange();
    // Rows that were on their way still have it.
    this.#askSoon();
  }

  #rename({ pump, name }: RenamedEvent): void {
    const row = this.#byId.get(pump);
    if (row) row.name = name;
  }

  /** Whether the status is another one. */
  #turn(row: PumpRow, status: Status): boolean {
    const next = shown(status, row.simulationEnded);
    if (row.status === next) return false;
    row.status = next;
    return true;
  }

  #row(id: string): PumpRow {
    let row = this.#byId.get(id);
    if (!row) this.#byId.set(id, (row = new PumpRow(id)));
    return row;
  }

  #arrange(): void {
    const { ids, waiting } = this.#order.of([...this.#byId.values()], clock.exact(), this.#held);
    this.waiting = waiting;
    const same = ids.length === this.rows.length && ids.every((id, i) => this.rows[i].id === id);
    if (!same) this.rows = ids.flatMap((id) => this.#byId.get(id) ?? []);
  }

  #askSoon(): void {
    const rested = this.#takenAt + PAUSE_PER_PUMP_MS * this.#byId.size - Date.now();
    this.#soon ??= setTimeout(
      () => {
        this.#soon = null;
        void this.poll.refresh();
      },
      Math.max(AFTER_CHANGE_MS, rested),
    );
  }
}

/** Kept while other pages are shown, so that "back" is instant. */
export const fleet = new Fleet();
