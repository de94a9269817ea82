// A maintenance event in words. Pure. Channels have their display names where the profile is known.

import type { EventEvidence, MaintenanceEvent } from '../../api/types';
import { capitalized, decimals, formatAppointment, formatLoss, formatMoment, formatNumber, formatPercent } from '../../lib/format';
import type { NamedChannel } from '../../lib/names';
import { personInWords } from '../alarms/wording';

/** The decimals of a value of a channel that the profile no longer has. */
const UNKNOWN_DECIMALS = 2;

/** What an event is based on: another system, a limit and a verdict of the model, or a limit alone. */
export function basis(event: Pick<MaintenanceEvent, 'source' | 'model'>): string {
  if (event.source) return `From another system (${event.source})`;
  return event.model === null ? 'By the limit alone: the model had no verdict' : 'By the limit and an anomaly found by the model';
}

/** A value of a channel with its unit: 99.0 °C. */
export function valueInWords(name: string, value: number, channels: readonly NamedChannel[], unit?: string): string {
  const channel = channels.find((one) => one.name === name);
  const places = channel ? decimals(channel.resolution) : UNKNOWN_DECIMALS;
  return `${formatNumber(value, places)} ${unit ?? channel?.unit ?? ''}`.trim();
}

/** The name of a channel as the pages show it. */
export const channelLabel = (name: string, channels: readonly NamedChannel[]): string => channels.find((one) => one.name === name)?.label ?? name;

/** Bearing temperature 99.0 °C, above 85.0 °C. */
export function violationInWords(evidence: EventEvidence, channels: readonly NamedChannel[]): string {
  const unit = evidence.values.find(({ channel }) => channel === evidence.channel)?.unit;
  const inWords = (value: number) => valueInWords(evidence.channel, value, channels, unit);
  return `${channelLabel(evidence.channel, channels)} ${inWords(evidence.value)}, above ${inWords(evidence.limit)}`;
}

/** Loss 1.80, threshold 1.00; most of it Bearing temperature 62 %, Flow 20 %, Vibration 9 %. */
export function detectionInWords(detection: NonNullable<EventEvidence['detection']>, channels: readonly NamedChannel[]): string {
  const shares = detection.contributions.slice(0, 3).map(({ channel, share }) => `${channelLabel(channel, channels)} ${formatPercent(share)}`);
  return `Loss ${formatLoss(detection.loss)}, threshold ${formatLoss(detection.threshold)}; most of it ${shares.join(', ')}`;
}

/** 2 × Bearing set (6312-C3). */
export const partInWords = ({ name, number, quantity }: { name: string; number: string | null; quantity: number }): string =>
  `${quantity} × ${name}${number === null ? '' : ` (${number})`}`;

/** `bearing_wear` as bearing wear. */
export const modeInWords = (mode: string): string => mode.replaceAll('_', ' ');

type Work = MaintenanceEvent['work'];
type Change = Work['history'][number];

/** What was found: bearing wear; another cause; nothing. */
export function findingInWords({ kind, mode }: NonNullable<Work['finding']>): string {
  if (mode !== null) return modeInWords(mode);
  return kind === 'other' ? 'another cause' : kind === 'nothing' ? 'nothing was wrong' : modeInWords(kind);
}

const planInWords = (plan: NonNullable<Work['plan']>, now: number): string => `${formatAppointment(Date.parse(plan.on), now)}, ${plan.owner}`;

/** One change of the status: 'Asha planned it for Fri 13 Mar, 08:00, ravi'. Without its time and its comment. */
export function changeInWords({ status, by, plan, finding }: Pick<Change, 'status' | 'by' | 'plan' | 'finding'>, now: number): string {
  const verbs: Record<string, string> = {
    acknowledged: 'has seen it', submitted: 'submitted the plan', approved: 'approved the plan', rejected: 'rejected the plan', reopened: 'reopened it',
    planned: `planned it${plan ? ` for ${planInWords(plan, now)}` : ''}`,
    done: `finished it${finding ? `, found: ${findingInWords(finding)}` : ''}`,
  };
  return `${capitalized(personInWords(by))} ${verbs[status] ?? `set it to ${status.replaceAll('_', ' ')}`}`;
}

const quoted = (comment: string | null | undefined): string => (comment ? `: “${comment}”` : '');

/** What is being done about an event, as a sentence. */
export function workInWords({ status, plan, history }: Pick<Work, 'status' | 'plan' | 'history'>, now: number): string {
  const last = history.at(-1);
  if (last === undefined) return 'Nobody has reacted yet.';
  const who = capitalized(personInWords(last.by));
  const when = `(${formatMoment(Date.parse(last.at), now)})`;
  const planned = plan ? planInWords(plan, now) : '';
  switch (status) {
    case 'acknowledged':
      return `${who} has seen it ${when}${quoted(last.comment)}.`;
    case 'planned':
      return `Planned for ${planned}. Not submitted for approval yet.`;
    case 'submitted':
      return `The plan (${planned}) waits for approval. ${who} submitted it ${when}${quoted(last.comment)}.`;
    case 'approved':
      return `${who} approved the plan (${planned})${quoted(last.comment)}.`;
    case 'rejected':
      return `${who} rejected the plan (${planned})${quoted(last.comment)}.`;
    case 'done':
      return `Done. ${changeInWords(last, now)} ${when}${quoted(last.comment)}.`;
    case 'reopened':
      return `${who} reopened it ${when}${quoted(last.comment)}. Nobody has reacted since.`;
    default:
      return `${changeInWords(last, now)} ${when}${quoted(last.comment)}.`;
  }
}
