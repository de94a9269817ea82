// Summarizes the fleet in one sentence. Pure. An example: one of 6 pumps is ANOMALY, one LEARNING pump has an unacknowledged alarm of
// high priority, and the other four are NORMAL. The sentence is '2 of 6 pumps need attention', the mark that of the alarm, and the
// words begin with '1 unacknowledged alarm of high priority'.

import type { AlarmSummary } from '../../api/types';
import { NO_ALARMS, PRIORITY_WORDS, priorityOf, shownPriority, unacknowledgedInWords, type Priority } from '../../lib/alarms';
import { plural } from '../../lib/format';
import { STATUS, STATUSES, type DisplayStatus } from '../../lib/status';

export type Counts = Record<DisplayStatus, number>;

/** What calls for attention beside the statuses. */
export interface Attention {
  /** The number of pumps with standing alarms whose status alone does not call for attention. */
  withAlarms: number;
  /** The number of pumps with open events and neither alarms nor a status that calls for attention. */
  withEvents: number;
  /** The number of silent pumps whose last verdict was an anomaly. */
  silentAnomalies: number;
  /** The alarms of all pumps. */
  alarms: AlarmSummary;
}

export const NO_ATTENTION: Attention = { withAlarms: 0, withEvents: 0, silentAnomalies: 0, alarms: NO_ALARMS };

export interface Summary {
  sentence: string;
  /** The priority that leads, for the symbol beside the sentence; null if no alarm stands. */
  priority: Priority | null;
  /** The worst status, for the symbol beside the sentence. */
  worst: DisplayStatus;
  total: number;
}

export function countStatuses(rows: Iterable<{ status: DisplayStatus }>): Counts {
  const counts: Counts = { ANOMALY: 0, STALE: 0, UNKNOWN: 0, LEARNING: 0, STARTING: 0, NORMAL: 0, OFF: 0, ENDED: 0 };
  for (const { status } of rows) counts[status]++;
  return counts;
}

interface Judged {
  status: DisplayStatus;
  activeEvents: number;
  alarms: AlarmSummary;
}

/** Whether a pump has standing alarms. Those of a simulation that has ended concern nobody. */
export const hasStandingAlarm = ({ status, alarms }: Pick<Judged, 'status' | 'alarms'>): boolean => alarms.highest !== null && status !== 'ENDED';

/** Whether a pump fell silent after an anomaly: its silence is no recovery. */
export const isSilentAnomaly = (row: { status: DisplayStatus; loss: number | null; threshold: number | null }): boolean =>
  row.status === 'STALE' && row.loss !== null && row.threshold !== null && row.loss > row.threshold;

/** Whether a pump needs attention for its events although neither its status nor an alarm says so. */
export function hasOpenEvent(row: Judged): boolean {
  return row.activeEvents > 0 && !['ANOMALY', 'STALE', 'ENDED'].includes(row.status) && !hasStandingAlarm(row);
}

/**
 * Anomalous and stale pumps need attention, and so do pumps with standing alarms or open events and another status. Learning,
 * starting and unknown pumps are not judged yet. A pump that is off needs no attention.
 */
export function summarize(counts: Counts, attention: Attention = NO_ATTENTION): Summary {
  const total = STATUSES.reduce((sum, status) => sum + counts[status], 0);
  const { withAlarms, withEvents, silentAnomalies } = attention;
  const raised = withAlarms + withEvents + silentAnomalies > 0;
  const worst = raised ? 'ANOMALY' : (STATUSES.find((status) => counts[status] > 0) ?? 'UNKNOWN');
  return { sentence: sentence(counts, total, withAlarms + withEvents), priority: shownPriority(attention.alarms), worst, total };
}

/** The title of the browser's tab. */
export function tabTitle(counts: Counts, { withEvents, silentAnomalies, alarms }: Attention = NO_ATTENTION): string {
  const { unacknowledged, highest_unacknowledged } = alarms;
  const found = [
    ...(highest_unacknowledged === null ? [] : [`${plural(unacknowledged, 'alarm')} (${PRIORITY_WORDS[priorityOf(highest_unacknowledged)].toLowerCase()})`]),
    ...(counts.ANOMALY + silentAnomalies > 0 ? [anomalies(counts.ANOMALY + silentAnomalies)] : []),
    ...(withEvents > 0 ? [`${withEvents} with open events`] : []),
  ];
  if (found.length > 0) return `▲ ${found.join(', ')} — Volute`;
  if (alarms.standing > 0) return `△ ${plural(alarms.standing, 'alarm')} — Volute`;
  if (counts.STALE > 0) return `◷ ${counts.STALE} stale — Volute`;
  return 'Fleet — Volute';
}

/**
 * Returns for example `3 unacknowledged alarms, the highest high; 2 anomalies, 1 stale`: the alarms, then the number of pumps of each
 * status, worst first, then the number of pumps with an open event among the others.
 */
export function countsInWords(counts: Counts, { withEvents, silentAnomalies, alarms }: Attention = NO_ATTENTION): string {
  const standing = alarms.standing > 0 ? `${plural(alarms.standing, 'alarm')}, acknowledged` : '';
  const statuses = STATUSES.filter((status) => counts[status] > 0).map((status) => {
    if (status === 'ANOMALY') return anomalies(counts.ANOMALY);
    const words = `${counts[status]} ${STATUS[status].word.toLowerCase()}`;
    return status === 'STALE' && silentAnomalies > 0 ? `${words} (${silentAnomalies} after an anomaly)` : words;
  });
  const parts = [unacknowledgedInWords(alarms) || standing, statuses.join(', '), withEvents > 0 ? `${withEvents} with open events` : ''];
  return parts.filter((part) => part !== '').join('; ');
}

const anomalies = (count: number): string => `${count} ${count === 1 ? 'anomaly' : 'anomalies'}`;

/** `others`: the number of pumps that need attention although their status does not say so. */
function sentence(counts: Counts, total: number, others: number): string {
  if (total === 0) return 'No pumps yet';
  if (counts.ENDED === total) return 'The simulation has ended';
  if (counts.ENDED > 0) return sentence({ ...counts, ENDED: 0 }, total - counts.ENDED, others);
  const attention = counts.ANOMALY + counts.STALE + others;
  if (attention > 0) {
    return total === 1 ? 'The pump needs attention' : `${attention} of ${total} pumps ${attention === 1 ? 'needs' : 'need'} attention`;
  }
  if (counts.OFF === total) return total === 1 ? 'The pump is off' : `All ${total} pumps are off`;
  const notJudged = counts.LEARNING + counts.STARTING + counts.UNKNOWN;
  if (notJudged === total) return total === 1 ? 'The pump is not judged yet' : `None of the ${total} pumps is judged yet`;
  const of = `of ${total} pumps`;
  if (counts.OFF > 0) return `No anomaly; ${counts.OFF} ${of} off${notJudged > 0 ? `, ${notJudged} not judged yet` : ''}`;
  if (notJudged > 0) return `No anomaly; ${notJudged} ${of} not judged yet`;
  return total === 1 ? 'The pump is normal' : `All ${total} pumps are normal`;
}
