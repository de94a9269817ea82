// The questions the dashboard asks, one function each.

import { answer, api } from './client';
import type { Baselines, Detection, Incomplete, Kind, Live, MaintenanceEvent, NamedPump, Node, Profile, Pump, Reading, Settings, Simulation, Store } from './types';

/** A stretch of a pump's history; times in epoch milliseconds, `to` exclusive. */
export interface Stretch {
  pump: string;
  from: number;
  to?: number;
}

/** Items of a list. */
export interface Part<T> {
  items: T[];
  /** Present if these are not all there are. */
  incomplete?: Incomplete | null;
}

/** One page of a list. */
interface Page<T> extends Part<T> {
  next_cursor: string | null;
}

/** A stretch longer than this comes page by page. */
const PAGE = 5000;
/** So many events of a pump are shown. */
const EVENTS = 50;

export const askNode = (): Promise<Node> => answer(api.GET('/api/node'));

export const askStore = (): Promise<Store> => answer(api.GET('/api/store'));

export const askProfile = (): Promise<Profile> => answer(api.GET('/api/profile'));

/** The kinds of pumps that the node watches. */
export const askKinds = (): Promise<Part<Kind>> => answer(api.GET('/api/profiles'));

/** What a pump is: its profile, and the model that scores its windows. */
export const askKindOf = (pump: string): Promise<Kind> =>
  answer(api.GET('/api/pumps/{id}/profile', { params: { path: { id: pump } } }));

export const askPumps = (): Promise<Part<Pump>> => answer(api.GET('/api/pumps'));

export const askLive = (pump: string): Promise<Live> =>
  answer(api.GET('/api/live-data', { params: { query: { pump_id: pump } } }));

/** A pump's maintenance events, newest first. */
export const askEvents = (pump: string): Promise<Part<MaintenanceEvent>> =>
  answer(api.GET('/api/maintenance-events', { params: { query: { pump_id: pump, limit: EVENTS } } }));

/** What is normal for a pump, as versions. */
export const askBaselines = (id: string): Promise<Baselines> =>
  answer(api.GET('/api/pumps/{id}/baselines', { params: { path: { id } } }));

/** Learns anew what is normal for a pump, from now on. */
export const learnAnew = (id: string): Promise<Baselines> =>
  answer(api.POST('/api/pumps/{id}/commission', { params: { path: { id } }, body: {} }));

/** Puts a version of a pump's baseline back. */
export const putBack = (id: string, version: number): Promise<Baselines> =>
  answer(api.POST('/api/pumps/{id}/baselines/{version}/activate', { params: { path: { id, version } } }));

/** Gives a pump a name for people, or takes it away. */
export const namePump = (id: string, name: string | null): Promise<NamedPump> =>
  answer(api.PATCH('/api/pumps/{id}', { params: { path: { id } }, body: { name } }));

/** What is set for one pump alone. */
export const askSettings = (id: string): Promise<Settings> => answer(api.GET('/api/pumps/{id}/settings', { params: { path: { id } } }));

/** Sets the time between two readings of a pump; null: its profile's. What else is set for it stays. */
export async function setPumpInterval(id: string, interval_ms: number | null): Promise<Settings> {
  const { hold_s, channel_hold_s } = await askSettings(id);
  return answer(api.PUT('/api/pumps/{id}/settings', { params: { path: { id } }, body: { interval_ms, hold_s, channel_hold_s } }));
}

/** Plays the demo's recording, in place of what is simulated. */
export const reloadData = (): Promise<Simulation> => answer(api.POST('/api/start-simulation', {}));

/** Readings, oldest first. */
export const readings = (stretch: Stretch): AsyncGenerator<Part<Reading>> =>
  pages((cursor) => answer(api.GET('/api/sensor-history', { params: { query: { ...bounds(stretch), cursor } } })));

/** The model's verdicts, oldest first. */
export const detections = (stretch: Stretch): AsyncGenerator<Part<Detection>> =>
  pages((cursor) => answer(api.GET('/api/anomaly-history', { params: { query: { ...bounds(stretch), cursor } } })));

/** All readings of a stretch in at most so many items, summed up where they are more; oldest first. */
export const overview = (stretch: Stretch, points: number): Promise<Part<Reading>> =>
  answer(api.GET('/api/sensor-history', { params: { query: { ...times(stretch), points } } }));

function bounds(stretch: Stretch) {
  return { ...times(stretch), limit: PAGE };
}

function times({ pump, from, to }: Stretch) {
  return { pump_id: pump, from: Math.floor(from).toFixed(0), to: to?.toFixed(0) };
}

async function* pages<T>(ask: (cursor?: string) => Promise<Page<T>>): AsyncGenerator<Part<T>> {
  let cursor: string | undefined;
  do {
    const page = await ask(cursor);
    yield page;
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
}
