// Alarms, their history and their metrics in words. Pure.

import type { Alarm, AlarmTransition, PastExcursion } from '../../api/types';
import { priorityOf, PRIORITY_WORDS } from '../../lib/alarms';
import { formatDuration, formatMoment, formatNumber, formatPercent, plural } from '../../lib/format';
import type { NamedChannel } from '../../lib/names';
import { channelOf, channelValue, plainNumber, secondsInWords, titleInWords, type AlarmDefinition, type Condition } from './definition';

/** What raised an alarm. */
interface Evidence {
  value: number | null;
  limit: number | null;
}

/** '95.2 °C, above 93.0 °C'; empty if there is no number. Without a definition, numbers have no unit. */
export function againstLimit({ value, limit }: Evidence, condition: Condition | undefined, channels: readonly NamedChannel[], locale?: string): string {
  if (value === null) return '';
  const channel = condition && channels.find(({ name }) => name === channelOf(condition));
  const text = (number: number): string => {
    switch (condition?.kind) {
      case 'rate_of_change':
        return `${plainNumber(number, locale)} ${channel?.unit ?? ''} a minute`.replace('  ', ' ');
      case 'deviation':
        return `${formatNumber(number, 1, locale)} spreads`;
      case 'no_data':
        return secondsInWords(Math.round(number));
      case 'expression':
        return plainNumber(number, locale);
      default:
        return channelValue(number, channel, locale);
    }
  };
  if (limit === null || value === limit) return text(value);
  return `${text(value)}, ${value > limit ? 'above' : 'below'} ${text(limit)}`;
}

/** Who gave a command, from what the node notes: 'user ada' is Ada, '127.0.0.1:5000' is somebody at 127.0.0.1. */
export function personInWords(by: string | null): string {
  if (by === null || by === 'unknown') return 'somebody';
  const address = /^(?:\[([\da-f:.]+)\]:\d+|(\d+(?:\.\d+){3})(?::\d+)?|([\da-f]*:[\da-f:.]+))$/.exec(by);
  if (address) return `somebody at ${address[1] ?? address[2] ?? address[3]}`;
  const name = by.replace(/^user /, '');
  return name.charAt(0).toUpperCase() + name.slice(1);
}

const SUPPRESSIONS: Record<string, (why: Record<string, unknown>, titleOf: (alarm: string) => string) => string> = {
  operating_state: () => 'it does not hold in the pump’s operating state',
  explained_by: ({ alarm }, titleOf) => `explained by “${titleOf(String(alarm))}”`,
  planned_work: ({ work }) => `planned work: ${work}`,
};

function suppressionInWords(details: Record<string, unknown>, titleOf: (alarm: string) => string): string {
  const why = details.why as Record<string, unknown> | undefined;
  return why ? (SUPPRESSIONS[String(why.reason)]?.(why, titleOf) ?? String(why.reason)) : '';
}

/** A row of the history: what happened, and what the person wrote. */
export interface RowWords {
  words: string;
  comment: string | null;
}

/** 'Raised: 95.2 °C, above 93.0 °C', or 'Acknowledged by Ada' with its comment. */
export function transitionInWords(row: AlarmTransition, definitions: readonly AlarmDefinition[], channels: readonly NamedChannel[], now: number, locale?: string): RowWords {
  const condition = definitionOf(definitions, row.alarm)?.condition;
  const titleOf = (alarm: string) => titleInWords(definitionOf(definitions, alarm)?.title ?? alarm, channels);
  const details = (row.details ?? {}) as Record<string, unknown>;
  const evidence = details.evidence as { since?: string; value?: number; limit?: number } | undefined;
  const numbers = evidence ? againstLimit({ value: evidence.value ?? null, limit: evidence.limit ?? null }, condition, channels, locale) : '';
  const who = personInWords(row.by);
  const with_ = (text: string, more: string) => (more === '' ? text : `${text}: ${more}`);
  const words = (): string => {
    switch (row.cause) {
      case 'raised':
        return with_(row.announces ? 'Raised' : `Condition holds, not announced (${row.to.replaceAll('_', ' ')})`, numbers);
      case 'returned': {
        const back = evidence?.value === undefined ? '' : againstLimit({ value: evidence.value, limit: null }, condition, channels, locale);
        return with_(details.latched === true ? 'Over, and latched until somebody resets it' : 'Over', back);
      }
      case 'acknowledged':
        return `Acknowledged by ${who}${typeof details.up_to === 'number' && details.up_to < row.occurrence ? `, up to occurrence ${details.up_to}` : ''}`;
      case 'shelved':
        return `Shelved by ${who} until ${formatMoment(Date.parse(String(details.until)), now, locale)}`;
      case 'unshelved':
        return `Unshelved by ${who}`;
      case 'shelving_ended':
        return 'Shelving ended by itself';
      case 'suppression_began':
        return with_('Suppressed by design', suppressionInWords(details, titleOf));
      case 'suppression_ended':
        return with_('No longer suppressed', suppressionInWords(details, titleOf));
      case 'taken_out_of_service':
        return `Taken out of service by ${who}`;
      case 'returned_to_service':
        return `Returned to service by ${who}`;
      case 'reset':
        return `Reset by ${who}`;
      default:
        return row.cause.replaceAll('_', ' ');
    }
  };
  // A shelving that ends while the condition holds is announced again.
  const again = row.announces && row.cause !== 'raised' ? '; its condition holds, so it is announced again' : '';
  return { words: words() + again, comment: row.comment };
}

/** Newest first. Rows of one alarm at the same time are in the order of their numbers: a reading may end an occurrence and the next one begin another. */
export function newestFirst(rows: readonly AlarmTransition[]): AlarmTransition[] {
  const key = ({ pump_id, alarm }: AlarmTransition) => `${pump_id ?? ''} ${alarm}`;
  const byKey = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return rows.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at) || byKey(key(a), key(b)) || b.seq - a.seq);
}

/** 'was above 8.5 mm/s, up to 9.2 mm/s, from 10:02:00 to 10:05:00, learned at 10:31:00': what late readings show of the past. */
export function pastInWords(past: PastExcursion, definitions: readonly AlarmDefinition[], channels: readonly NamedChannel[], now: number, locale?: string): string {
  const condition = definitionOf(definitions, past.alarm)?.condition;
  const moment = (text: string) => formatMoment(Date.parse(text), now, locale);
  const numbers = againstLimit({ value: past.peak, limit: past.limit }, condition, channels, locale);
  const span = past.from === past.to ? `at ${moment(past.from)}` : `from ${moment(past.from)} to ${moment(past.to)}`;
  return `${numbers === '' ? 'Its condition held' : `Was ${numbers},`} ${span}, learned at ${moment(past.learned_at)}`;
}

/** The id of the alarm that explains this one, if it is suppressed for that. */
export function explainedBy({ suppressed }: Pick<Alarm, 'suppressed'>): string | null {
  for (const why of suppressed) {
    const match = /^explained by the alarm (\S+)$/.exec(why);
    if (match) return match[1];
  }
  return null;
}

/** 'would have raised 3 alarms in the last 7 days, the longest 14 min'. */
export function trialInWords(trial: { raised: number; longest_s: number; readings: number }, from: number, to: number): string {
  const span = `the last ${formatDuration(to - from)}`;
  if (trial.readings === 0) return `There is no reading in ${span}: nothing could be tried.`;
  if (trial.raised === 0) return `It would have raised no alarm in ${span}, on ${plural(trial.readings, 'reading')}.`;
  return `It would have raised ${plural(trial.raised, 'alarm')} in ${span}, the longest ${formatDuration(trial.longest_s * 1000)}.`;
}

/** A rate of ISA-18.2, in words. */
export interface Figure {
  label: string;
  value: string;
  target: string;
  rating: string;
  isMet: boolean;
}

interface Rate {
  value: number;
  acceptable: number;
  at_most: number;
  rating: string;
}

interface Measure {
  value: number;
  at_most: number;
  is_met: boolean;
}

/** An alarm as the metrics name it. */
export type AlarmKey = { pump?: string | null; alarm: string };

export interface Metrics {
  announcements: number;
  per_10_min: Rate;
  per_hour: Rate;
  per_day: Rate;
  max_in_10_min: number;
  flood_share: Measure;
  top_ten: [AlarmKey, number][];
  top_ten_share: Measure;
  chattering: AlarmKey[];
  stale: AlarmKey[];
  priorities: { priority: string; announcements: number; share: number; recommended: number }[];
}

const RATINGS: Record<string, string> = { acceptable: 'Acceptable', manageable: 'Can be managed', too_many: 'Too many' };

/** Each metric with its target and its rating. */
export function figures(metrics: Metrics, locale?: string): Figure[] {
  const rate = (label: string, { value, acceptable, at_most, rating }: Rate): Figure => ({
    label,
    value: value > 0 && value < 0.005 ? '< 0.01' : formatNumber(value, value < 10 ? 2 : 0, locale),
    target: `acceptable up to ${formatNumber(acceptable, 0, locale)}, at most ${formatNumber(at_most, 0, locale)}`,
    rating: RATINGS[rating] ?? rating,
    isMet: rating === 'acceptable',
  });
  const share = (label: string, { value, at_most, is_met }: Measure): Figure => ({
    label,
    value: formatPercent(value, locale),
    target: `at most ${formatPercent(at_most, locale)}`,
    rating: is_met ? 'Met' : 'Not met',
    isMet: is_met,
  });
  const none = (label: string, found: readonly unknown[]): Figure => ({
    label,
    value: formatNumber(found.length, 0, locale),
    target: 'none',
    rating: found.length === 0 ? 'Met' : 'Not met',
    isMet: found.length === 0,
  });
  return [
    rate('Alarms in 10 minutes, on average', metrics.per_10_min),
    rate('Alarms in an hour, on average', metrics.per_hour),
    rate('Alarms in a day, on average', metrics.per_day),
    share('Share of the time in a flood (more than 10 in 10 minutes)', metrics.flood_share),
    share('Share of the ten most frequent alarms', metrics.top_ten_share),
    none('Chattering alarms (raised three times within a minute)', metrics.chattering),
    none('Stale alarms (standing for more than 24 h)', metrics.stale),
  ];
}

/** 'Low: 12 (86 %), recommended about 80 %'. */
export function priorityShares(metrics: Metrics, locale?: string): { label: string; value: string; target: string }[] {
  return metrics.priorities.map(({ priority, announcements, share, recommended }) => ({
    label: PRIORITY_WORDS[priorityOf(priority)],
    value: `${formatNumber(announcements, 0, locale)} (${formatPercent(share, locale)})`,
    target: recommended <= 0.01 ? 'under 1 %' : `about ${formatPercent(recommended, locale)}`,
  }));
}

/** The definition of an alarm, if it is known. */
export const definitionOf = (definitions: readonly AlarmDefinition[], id: string): AlarmDefinition | undefined =>
  definitions.find((definition) => definition.id === id);
