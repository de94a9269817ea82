// The questions the dashboard asks, one function each.

import { answer, api } from './client';
import type { Detection, Live, MaintenanceEvent, Node, Profile, Pump, Reading } from './types';

/** A stretch of a pump's history, oldest first; times in epoch milliseconds, `to` exclusive. */
export interface Stretch {
  pump: string;
  from: number;
  to?: number;
}

/** One page of history; a stretch longer than this comes page by page. */
const PAGE = 5000;

// eslint-disable-next-line @typescript-eslint/no-explicit-any
const loose = api as any;

export const askNode = (): Promise<Node> => answer(loose.GET('/api/node'));
export const askProfile = (): Promise<Profile> => answer(loose.GET('/api/profile'));
export const askPumps = async (): Promise<Pump[]> => (await answer<{ items: Pump[] }>(loose.GET('/api/pumps'))).items;
export const askLive = (pump: string): Promise<Live> =>
  answer(loose.GET('/api/live-data', { params: { query: { pump_id: pump } } }));

export async function askEvents(pump: string): Promise<MaintenanceEvent[]> {
  const query = { pump_id: pump, limit: 50 };
  return (await answer<{ items: MaintenanceEvent[] }>(loose.GET('/api/maintenance-events', { params: { query } }))).items;
}

/** Readings page by page, oldest first. */
export const readings = (stretch: Stretch): AsyncGenerator<Reading[]> => pages('/api/sensor-history', stretch);

/** The model's verdicts page by page, oldest first. */
export const detections = (stretch: Stretch): AsyncGenerator<Detection[]> => pages('/api/anomaly-history', stretch);

async function* pages<T>(path: string, { pump, from, to }: Stretch): AsyncGenerator<T[]> {
  let cursor: string | undefined;
  do {
    const query = { pump_id: pump, from: String(Math.floor(from)), to: to?.toFixed(0), limit: PAGE, cursor };
    const page = await answer<{ items: T[]; next_cursor: string | null }>(loose.GET(path, { params: { query } }));
    yield page.items;
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
}
