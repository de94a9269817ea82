// The dashboard's requests to the node, one function each.

import { NODE } from '../lib/alarms';
import { api, unwrap } from './client';
import type {
  Alarm, Baselines, Detection, Incomplete, Kind, Live, LoggedOut, Login, MaintenanceEvent, NamedPump, Node, Profile, Pump, Reading, Session, Settings,
  Simulation, Store,
} from './types';

/** A part of a pump's history; times in epoch milliseconds, `to` exclusive. */
export interface HistoryRange {
  pump: string;
  from: number;
  to?: number;
}

/** The items of a response. */
export interface ResultList<T> {
  items: T[];
  /** Present if items may be missing. */
  incomplete?: Incomplete | null;
}

/** One page of a list. */
interface Page<T> extends ResultList<T> {
  next_cursor: string | null;
}

const PAGE_LIMIT = 5000;
/** At most this many events of a pump are shown. */
const MAX_EVENTS = 50;

/** Who the node takes this browser's user for. Needs no login. */
export const fetchSession = (): Promise<Session> => unwrap(api.GET('/api/session'));

/** Logs in: the response sets the session's cookie. */
export const logIn = (login: Login): Promise<unknown> => unwrap(api.POST('/api/login', { body: login }));

export const logOut = (): Promise<LoggedOut> => unwrap(api.POST('/api/logout'));

/** Sets the password of the user whose set-up link has this token, and logs the user in. */
export const setUp = (token: string, password: string): Promise<unknown> => unwrap(api.POST('/api/setup', { body: { token, password } }));

export const fetchNode = (): Promise<Node> => unwrap(api.GET('/api/node'));

export const fetchStore = (): Promise<Store> => unwrap(api.GET('/api/store'));

export const fetchProfile = (): Promise<Profile> => unwrap(api.GET('/api/profile'));

/** The kinds of pumps that the node watches. */
export const fetchKinds = (): Promise<ResultList<Kind>> => unwrap(api.GET('/api/profiles'));

/** A pump's kind: its profile, and the model that scores its windows. */
export const fetchKindOf = (pump: string): Promise<Kind> =>
  unwrap(api.GET('/api/pumps/{id}/profile', { params: { path: { id: pump } } }));

export const fetchPumps = (): Promise<ResultList<Pump>> => unwrap(api.GET('/api/pumps'));

export const fetchLive = (pump: string): Promise<Live> =>
  unwrap(api.GET('/api/live-data', { params: { query: { pump_id: pump } } }));

/** The alarms that are not normal, of all pumps and of the node itself, the most urgent first. */
export const fetchAlarms = async (): Promise<ResultList<Alarm>> => {
  const list = await unwrap(api.GET('/api/alarms'));
  return { ...list, items: list.items.map((alarm) => ({ ...alarm, pump_id: alarm.pump_id ?? NODE })) };
};

/** A pump's maintenance events, newest first. */
export const fetchEvents = (pump: string): Promise<ResultList<MaintenanceEvent>> =>
  unwrap(api.GET('/api/maintenance-events', { params: { query: { pump_id: pump, limit: MAX_EVENTS } } }));

/** One maintenance event, with its history and its evidence. */
export const fetchEvent = (id: string): Promise<MaintenanceEvent> => unwrap(api.GET('/api/maintenance-events/{id}', { params: { path: { id } } }));

/** All versions of a pump's baseline: what is normal for this pump. */
export const fetchBaselines = (id: string): Promise<Baselines> =>
  unwrap(api.GET('/api/pumps/{id}/baselines', { params: { path: { id } } }));

/** Starts a commissioning: learns a new baseline from the pump's running from now on. */
export const startCommissioning = (id: string): Promise<Baselines> =>
  unwrap(api.POST('/api/pumps/{id}/commission', { params: { path: { id } }, body: {} }));

/** Makes a version of a pump's baseline the one in use. */
export const activateBaseline = (id: string, version: number): Promise<Baselines> =>
  unwrap(api.POST('/api/pumps/{id}/baselines/{version}/activate', { params: { path: { id, version } } }));

/** Sets a pump's display name; null removes it. */
export const setPumpName = (id: string, name: string | null): Promise<NamedPump> =>
  unwrap(api.PATCH('/api/pumps/{id}', { params: { path: { id } }, body: { name } }));

/** The settings of one pump that override its profile. */
export const fetchSettings = (id: string): Promise<Settings> => unwrap(api.GET('/api/pumps/{id}/settings', { params: { path: { id } } }));

/** Sets a pump's interval between two readings; null uses that of its profile. Leaves its other settings as they are. */
export async function setPumpInterval(id: string, interval_ms: number | null): Promise<Settings> {
  const { hold_s, channel_hold_s } = await fetchSettings(id);
  return unwrap(api.PUT('/api/pumps/{id}/settings', { params: { path: { id } }, body: { interval_ms, hold_s, channel_hold_s } }));
}

/** Plays the demo's recording in place of the running simulation. */
export const reloadData = (): Promise<Simulation> => unwrap(api.POST('/api/start-simulation', {}));

/** Readings, oldest first. */
export const readingPages = (range: HistoryRange): AsyncGenerator<ResultList<Reading>> =>
  pages((cursor) => unwrap(api.GET('/api/sensor-history', { params: { query: { ...pageQuery(range), cursor } } })));

/** The model's detections, one per scored window, oldest first. */
export const detectionPages = (range: HistoryRange): AsyncGenerator<ResultList<Detection>> =>
  pages((cursor) => unwrap(api.GET('/api/anomaly-history', { params: { query: { ...pageQuery(range), cursor } } })));

/** All readings of a range in at most `points` items, oldest first; the node aggregates them where there are more. */
export const fetchOverview = (range: HistoryRange, points: number): Promise<ResultList<Reading>> =>
  unwrap(api.GET('/api/sensor-history', { params: { query: { ...rangeQuery(range), points } } }));

function pageQuery(range: HistoryRange) {
  return { ...rangeQuery(range), limit: PAGE_LIMIT };
}

function rangeQuery({ pump, from, to }: HistoryRange) {
  return { pump_id: pump, from: Math.floor(from).toFixed(0), to: to?.toFixed(0) };
}

async function* pages<T>(fetchPage: (cursor?: string) => Promise<Page<T>>): AsyncGenerator<ResultList<T>> {
  let cursor: string | undefined;
  do {
    const page = await fetchPage(cursor);
    yield page;
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
}
