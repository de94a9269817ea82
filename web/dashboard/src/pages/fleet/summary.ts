// Summarizes the fleet in one sentence. Pure. An example: one of 6 pumps is ANOMALY, one NORMAL pump has an open event, and the
// other four are NORMAL. The sentence is '2 of 6 pumps need attention'.

import { STATUS, STATUSES, type DisplayStatus } from '../../lib/status';

export type Counts = Record<DisplayStatus, number>;

export interface Summary {
  sentence: string;
  /** The worst status, for the symbol beside the sentence. */
  worst: DisplayStatus;
  total: number;
}

export function countStatuses(rows: Iterable<{ status: DisplayStatus }>): Counts {
  const counts: Counts = { ANOMALY: 0, STALE: 0, UNKNOWN: 0, LEARNING: 0, STARTING: 0, NORMAL: 0, OFF: 0, ENDED: 0 };
  for (const { status } of rows) counts[status]++;
  return counts;
}

/** Whether a pump needs attention although its status does not say so: limits are evaluated whatever the status is. */
export function hasOpenEvent({ status, activeEvents }: { status: DisplayStatus; activeEvents: number }): boolean {
  return activeEvents > 0 && status !== 'ANOMALY' && status !== 'STALE' && status !== 'ENDED';
}

/**
 * Anomalous and stale pumps need attention, and so do the `withEvents` pumps that have open events and another status. Learning,
 * starting and unknown pumps are not judged yet. A pump that is off needs no attention.
 */
export function summarize(counts: Counts, withEvents = 0): Summary {
  const total = STATUSES.reduce((sum, status) => sum + counts[status], 0);
  const worst = withEvents > 0 ? 'ANOMALY' : (STATUSES.find((status) => counts[status] > 0) ?? 'UNKNOWN');
  return { sentence: sentence(counts, total, withEvents), worst, total };
}

/** The title of the browser's tab. */
export function tabTitle(counts: Counts, withEvents = 0): string {
  const alarms = [
    ...(counts.ANOMALY > 0 ? [anomalies(counts)] : []),
    ...(withEvents > 0 ? [`${withEvents} with open events`] : []),
  ];
  if (alarms.length > 0) return `▲ ${alarms.join(', ')} — Volute`;
  if (counts.STALE > 0) return `◷ ${counts.STALE} stale — Volute`;
  return 'Fleet — Volute';
}

/**
 * Returns for example `2 anomalies, 1 stale`: the number of pumps of each status, worst first. Then the number of pumps with an open
 * event among the others.
 */
export function countsInWords(counts: Counts, withEvents = 0): string {
  const words = STATUSES.filter((status) => counts[status] > 0)
    .map((status) => (status === 'ANOMALY' ? anomalies(counts) : `${counts[status]} ${STATUS[status].word.toLowerCase()}`))
    .join(', ');
  return withEvents > 0 ? `${words}; ${withEvents} with open events` : words;
}

const anomalies = (counts: Counts): string => `${counts.ANOMALY} ${counts.ANOMALY === 1 ? 'anomaly' : 'anomalies'}`;

function sentence(counts: Counts, total: number, withEvents: number): string {
  if (total === 0) return 'No pumps yet';
  if (counts.ENDED === total) return 'The simulation has ended';
  if (counts.ENDED > 0) return sentence({ ...counts, ENDED: 0 }, total - counts.ENDED, withEvents);
  const attention = counts.ANOMALY + counts.STALE + withEvents;
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
