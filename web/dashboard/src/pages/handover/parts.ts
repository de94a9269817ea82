// The parts of a shift handover with their titles, and where an item leads. Pure.

import type { Handover, HandoverItem } from '../../api/types';
import { NODE_LABEL } from '../../lib/alarms';
import { capitalized, formatAppointment, formatDate, plural, withTimes } from '../../lib/format';
import type { NamedChannel } from '../../lib/names';
import { alarmPath, eventPath, pumpPath } from '../../shell/route';

export type PartName = keyof Handover;

export interface Part {
  name: PartName;
  title: string;
  /** What the page says if nothing of this kind happened. */
  none: string;
  items: HandoverItem[];
  /** How many older items the node left out. */
  more: number;
}

/** In the order in which a shift asks: what is open now, what happened, what people did, what comes. */
const TITLES: readonly [PartName, string, string][] = [
  ['alarms_standing', 'Alarms that stand now', 'No alarm stands.'],
  ['alarms_raised', 'Alarms raised', 'No alarm was raised.'],
  ['alarms_returned', 'Alarms returned to normal', 'No alarm returned to normal.'],
  ['events_opened', 'Maintenance events opened', 'No maintenance event was opened.'],
  ['events_changed', 'Work on maintenance events', 'Nobody worked on a maintenance event.'],
  ['events_resolved', 'Maintenance events resolved by recovery', 'No pump recovered from a maintenance event.'],
  ['planned_work', 'Planned work', 'No work is planned or was done.'],
  ['commands', 'Commands', 'Nobody gave a command.'],
];

export const partsOf = (handover: Handover): Part[] => TITLES.map(([name, title, none]) => ({ name, title, none, ...handover[name] }));

/** The number of a part's items, with those that were left out. */
export const countOf = ({ items, more }: Pick<Part, 'items' | 'more'>): number => items.length + more;

/** The page of what an item is about; null if there is none. */
export function pathOf(part: PartName, { pump_id, id }: HandoverItem): string | null {
  if (pump_id === null) return id === null ? null : '/alarms';
  if (id === null || part === 'planned_work') return pumpPath(pump_id);
  // Commands are about alarms, events or pumps. Only an event's id has a slash.
  return part.startsWith('events_') || id.includes('/') ? eventPath(id) : alarmPath(pump_id, id);
}

/** What an item is about: a pump's id; the node; empty if it is about several pumps. */
export const ownerOf = ({ pump_id, id }: Pick<HandoverItem, 'pump_id' | 'id'>): string => pump_id ?? (id === null ? '' : NODE_LABEL);

/** A text of the node with a capital, channels by their display names, and times in words. */
export function textInWords(text: string, channels: readonly NamedChannel[], now: number): string {
  const dated = withTimes(text, (at) => formatAppointment(at, now));
  const named = channels.find(({ name }) => name !== '' && dated.includes(name));
  if (named === undefined) return capitalized(dated);
  const small = named.label.charAt(0).toLowerCase() + named.label.slice(1);
  return capitalized(dated.replaceAll(named.name, (_, at: number) => (dated[at - 1] === '"' ? named.label : small)));
}

/** The page's heading: how much there is to hand over. */
export function headline(parts: readonly Part[]): string {
  const count = (name: PartName) => countOf(parts.find((part) => part.name === name) ?? { items: [], more: 0 });
  const [standing, raised, opened] = [count('alarms_standing'), count('alarms_raised'), count('events_opened')];
  const stands = standing === 0 ? 'No alarm stands' : `${plural(standing, 'alarm')} ${standing === 1 ? 'stands' : 'stand'}`;
  return `${stands}, ${raised === 0 ? 'none was' : raised === 1 ? '1 was' : `${raised} were`} raised, ${opened === 0 ? 'no maintenance event was' : opened === 1 ? '1 maintenance event was' : `${opened} maintenance events were`} opened`;
}

/** Which time the handover is of, in words. */
export function spanInWords(since: string, until: string, lastSeen: string | null, now: number): string {
  // With the day: it is printed, and read another day.
  const [from, to] = [since, until].map((at) => formatDate(Date.parse(at), now));
  const why = lastSeen === null ? 'you have not looked before' : lastSeen === since ? 'since you last looked' : 'the chosen time';
  return `From ${from} to ${to} (${why})`;
}

/** The choices of a time in hours; null: since the last look. */
export const SPANS: readonly { hours: number | null; label: string }[] = [
  { hours: null, label: 'Since you last looked' },
  { hours: 8, label: 'The last 8 hours' },
  { hours: 12, label: 'The last 12 hours' },
  { hours: 24, label: 'The last 24 hours' },
  { hours: 7 * 24, label: 'The last 7 days' },
];
