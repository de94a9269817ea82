// The state of a pump's page. The stream and the history fill the same columns, which hold each time only once. An example:
//
//   the page opens: the stream starts, then the last 15 minutes of history are fetched; nothing is lost between the two;
//   the connection is lost for a minute: after the reconnect, history is fetched from one minute before the last known row on;
//   the user chooses 24 h: that is too long for single readings, so an overview that the node aggregates is fetched, and fetched
//   again whenever the view moves.

import { fetchDefinitions } from '../../api/alarmQueries';
import { ApiProblem } from '../../api/client';
import { liveConnection } from '../../api/liveConnection.svelte';
import { Poll } from '../../api/poll.svelte';
import { detectionPages, fetchBaselines, fetchEvents, fetchLive, fetchOverview, fetchPumps, fetchSettings, readingPages, type HistoryRange } from '../../api/queries';
import type { AlarmDefinitions, Baselines, Channel, DetectionEvent, FleetEvent, Incomplete, Live, Profile, ReadingEvent, RemovedEvent, RenamedEvent, Settings, Status } from '../../api/types';
import { ageOrigin } from '../../lib/age';
import { ChartView, initialRangeMs, MAX_RAW_RANGE_MS } from '../../lib/chart/view.svelte';
import { clock } from '../../lib/clock.svelte';
import { Columns } from '../../lib/columns';
import { nameChannels, type NamedChannel } from '../../lib/names';
import { displayStatus, type DisplayStatus } from '../../lib/status';
import { feedGapMs } from './feed';
import { DETECTION_COLUMNS, detectionEventRows, detectionRows, overviewOf, readingEventRows, readingRows, type Overview } from './history';

/** The rows that charts hold of a pump: more than an hour at 10 readings per second. */
const CAPACITY = 40_000;
/** How much history is fetched first. */
const INITIAL_HISTORY_MS = 15 * 60_000;
/** The time before a gap that is fetched again; rows that are already there are not added twice. */
const OVERLAP_MS = 60_000;
/**
 * The delay before history is fetched. A detection is stored at most 100 ms after it was sent to the stream, so with twice that no
 * detection is lost between stream and history.
 */
const STORE_DELAY_MS = 200;
const LIVE_INTERVAL_MS = 2_500;
const EVENTS_INTERVAL_MS = 15_000;
const BASELINES_INTERVAL_MS = 30_000;
const DEFINITIONS_INTERVAL_MS = 60_000;
const OVERVIEW_INTERVAL_MS = 60_000;
/** The delay between a zoom and its request, because often another zoom follows. */
const ZOOM_DELAY_MS = 200;
/** The limits of an overview's number of points. A chart cannot show more points than pixels. */
const MIN_POINTS = 100;
const MAX_POINTS = 1000;
/** How far an overview reaches beyond the view's edges, as a share of the view: lines leave the chart instead of ending inside it. */
const OVERVIEW_MARGIN = 0.05;

/** The reading that was received last, as it was sent. */
export interface NewestReading {
  t: number;
  values: (number | null)[];
}

export class PumpState {
  readonly id: string;
  /** The display name of its kind. */
  readonly title: string;
  readonly channels: NamedChannel[];
  readonly readings: Columns;
  readonly detections: Columns;
  readonly view: ChartView;
  readonly live: Poll<Live>;
  readonly events: Poll<Awaited<ReturnType<typeof fetchEvents>>>;
  readonly baselines: Poll<Baselines>;
  readonly settings: Poll<Settings>;
  /** The definitions of its alarms. */
  readonly definitions: Poll<AlarmDefinitions>;
  /** The data of a long view; null while the view is not long. */
  readonly overview: Poll<Overview>;
  /** The width of a chart in CSS pixels. */
  chartPixels = 400;

  /** Its display name, if it has one. */
  name = $state<string | null>(null);
  /** Its status; the stream reports changes first. */
  status = $state<Status | null>(null);
  /** When the status began, by the node's clock. */
  since = $state<number | null>(null);
  /** When the newest reading was received, by the node's clock. */
  receivedAt = $state<number | null>(null);
  /** The fault of its clock, if any. */
  clock = $state<string | null>(null);
  /** Why readings were too late to be scored; null if none were. */
  lateReason = $state<string | null>(null);
  newest = $state.raw<NewestReading | null>(null);
  /** Incremented with each change of `detections`. */
  detectionsVersion = $state(0);
  /** Incremented with each page of `readings` that was fetched. */
  fetchCount = $state(0);
  history = $state<'loading' | 'ready'>('loading');
  problem = $state.raw<ApiProblem | null>(null);
  /** The pump was removed while it was shown. */
  removed = $state(false);
  /** Why readings or detections may be missing. */
  incomplete = $state.raw<Incomplete | null>(null);

  readonly #profileIntervalMs: number;
  #closed = false;
  /** The number of reading events from the stream. */
  #readingEvents = 0;
  /** How many readings of the past the node has accepted since it started. The stream does not contain them. */
  #pastReadings: number | null = null;
  /** The range of the overview: the newest data of some length, or a range that was zoomed to. */
  #overviewKey: string | null = null;
  #stopOverview: (() => void) | null = null;
  #zoomTimer: ReturnType<typeof setTimeout> | null = null;
  #pumpRow: Poll<number | null>;
  /** The time that is shown first. */
  #at: number | null;

  /** `at`: the time that a link leads to, in epoch milliseconds; null for the newest data. */
  constructor(id: string, profile: Profile, at: number | null = null) {
    this.id = id;
    this.#at = at;
    this.title = profile.title;
    this.channels = nameChannels(profile.channels);
    this.#profileIntervalMs = profile.interval_ms;
    this.readings = new Columns(this.channels.length, CAPACITY);
    this.detections = new Columns(DETECTION_COLUMNS.contributions + this.channels.length, CAPACITY);
    this.view = new ChartView(() => later(this.readings.last, this.detections.last), () => this.#onRangeChange());
    this.live = new Poll(() => this.#fetchLive(), LIVE_INTERVAL_MS);
    this.events = new Poll(() => fetchEvents(id), EVENTS_INTERVAL_MS);
    this.baselines = new Poll(() => fetchBaselines(id), BASELINES_INTERVAL_MS);
    this.settings = new Poll(() => fetchSettings(id), BASELINES_INTERVAL_MS);
    this.definitions = new Poll(() => fetchDefinitions(id), DEFINITIONS_INTERVAL_MS);
    this.overview = new Poll(() => this.#fetchOverview(), OVERVIEW_INTERVAL_MS);
    this.#pumpRow = new Poll(() => this.#fetchPumpRow());
  }

  /** Starts to follow the pump; the returned function ends that. */
  follow(): () => void {
    const on = {
      reading: (event: ReadingEvent) => this.#onReading(event),
      detection: (event: DetectionEvent) => this.#onDetection(event),
      fleet: (event: FleetEvent) => this.#onFleet(event),
      removed: (event: RemovedEvent) => (this.removed ||= event.pump === this.id),
      renamed: (event: RenamedEvent) => {
        if (event.pump === this.id) this.name = event.name;
      },
    };
    const url = `/api/stream?${new URLSearchParams({ pump_id: this.id, events: 'reading,detection,fleet' })}`;
    const disconnect = liveConnection.follow(url, on, () => this.#fetchGap());
    const stops = [this.live.start(), this.events.start(), this.baselines.start(), this.settings.start(), this.definitions.start(), this.#pumpRow.start()];
    void this.fetchHistory();
    return () => {
      this.#closed = true;
      disconnect();
      stops.forEach((stop) => stop());
      this.#stopOverview?.();
      if (this.#zoomTimer !== null) clearTimeout(this.#zoomTimer);
      this.view.close();
    };
  }

  /** Its display name, or its id. */
  get label(): string {
    return this.name ?? this.id;
  }

  /** A longer pause between readings or detections is a gap. */
  get gapMs(): number {
    return feedGapMs(this.live.data?.feed ?? null, this.#profileIntervalMs);
  }

  /** Requests everything again that depends on the pump's interval. */
  refreshFeed(): void {
    void this.live.refresh();
    void this.baselines.refresh();
    void this.#pumpRow.refresh();
  }

  /** Its status as it is displayed. */
  get displayStatus(): DisplayStatus {
    const simulation = this.live.data?.simulation;
    const ended = !!simulation && (!simulation.running || simulation.pump === null);
    return displayStatus(this.status ?? 'UNKNOWN', ended);
  }

  /** The time from which the age of its newest reading is counted. In a played recording that is always the receipt. */
  get ageFrom(): number | null {
    if (this.receivedAt === null || this.newest === null || this.live.data?.simulation?.pump) return this.receivedAt;
    return ageOrigin(this.receivedAt, this.newest.t);
  }

  /** Why anything on the page may be missing. */
  get anyIncomplete(): Incomplete | null {
    return this.incomplete ?? this.events.data?.incomplete ?? this.overview.data?.incomplete ?? null;
  }

  /** Returns the row of the last detection; with `t`, of the last detection at or before `t`. Returns -1 if there is none. */
  detectionAt(t: number | null): number {
    if (t === null) return this.detections.length - 1;
    const row = this.detections.rowAt(t);
    return row >= 0 && t - this.detections.at(row) <= this.gapMs ? row : -1;
  }

  /** Fetches the recent history for the charts. */
  fetchHistory = async (): Promise<void> => {
    this.history = 'loading';
    await this.#catchProblem(async () => {
      const { timestamp, feed } = this.live.data ?? (await fetchLive(this.id));
      if (timestamp === null) return;
      const rangeMs = initialRangeMs(Math.max(feed?.interval_ms ?? 0, feed?.readings_every_ms ?? 0));
      this.incomplete = await this.#fetch(Date.parse(timestamp) - Math.max(INITIAL_HISTORY_MS, Math.min(rangeMs, MAX_RAW_RANGE_MS)));
      this.view.setInitialRange(rangeMs);
      if (this.#at !== null) this.view.showAround(this.#at);
      this.#at = null;
    });
    this.history = 'ready';
  };

  /** Fetches the charts' history again, because parts that were missing can be read now. */
  async refetchHistory(): Promise<void> {
    const { max } = this.view.range();
    void this.events.refresh();
    if (this.view.long) void this.overview.refresh();
    if (isNaN(max)) return this.fetchHistory();
    const from = max - Math.max(INITIAL_HISTORY_MS, Math.min(this.view.rangeMs, MAX_RAW_RANGE_MS));
    await this.#catchProblem(async () => (this.incomplete = await this.#fetch(from)));
  }

  /** Fetches the earlier readings that a longer view needs, back to MAX_RAW_RANGE_MS. */
  async fetchEarlier(rangeMs: number): Promise<void> {
    const from = this.view.range().max - Math.min(rangeMs, MAX_RAW_RANGE_MS);
    const first = this.readings.first;
    if (isNaN(first) || first <= from) return;
    await this.#catchProblem(async () => (this.incomplete = (await this.#fetch(from, first)) ?? this.incomplete));
  }

  async #fetchGap(): Promise<void> {
    const last = later(this.readings.last, this.detections.last);
    void this.live.refresh();
    void this.events.refresh();
    void this.#pumpRow.refresh();
    if (this.view.long) void this.overview.refresh();
    if (isNaN(last)) await this.fetchHistory();
    else await this.#catchProblem(async () => (this.incomplete = (await this.#fetch(last - OVERLAP_MS)) ?? this.incomplete));
  }

  /** The user has chosen another range. */
  #onRangeChange(): void {
    const { live, long, rangeMs } = this.view;
    if (this.#zoomTimer !== null) clearTimeout(this.#zoomTimer);
    this.#zoomTimer = null;
    if (!long) {
      this.#stopOverview?.();
      this.#stopOverview = this.#overviewKey = this.overview.data = null;
      return;
    }
    const { min, max } = this.view.range();
    const key = live ? `newest ${rangeMs}` : `${min} to ${max}`;
    if (key === this.#overviewKey) return;
    this.#overviewKey = key;
    const fetch = () => {
      if (this.#stopOverview) void this.overview.refresh();
      else this.#stopOverview = this.overview.start();
      if (!live && max - min <= MAX_RAW_RANGE_MS) void this.#catchProblem(() => this.#fetchDetections({ pump: this.id, from: min, to: max }));
    };
    if (live) fetch();
    else this.#zoomTimer = setTimeout(fetch, ZOOM_DELAY_MS);
  }

  async #fetchOverview(): Promise<Overview> {
    const { min, max } = this.view.range();
    if (isNaN(min)) throw new ApiProblem(0, 'No reading yet.');
    const margin = (max - min) * OVERVIEW_MARGIN;
    const to = this.view.live ? max + 1 : max + margin;
    const points = Math.round(Math.min(MAX_POINTS, Math.max(MIN_POINTS, this.chartPixels)));
    return overviewOf(await fetchOverview({ pump: this.id, from: min - margin, to }, points), this.channels, to);
  }

  /** Fetches the readings and detections of a range; returns why any may be missing. */
  async #fetch(from: number, to?: number): Promise<Incomplete | null> {
    const range: HistoryRange = { pump: this.id, from, to };
    let incomplete: Incomplete | null = null;
    const storeDelay = new Promise((resolve) => setTimeout(resolve, STORE_DELAY_MS));
    for await (const page of readingPages(range)) {
      if (this.#closed) return null;
      incomplete ??= page.incomplete ?? null;
      this.readings.add(readingRows(page.items, this.channels));
      this.fetchCount++;
      this.view.invalidate();
    }
    await storeDelay;
    const incompleteDetections = await this.#fetchDetections(range);
    return incomplete ?? incompleteDetections;
  }

  async #fetchDetections(range: HistoryRange): Promise<Incomplete | null> {
    let incomplete: Incomplete | null = null;
    for await (const page of detectionPages(range)) {
      if (this.#closed) return null;
      incomplete ??= page.incomplete ?? null;
      this.detections.add(detectionRows(page.items, this.channels));
      this.detectionsVersion++;
      this.view.invalidate();
    }
    return incomplete;
  }

  async #catchProblem(run: () => Promise<unknown>): Promise<void> {
    try {
      await run();
      this.problem = null;
    } catch (error) {
      this.problem = error instanceof ApiProblem ? error : new ApiProblem(0, String(error));
    }
  }

  async #fetchLive(): Promise<Live> {
    const eventsBefore = this.#readingEvents;
    const live = await fetchLive(this.id);
    this.name = live.name;
    this.clock = live.clock?.note ?? null;
    if (live.age_ms !== null) this.receivedAt = clock.exact() - live.age_ms;
    const t = live.timestamp === null ? NaN : Date.parse(live.timestamp);
    // A reading that arrived by the stream in the meantime was received later, even if its own time is earlier.
    if (!isNaN(t) && eventsBefore === this.#readingEvents) {
      this.newest = { t, values: this.channels.map(({ name }) => live.channels[name]?.value ?? null) };
    }
    this.status = live.status;
    const { past } = live.totals.pump;
    const backlog = this.#pastReadings !== null && past > this.#pastReadings;
    this.#pastReadings = past;
    if (backlog) void this.refetchHistory();
    return live;
  }

  async #fetchPumpRow(): Promise<number | null> {
    const row = (await fetchPumps()).items.find(({ pump_id }) => pump_id === this.id);
    this.since = row?.since == null ? null : Date.parse(row.since);
    this.lateReason = row?.late?.reason ?? null;
    return this.since;
  }

  #onReading(event: ReadingEvent): void {
    if (event.pump !== this.id) return;
    this.readings.add(readingEventRows(event, this.channels));
    const last = event.t.length - 1;
    if (last >= 0) {
      this.#readingEvents++;
      this.newest = { t: event.t[last], values: this.channels.map((channel) => rawValue(event, channel, last)) };
      this.receivedAt = clock.exact();
    }
    this.view.dataChanged();
  }

  #onDetection(event: DetectionEvent): void {
    if (event.pump !== this.id) return;
    this.detections.add(detectionEventRows(event, this.channels));
    this.detectionsVersion++;
    this.view.dataChanged();
  }

  #onFleet(event: FleetEvent): void {
    clock.sync(event.now);
    const i = event.pumps.indexOf(this.id);
    if (i < 0) return;
    this.clock = event.clock[i];
    const age = event.age_ms[i];
    if (age !== null) this.receivedAt = event.now - age;
    if (event.status[i] === this.status) return;
    const first = this.status === null;
    this.status = event.status[i];
    if (first) return;
    this.since = event.now;
    void this.live.refresh();
    void this.events.refresh();
    void this.baselines.refresh();
    void this.#pumpRow.refresh();
  }
}

function rawValue(event: ReadingEvent, channel: Channel, row: number): number | null {
  return event.values[event.channels.indexOf(channel.name)]?.[row] ?? null;
}

/** The later of two times, either of which may be NaN. */
function later(a: number, b: number): number {
  return isNaN(a) ? b : isNaN(b) ? a : Math.max(a, b);
}
