// The states of ISA-18.2 as the node names them. Pure.

import type { Alarm, AlarmSummary } from '../api/types';
import { NO_ALARMS, sumAlarms } from './alarms';

export const STATES = [
  'unacknowledged', 'returned_unacknowledged', 'latched_unacknowledged', 'acknowledged', 'latched_acknowledged', 'shelved', 'suppressed', 'out_of_service',
] as const;
export type AlarmState = (typeof STATES)[number];

export const STATE_WORDS: Record<AlarmState | 'normal', string> = {
  unacknowledged: 'Unacknowledged',
  returned_unacknowledged: 'Returned, unacknowledged',
  latched_unacknowledged: 'Latched, unacknowledged',
  acknowledged: 'Acknowledged',
  latched_acknowledged: 'Latched, acknowledged',
  shelved: 'Shelved',
  suppressed: 'Suppressed by design',
  out_of_service: 'Out of service',
  normal: 'Normal',
};

/** A state in words; one that this page does not know, as the node names it. */
export const stateInWords = (state: string): string => STATE_WORDS[state as AlarmState] ?? state.replaceAll('_', ' ');

export const isUnacknowledged = ({ state }: Pick<Alarm, 'state'>): boolean => state.endsWith('unacknowledged');

/** Whether somebody still has to do something: it is not shelved, suppressed or out of service. */
export const isStanding = ({ state }: Pick<Alarm, 'state'>): boolean => !['shelved', 'suppressed', 'out_of_service', 'normal'].includes(state);

/** How many of these alarms stand, and how urgent they are: as the node counts them. */
export function summaryOf(alarms: readonly Pick<Alarm, 'state' | 'priority'>[]): AlarmSummary {
  const one = ({ state, priority }: Pick<Alarm, 'state' | 'priority'>): AlarmSummary => {
    const open = isUnacknowledged({ state });
    return { ...NO_ALARMS, standing: 1, unacknowledged: open ? 1 : 0, highest: priority, highest_unacknowledged: open ? priority : null };
  };
  return sumAlarms(alarms.filter(isStanding).map(one));
}
