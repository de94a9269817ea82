// The list of alarms: tabs, filters, order and groups. Pure. The filter is in the page's address: '?tab=history&pump=P-7'.

import type { Alarm } from '../../api/types';
import { urgency } from '../../lib/alarms';
import { isStanding, isUnacknowledged } from '../../lib/alarmState';
import { explainedBy } from './wording';

export const TABS = ['standing', 'aside', 'history', 'metrics'] as const;
export type Tab = (typeof TABS)[number];

export const SORTS = { urgency: 'Most urgent first', newest: 'Newest first', oldest: 'Oldest first', pump: 'By pump' } as const;
export type Sort = keyof typeof SORTS;

export interface AlarmFilter {
  tab: Tab;
  /** Empty: all; also in the next two. */
  priority: string;
  state: string;
  /** A part of the pump's name or id. */
  pump: string;
  sort: Sort;
}

export const NO_FILTER: AlarmFilter = { tab: 'standing', priority: '', state: '', pump: '', sort: 'urgency' };

export function filterOf(search: string): AlarmFilter {
  const query = new URLSearchParams(search);
  const [tab, sort] = [query.get('tab') as Tab, query.get('sort') as Sort];
  return {
    tab: TABS.includes(tab) ? tab : 'standing',
    priority: query.get('priority') ?? '',
    state: query.get('state') ?? '',
    pump: query.get('pump') ?? '',
    sort: Object.hasOwn(SORTS, sort) ? sort : 'urgency',
  };
}

export function searchOf(filter: AlarmFilter): string {
  const query = new URLSearchParams();
  for (const key of Object.keys(NO_FILTER) as (keyof AlarmFilter)[]) {
    if (filter[key] !== NO_FILTER[key]) query.set(key, filter[key]);
  }
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

/** Whether anything but the tab and the order is chosen. */
export const isFiltered = ({ priority, state, pump }: AlarmFilter): boolean => priority !== '' || state !== '' || pump.trim() !== '';

/** An alarm with those that it explains. */
export interface AlarmGroup {
  alarm: Alarm;
  explains: Alarm[];
}

export const keyOf = ({ pump_id, alarm }: { pump_id: string; alarm: string }): string => `${pump_id} ${alarm}`;

const byName = new Intl.Collator('en', { numeric: true });

/**
 * The groups of a tab. An alarm that another one explains stands under that one, whatever the tab; if the other one is not in the list,
 * it is one of those that are set aside.
 */
export function groupsOf(alarms: readonly Alarm[], filter: AlarmFilter, nameOf: (pump: string) => string | null): AlarmGroup[] {
  const known = new Map(alarms.map((alarm) => [keyOf(alarm), alarm]));
  const explained = new Map<string, Alarm[]>();
  const alone: Alarm[] = [];
  for (const alarm of alarms) {
    const other = explainedBy(alarm);
    const key = other === null ? null : keyOf({ pump_id: alarm.pump_id, alarm: other });
    if (key !== null && alarm.state === 'suppressed' && known.has(key)) explained.set(key, [...(explained.get(key) ?? []), alarm]);
    else alone.push(alarm);
  }
  const wanted = filter.pump.trim().toLowerCase();
  const shown = alone.filter(
    (alarm) =>
      isStanding(alarm) === (filter.tab === 'standing') &&
      (filter.priority === '' || alarm.priority === filter.priority) &&
      (filter.state === '' || alarm.state === filter.state) &&
      (wanted === '' || alarm.pump_id.toLowerCase().includes(wanted) || (nameOf(alarm.pump_id)?.toLowerCase().includes(wanted) ?? false)),
  );
  shown.sort((a, b) => compare(a, b, filter.sort));
  return shown.map((alarm) => ({ alarm, explains: explained.get(keyOf(alarm)) ?? [] }));
}

/** The urgent ones first: what nobody has acknowledged, by priority, the newest first. */
function compare(a: Alarm, b: Alarm, sort: Sort): number {
  const age = timeOf(b) - timeOf(a);
  const urgent = Number(isUnacknowledged(b)) - Number(isUnacknowledged(a)) || urgency(b.priority) - urgency(a.priority) || age;
  const name = byName.compare(a.pump_id, b.pump_id) || byName.compare(a.alarm, b.alarm);
  if (sort === 'newest') return age || urgent || name;
  if (sort === 'oldest') return -age || urgent || name;
  if (sort === 'pump') return byName.compare(a.pump_id, b.pump_id) || urgent || name;
  return urgent || name;
}

const timeOf = ({ raised_at, shelved, out_of_service }: Alarm): number => Date.parse(raised_at ?? shelved?.since ?? out_of_service?.since ?? '') || 0;
