// The questions the dashboard asks, one function each.

import { answer, api } from './client';
import type { Baselines, Detection, Live, MaintenanceEvent, Node, Profile, Pump, Reading, Store } from './types';

/** A stretch of a pump's history; times in epoch milliseconds, `to` exclusive. */
export interface Stretch {
  pump: string;
  from: number;
  to?: number;
}

/** One page of a list. */
interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/** A stretch longer than this comes page by page. */
const PAGE = 5000;
/** So many events of a pump are shown. */
const EVENTS = 50;

export const askNode = (): Promise<Node> => answer(api.GET('/api/node'));

export const askStore = (): Promise<Store> => answer(api.GET('/api/store'));

export const askProfile = (): Promise<Profile> => answer(api.GET('/api/profile'));

export const askPumps = async (): Promise<Pump[]> => (await answer(api.GET('/api/pumps'))).items;

export const askLive = (pump: string): Promise<Live> =>
  answer(api.GET('/api/live-data', { params: { query: { pump_id: pump } } }));

/** A pump's maintenance events, newest first. */
export async function askEvents(pump: string): Promise<MaintenanceEvent[]> {
  const query = { pump_id: pump, limit: EVENTS };
  return (await answer(api.GET('/api/maintenance-events', { params: { query } }))).items;
}

/** What is normal for a pump, as versions. */
export const askBaselines = (id: string): Promise<Baselines> =>
  answer(api.GET('/api/pumps/{id}/baselines', { params: { path: { id } } }));

/** Learns anew what is normal for a pump, from now on. */
export const learnAnew = (id: string): Promise<Baselines> =>
  answer(api.POST('/api/pumps/{id}/commission', { params: { path: { id } }, body: {} }));

/** Puts a version of a pump's baseline back. */
export const putBack = (id: string, version: number): Promise<Baselines> =>
  answer(api.POST('/api/pumps/{id}/baselines/{version}/activate', { params: { path: { id, version } } }));

/** Readings, oldest first. */
export const readings = (stretch: Stretch): AsyncGenerator<Reading[]> =>
  pages((cursor) => answer(api.GET('/api/sensor-history', { params: { query: { ...bounds(stretch), cursor } } })));

/** The model's verdicts, oldest first. */
export const detections = (stretch: Stretch): AsyncGenerator<Detection[]> =>
  pages((cursor) => answer(api.GET('/api/anomaly-history', { params: { query: { ...bounds(stretch), cursor } } })));

function bounds({ pump, from, to }: Stretch) {
  return { pump_id: pump, from: Math.floor(from).toFixed(0), to: to?.toFixed(0), limit: PAGE };
}

async function* pages<T>(ask: (cursor?: string) => Promise<Page<T>>): AsyncGenerator<T[]> {
  let cursor: string | undefined;
  do {
    const page = await ask(cursor);
    yield page.items;
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
}
