// The requests for alarms, one function each. Beside queries.ts, since the first page needs only the list.

import type { AlarmDefinition } from '../pages/alarms/definition';
import { api, unwrap } from './client';
import type { ResultList } from './queries';
import type { paths } from './schema';
import type { AlarmDefinitions, AlarmMetrics, AlarmResult, AlarmTransition, AlarmTrial, PastExcursion } from './types';

/** What a person can do with an alarm, as `allowed` names it. */
export type CommandKind = 'acknowledge' | 'shelve' | 'unshelve' | 'take_out_of_service' | 'return_to_service' | 'reset';

export interface AlarmReference {
  /** null for an alarm of the node itself. */
  pump_id: string | null;
  alarm: string;
  /** For `acknowledge`: the newest occurrence that the user saw. */
  occurrence?: number;
}

export interface AlarmCommand {
  alarms: AlarmReference[];
  comment?: string;
  /** For `shelve`: when the shelving ends by itself. */
  until?: string;
}

const ROUTES = {
  acknowledge: '/api/alarms/acknowledge',
  shelve: '/api/alarms/shelve',
  unshelve: '/api/alarms/unshelve',
  take_out_of_service: '/api/alarms/take-out-of-service',
  return_to_service: '/api/alarms/return-to-service',
  reset: '/api/alarms/reset',
} as const satisfies Record<CommandKind, keyof paths>;

/** Carries out a command for each alarm. It is durable when the response arrives. At least one took effect. */
export const commandAlarms = async (kind: CommandKind, command: AlarmCommand): Promise<AlarmResult[]> =>
  (await unwrap(api.POST(ROUTES[kind], { body: command }))).results;

export type TransitionsQuery = NonNullable<paths['/api/alarm-transitions']['get']['parameters']['query']>;

/** A page of the history of alarms, newest first. */
export const fetchTransitions = (query: TransitionsQuery): Promise<ResultList<AlarmTransition> & { next_cursor: string | null }> =>
  unwrap(api.GET('/api/alarm-transitions', { params: { query } }));

/** A page of what late readings show of a pump's past, the newest learned first. */
export const fetchPastExcursions = (
  id: string,
  query: NonNullable<paths['/api/pumps/{id}/past-excursions']['get']['parameters']['query']>,
): Promise<ResultList<PastExcursion> & { next_cursor: string | null }> =>
  unwrap(api.GET('/api/pumps/{id}/past-excursions', { params: { path: { id }, query } }));

/** The metrics of the last `days` days. */
export const fetchAlarmMetrics = (days: number, operators: number): Promise<AlarmMetrics> => {
  const query = { from: new Date(Date.now() - days * 86_400_000).toISOString(), operators };
  return unwrap(api.GET('/api/alarm-metrics', { params: { query } }));
};

export const fetchDefinitions = (id: string): Promise<AlarmDefinitions> => unwrap(api.GET('/api/pumps/{id}/alarms', { params: { path: { id } } }));

/** Sets the pump's own alarms. All of them are replaced, unless somebody has changed them since `version`. */
export const setDefinitions = (id: string, alarms: AlarmDefinition[], removed: string[], version: number): Promise<AlarmDefinitions> =>
  unwrap(api.PUT('/api/pumps/{id}/alarms', { params: { path: { id } }, body: { alarms: alarms as unknown as Record<string, never>[], removed, version } }));

/** Tries a definition on the stored readings of the last 7 days. Nothing is changed. */
export const tryDefinition = (id: string, alarm: AlarmDefinition): Promise<AlarmTrial> =>
  unwrap(api.POST('/api/pumps/{id}/alarms/try', { params: { path: { id } }, body: { alarm: alarm as unknown as Record<string, never> } }));
