// One pump as its page shows it. On opening the stream begins first and history is fetched after it, so that nothing falls between
// the two; both go into the same columns, which take every time once. After a lost connection, and where the server dropped frames,
// the stretch since then is fetched the same way. A view that is too long for readings one by one has an overview of its own, summed
// up by the node and asked for anew whenever the view moves.

import { ApiProblem } from '../../api/client';
import { link } from '../../api/link.svelte';
import { Poll } from '../../api/poll.svelte';
import { askBaselines, askEvents, askLive, askPumps, askSettings, detections, overview, readings, type Stretch } from '../../api/queries';
import type { Baselines, Channel, DetectionEvent, FleetEvent, Incomplete, Live, Profile, ReadingEvent, RemovedEvent, RenamedEvent, Settings, Status } from '../../api/types';
import { ChartView, lengthFor, ONE_BY_ONE_MS } from '../../lib/chart/view.svelte';
import { clock } from '../../lib/clock.svelte';
import { Columns } from '../../lib/columns';
import { readingAt } from '../../lib/age';
import { shown, type Shown } from '../../lib/status';
import { nameChannels, type NamedChannel } from '../../lib/names';
import { feedGapMs } from './feed';
import { detectionEventRows, detectionRows, overviewOf, readingEventRows, readingRows, VERDICT, type Overview } from './history';

/** What charts hold of a pump: an hour at ten readings a second, with room to spare. */
const CAPACITY = 40_000;
const FIRST_MS = 15 * 60_000;
/** What is fetched again from before a gap; rows that are already there are not taken twice. */
const OVERLAP_MS = 60_000;
/** A verdict is stored at most 100 ms after the stream has told it; twice that, and none falls between stream and history. */
const STORED_AFTER_MS = 200;
const LIVE_EVERY_MS = 2_500;
const EVENTS_EVERY_MS = 15_000;
const BASELINES_EVERY_MS = 30_000;
const OVERVIEW_EVERY_MS = 60_000;
/** A zoom is often followed by the next. */
const ZOOM_RESTS_MS = 200;
/** Of an overview; more than a chart has pixels is of no use. */
const POINTS = { least: 100, most: 1000 };
/** What is asked for beyond a view's edges, as a share of it: lines leave the chart instead of ending in it. */
const BEYOND = 0.05;

/** The reading that was received last, as sent. */
export interface Newest {
  t: number;
  values: (number | null)[];
}

export class PumpModel {
  readonly id: string;
  /** What kind of pump it is, for people. */
  readonly title: string;
  readonly channels: NamedChannel[];
  readonly readings: Columns;
  readonly verdicts: Columns;
  readonly view: ChartView;
  readonly live: Poll<Live>;
  readonly events: Poll<Awaited<ReturnType<typeof askEvents>>>;
  readonly baselines: Poll<Baselines>;
  readonly settings: Poll<Settings>;
  /** What a long view shows; without data while the view is not long. */
  readonly overview: Poll<Overview>;
  /** How many points a chart has room for. */
  points = 400;

  /** Its name for people, if it has one. */
  name = $state<string | null>(null);
  /** The status by the stream, which knows first. */
  status = $state<Status | null>(null);
  /** Since when it holds, by the node's clock. */
  since = $state<number | null>(null);
  /** When the newest reading was received, by the node's clock. */
  heardAt = $state<number | null>(null);
  /** What is wrong with its clock. */
  clock = $state<string | null>(null);
  /** Why readings came too late to be scored; null where none did. */
  late = $state<string | null>(null);
  newest = $state.raw<Newest | null>(null);
  /** Counts the changes of `verdicts`. */
  verdictVersion = $state(0);
  /** Counts the stretches of `readings` that were fetched. */
  fetched = $state(0);
  history = $state<'loading' | 'ready'>('loading');
  problem = $state.raw<ApiProblem | null>(null);
  /** The pump was removed while it was shown. */
  removed = $state(false);
  /** What of the readings and verdicts could not be read. */
  incomplete = $state.raw<Incomplete | null>(null);

  readonly #profileIntervalMs: number;
  #closed = false;
  /** Counts what the stream has told of readings. */
  #told = 0;
  /** Readings of the past that were taken since the node started. The stream does not tell them. */
  #past: number | null = null;
  /** Which stretch the overview is of: the newest of some length, or one that was zoomed to. */
  #overviewOf: string | null = null;
  #endOverview: (() => void) | null = null;
  #zooming: ReturnType<typeof setTimeout> | null = null;
  #row: Poll<number | null>;

  constructor(id: string, profile: Profile) {
    this.id = id;
    this.title = profile.title;
    this.channels = nameChannels(profile.channels);
    this.#profileIntervalMs = profile.interval_ms;
    this.readings = new Columns(this.channels.length, CAPACITY);
    this.verdicts = new Columns(VERDICT.contributions + this.channels.length, CAPACITY);
    this.view = new ChartView(() => newer(this.readings.last, this.verdicts.last), () => this.#moved());
    this.live = new Poll(() => this.#askLive(), LIVE_EVERY_MS);
    this.events = new Poll(() => askEvents(id), EVENTS_EVERY_MS);
    this.baselines = new Poll(() => askBaselines(id), BASELINES_EVERY_MS);
    this.settings = new Poll(() => askSettings(id), BASELINES_EVERY_MS);
    this.overview = new Poll(() => this.#askOverview(), OVERVIEW_EVERY_MS);
    this.#row = new Poll(() => this.#askSince());
  }

  /** Begins to follow the pump; the result ends it. */
  follow(): () => void {
    const on = {
      reading: (event: ReadingEvent) => this.#reading(event),
      detection: (event: DetectionEvent) => this.#detection(event),
      fleet: (event: FleetEvent) => this.#fleet(event),
      removed: (event: RemovedEvent) => (this.removed ||= event.pump === this.id),
      renamed: (event: RenamedEvent) => {
        if (event.pump === this.id) this.name = event.name;
      },
    };
    const url = `/api/stream?${new URLSearchParams({ pump_id: this.id, events: 'reading,detection,fleet' })}`;
    const unlink = link.follow(url, on, () => this.#fetchGap());
    const stops = [this.live.start(), this.events.start(), this.baselines.start(), this.settings.start(), this.#row.start()];
    void this.fetchHistory();
    return () => {
      this.#closed = true;
      unlink();
      stops.forEach((stop) => stop());
      this.#endOverview?.();
      if (this.#zooming !== null) clearTimeout(this.#zooming);
      this.view.close();
    };
  }

  /** What people call it. */
  get label(): string {
    return this.name ?? this.id;
  }

  /** A longer pause between readings or verdicts is a hole. */
  get gapMs(): number {
    return feedGapMs(this.live.data?.feed ?? null, this.#profileIntervalMs);
  }

  /** Asks anew for all that follows from a pump's interval. */
  refreshFeed(): void {
    void this.live.refresh();
    void this.baselines.refresh();
    void this.#row.refresh();
  }

  /** What is shown of it. */
  get shown(): Shown {
    const simulation = this.live.data?.simulation;
    const ended = !!simulation && (!simulation.running || simulation.pump === null);
    return shown(this.status ?? 'UNKNOWN', ended);
  }

  /** The time that its newest reading is as old as. Of a recording that is played, readings are as old as their receipt. */
  get lastAt(): number | null {
    if (this.heardAt === null || this.newest === null || this.live.data?.simulation?.pump) return this.heardAt;
    return readingAt(this.heardAt, this.newest.t);
  }

  /** What of all that is shown could not be read. */
  get missing(): Incomplete | null {
    return this.incomplete ?? this.events.data?.incomplete ?? this.overview.data?.incomplete ?? null;
  }

  /** The model's last verdict, or the last one up to a moment; its place in `verdicts`, or -1. */
  verdictAt(t: number | null): number {
    if (t === null) return this.verdicts.length - 1;
    const row = this.verdicts.rowAt(t);
    return row >= 0 && t - this.verdicts.at(row) <= this.gapMs ? row : -1;
  }

  /** Fills the charts with the last minutes. */
  fetchHistory = async (): Promise<void> => {
    this.history = 'loading';
    await this.#guard(async () => {
      const { timestamp, feed } = this.live.data ?? (await askLive(this.id));
      if (timestamp === null) return;
      const length = lengthFor(Math.max(feed?.interval_ms ?? 0, feed?.readings_every_ms ?? 0));
      this.incomplete = await this.#fetch(Date.parse(timestamp) - Math.max(FIRST_MS, Math.min(length, ONE_BY_ONE_MS)));
      this.view.begin(length);
    });
    this.history = 'ready';
  };

  /** Fetches the charts' minutes again: what was missing of them can be read now. */
  async refill(): Promise<void> {
    const { max } = this.view.stretch();
    void this.events.refresh();
    if (this.view.long) void this.overview.refresh();
    if (isNaN(max)) return this.fetchHistory();
    const from = max - Math.max(FIRST_MS, Math.min(this.view.windowMs, ONE_BY_ONE_MS));
    await this.#guard(async () => (this.incomplete = await this.#fetch(from)));
  }

  /** Fetches what a longer view shows beyond what is there, as far as that is shown one by one. */
  async lookBack(windowMs: number): Promise<void> {
    const wanted = this.view.stretch().max - Math.min(windowMs, ONE_BY_ONE_MS);
    const first = this.readings.first;
    if (isNaN(first) || first <= wanted) return;
    await this.#guard(async () => (this.incomplete = (await this.#fetch(wanted, first)) ?? this.incomplete));
  }

  async #fetchGap(): Promise<void> {
    const last = newer(this.readings.last, this.verdicts.last);
    void this.live.refresh();
    void this.events.refresh();
    void this.#row.refresh();
    if (this.view.long) void this.overview.refresh();
    if (isNaN(last)) await this.fetchHistory();
    else await this.#guard(async () => (this.incomplete = (await this.#fetch(last - OVERLAP_MS)) ?? this.incomplete));
  }

  /** A person looks at another stretch. */
  #moved(): void {
    const { live, long, windowMs } = this.view;
    if (this.#zooming !== null) clearTimeout(this.#zooming);
    this.#zooming = null;
    if (!long) {
      this.#endOverview?.();
      this.#endOverview = this.#overviewOf = this.overview.data = null;
      return;
    }
    const { min, max } = this.view.stretch();
    const wanted = live ? `newest ${windowMs}` : `${min} to ${max}`;
    if (wanted === this.#overviewOf) return;
    this.#overviewOf = wanted;
    const ask = () => {
      if (this.#endOverview) void this.overview.refresh();
      else this.#endOverview = this.overview.start();
      if (!live && max - min <= ONE_BY_ONE_MS) void this.#guard(() => this.#fetchVerdicts({ pump: this.id, from: min, to: max }));
    };
    if (live) ask();
    else this.#zooming = setTimeout(ask, ZOOM_RESTS_MS);
  }

  async #askOverview(): Promise<Overview> {
    const { min, max } = this.view.stretch();
    if (isNaN(min)) throw new ApiProblem(0, 'No reading yet.');
    const beyond = (max - min) * BEYOND;
    const to = this.view.live ? max + 1 : max + beyond;
    const points = Math.round(Math.min(POINTS.most, Math.max(POINTS.least, this.points)));
    return overviewOf(await overview({ pump: this.id, from: min - beyond, to }, points), this.channels, to);
  }

  /** Fetches a stretch; what of it could not be read. */
  async #fetch(from: number, to?: number): Promise<Incomplete | null> {
    const stretch = { pump: this.id, from, to };
    let missing: Incomplete | null = null;
    const stored = new Promise((resolve) => setTimeout(resolve, STORED_AFTER_MS));
    for await (const page of readings(stretch)) {
      if (this.#closed) return null;
      missing ??= page.incomplete ?? null;
      this.readings.add(readingRows(page.items, this.channels));
      this.fetched++;
      this.view.invalidate();
    }
    await stored;
    const ofVerdicts = await this.#fetchVerdicts(stretch);
    return missing ?? ofVerdicts;
  }

  async #fetchVerdicts(stretch: Stretch): Promise<Incomplete | null> {
    let missing: Incomplete | null = null;
    for await (const page of detections(stretch)) {
      if (this.#closed) return null;
      missing ??= page.incomplete ?? null;
      this.verdicts.add(detectionRows(page.items, this.channels));
      this.verdictVersion++;
      this.view.invalidate();
    }
    return missing;
  }

  async #guard(run: () => Promise<unknown>): Promise<void> {
    try {
      await run();
      this.problem = null;
    } catch (error) {
      this.problem = error instanceof ApiProblem ? error : new ApiProblem(0, String(error));
    }
  }

  async #askLive(): Promise<Live> {
    const told = this.#told;
    const live = await askLive(this.id);
    this.name = live.name;
    this.clock = live.clock?.note ?? null;
    if (live.age_ms !== null) this.heardAt = clock.exact() - live.age_ms;
    const t = live.timestamp === null ? NaN : Date.parse(live.timestamp);
    // What the stream has told meanwhile was received later, whatever its time.
    if (!isNaN(t) && told === this.#told) {
      this.newest = { t, values: this.channels.map(({ name }) => live.channels[name]?.value ?? null) };
    }
    this.status = live.status;
    const { past } = live.totals.pump;
    const backlog = this.#past !== null && past > this.#past;
    this.#past = past;
    if (backlog) void this.refill();
    return live;
  }

  async #askSince(): Promise<number | null> {
    const row = (await askPumps()).items.find(({ pump_id }) => pump_id === this.id);
    this.since = row?.since == null ? null : Date.parse(row.since);
    this.late = row?.late?.reason ?? null;
    return this.since;
  }

  #reading(event: ReadingEvent): void {
    if (event.pump !== this.id) return;
    this.readings.add(readingEventRows(event, this.channels));
    const last = event.t.length - 1;
    if (last >= 0) {
      this.#told++;
      this.newest = { t: event.t[last], values: this.channels.map((channel) => raw(event, channel, last)) };
      this.heardAt = clock.exact();
    }
    this.view.data();
  }

  #detection(event: DetectionEvent): void {
    if (event.pump !== this.id) return;
    this.verdicts.add(detectionEventRows(event, this.channels));
    this.verdictVersion++;
    this.view.data();
  }

  #fleet(event: FleetEvent): void {
    clock.sync(event.now);
    const i = event.pumps.indexOf(this.id);
    if (i < 0) return;
    this.clock = event.clock[i];
    const age = event.age_ms[i];
    if (age !== null) this.heardAt = event.now - age;
    if (event.status[i] === this.status) return;
    const first = this.status === null;
    this.status = event.status[i];
    if (first) return;
    this.since = event.now;
    void this.live.refresh();
    void this.events.refresh();
    void this.baselines.refresh();
    void this.#row.refresh();
  }
}

function raw(event: ReadingEvent, channel: Channel, row: number): number | null {
  return event.values[event.channels.indexOf(channel.name)]?.[row] ?? null;
}

/** The later of two times, either of which may be NaN. */
function newer(a: number, b: number): number {
  return isNaN(a) ? b : isNaN(b) ? a : Math.max(a, b);
}
