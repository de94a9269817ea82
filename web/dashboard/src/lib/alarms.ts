// Priorities and states of alarms, in words, and which pump leads. Pure. The states are those of ISA-18.2; docs/alarms.md explains them.
// An example: a pump with one unacknowledged alarm of high priority and one of low priority is 'High alarm, 2 unacknowledged'.

import type { AlarmSummary } from '../api/types';
import { plural } from './format';

/** The `pump_id` of an alarm of the node itself: no pump's id is empty. */
export const NODE = '';
export const NODE_LABEL = 'The node';

/** The lowest first. */
export const PRIORITIES = ['low', 'medium', 'high', 'critical'] as const;
export type Priority = (typeof PRIORITIES)[number];

export const PRIORITY_WORDS: Record<Priority, string> = { low: 'Low', medium: 'Medium', high: 'High', critical: 'Critical' };

/** A priority as the node names it; one that this page does not know is shown as critical rather than not at all. */
export const priorityOf = (text: string): Priority => PRIORITIES.find((known) => known === text) ?? 'critical';

/** 0 for low to 3 for critical. */
export const urgency = (text: string): number => PRIORITIES.indexOf(priorityOf(text));

/** Whether an acknowledgement asks for a confirmation. */
export const isUrgent = (text: string): boolean => urgency(text) >= urgency('high');

export const NO_ALARMS: AlarmSummary = { standing: 0, unacknowledged: 0, highest: null, highest_unacknowledged: null, set_aside: 0 };

/** The priority that a pump's mark shows: of what nobody has acknowledged, otherwise of what stands; null if no alarm stands. */
export function shownPriority({ highest, highest_unacknowledged }: AlarmSummary): Priority | null {
  const shown = highest_unacknowledged ?? highest;
  return shown === null ? null : priorityOf(shown);
}

/** 'High alarm, 2 unacknowledged'; empty if no alarm stands. */
export function summaryInWords(alarms: AlarmSummary): string {
  const shown = shownPriority(alarms);
  if (shown === null) return '';
  const word = `${PRIORITY_WORDS[shown]} alarm`;
  return alarms.unacknowledged > 0 ? `${word}, ${alarms.unacknowledged} unacknowledged` : `${word}, acknowledged`;
}

/**
 * How urgent a pump's alarms are, for the order of pumps; lower is more urgent: 0 to 3 with an unacknowledged alarm, critical first;
 * 4 to 7 with alarms that somebody has acknowledged; null if none stands.
 */
export function alarmRank({ highest, highest_unacknowledged }: AlarmSummary): number | null {
  if (highest_unacknowledged !== null) return 3 - urgency(highest_unacknowledged);
  return highest === null ? null : 7 - urgency(highest);
}

/** The alarms of several pumps together. */
export function sumAlarms(all: Iterable<AlarmSummary>): AlarmSummary {
  const sum = { ...NO_ALARMS };
  for (const one of all) {
    sum.standing += one.standing;
    sum.unacknowledged += one.unacknowledged;
    sum.set_aside += one.set_aside;
    sum.highest = higher(sum.highest, one.highest);
    sum.highest_unacknowledged = higher(sum.highest_unacknowledged, one.highest_unacknowledged);
  }
  return sum;
}

/** '3 unacknowledged alarms, the highest critical'; empty if everything is acknowledged. */
export function unacknowledgedInWords({ unacknowledged, highest_unacknowledged }: AlarmSummary): string {
  if (unacknowledged === 0 || highest_unacknowledged === null) return '';
  const priority = PRIORITY_WORDS[priorityOf(highest_unacknowledged)].toLowerCase();
  if (unacknowledged === 1) return `1 unacknowledged alarm of ${priority} priority`;
  return `${plural(unacknowledged, 'unacknowledged alarm')}, the highest ${priority}`;
}

function higher(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return urgency(a) >= urgency(b) ? a : b;
}
