// The fleet in one sentence: the answer to "is my plant all right?". Pure.

import { STATUS, STATUSES, type Shown } from '../../lib/status';

export type Counts = Record<Shown, number>;

export interface Summary {
  sentence: string;
  /** How bad it is, for the mark beside the sentence. */
  worst: Shown;
  total: number;
}

export function countStatuses(rows: Iterable<{ status: Shown }>): Counts {
  const counts: Counts = { ANOMALY: 0, STALE: 0, UNKNOWN: 0, LEARNING: 0, STARTING: 0, NORMAL: 0, OFF: 0, ENDED: 0 };
  for (const { status } of rows) counts[status]++;
  return counts;
}

/** Whether a pump needs attention though its status does not say so: its limits are watched whatever its status is. */
export function hasOpenEvent({ status, activeEvents }: { status: Shown; activeEvents: number }): boolean {
  return activeEvents > 0 && status !== 'ANOMALY' && status !== 'STALE' && status !== 'ENDED';
}

/**
 * Anomalous and stale pumps need attention, and `withEvents` others, which have open events; of learning, starting and
 * unknown ones nothing else can be said yet; off is no matter.
 */
export function summarize(counts: Counts, withEvents = 0): Summary {
  const total = STATUSES.reduce((sum, status) => sum + counts[status], 0);
  const worst = withEvents > 0 ? 'ANOMALY' : (STATUSES.find((status) => counts[status] > 0) ?? 'UNKNOWN');
  return { sentence: sentence(counts, total, withEvents), worst, total };
}

/** What the browser's tab says. */
export function tabTitle(counts: Counts, withEvents = 0): string {
  const alarms = [
    ...(counts.ANOMALY > 0 ? [anomalies(counts)] : []),
    ...(withEvents > 0 ? [`${withEvents} with open events`] : []),
  ];
  if (alarms.length > 0) return `▲ ${alarms.join(', ')} — Volute`;
  if (counts.STALE > 0) return `◷ ${counts.STALE} stale — Volute`;
  return 'Fleet — Volute';
}

/** 2 anomalies, 1 stale: what there is, worst first; then how many of the others have open events. */
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
  const unjudged = counts.LEARNING + counts.STARTING + counts.UNKNOWN;
  if (unjudged === total) return total === 1 ? 'The pump is not judged yet' : `None of the ${total} pumps is judged yet`;
  const of = `of ${total} pumps`;
  if (counts.OFF > 0) return `No anomaly; ${counts.OFF} ${of} off${unjudged > 0 ? `, ${unjudged} not judged yet` : ''}`;
  if (unjudged > 0) return `No anomaly; ${unjudged} ${of} not judged yet`;
  return total === 1 ? 'The pump is normal' : `All ${total} pumps are normal`;
}
