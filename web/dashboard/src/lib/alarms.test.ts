import { describe, expect, it } from 'vitest';
import { alarmRank, isUrgent, NO_ALARMS, priorityOf, shownPriority, sumAlarms, summaryInWords, unacknowledgedInWords } from './alarms';
import { isStanding, isUnacknowledged, stateInWords, STATES, summaryOf } from './alarmState';

const summary = (highest: string | null, open: string | null, unacknowledged = open === null ? 0 : 1) => ({
  standing: highest === null ? 0 : Math.max(1, unacknowledged), unacknowledged, highest, highest_unacknowledged: open, set_aside: 0,
});

it('ranks what nobody has acknowledged before what stands, and each by priority', () => {
  const order = [summary('critical', 'critical'), summary('critical', 'high'), summary('low', 'low'), summary('critical', null), summary('low', null)];
  const ranks = order.map((one) => alarmRank(one)!);
  expect(ranks).toEqual(ranks.toSorted((a, b) => a - b));
  expect(new Set(ranks).size).toBe(order.length);
  expect(alarmRank(NO_ALARMS)).toBeNull();
});

it.each([
  [NO_ALARMS, ''],
  [summary('high', 'high', 2), 'High alarm, 2 unacknowledged'],
  [summary('critical', 'low', 1), 'Low alarm, 1 unacknowledged'],
  [summary('medium', null), 'Medium alarm, acknowledged'],
])('%j is “%s”', (alarms, words) => expect(summaryInWords(alarms)).toBe(words));

it('adds up the alarms of several pumps', () => {
  const all = sumAlarms([summary('high', null), summary('low', 'low', 3), NO_ALARMS]);
  expect(all).toEqual({ standing: 4, unacknowledged: 3, highest: 'high', highest_unacknowledged: 'low', set_aside: 0 });
  expect(unacknowledgedInWords(all)).toBe('3 unacknowledged alarms, the highest low');
  expect(unacknowledgedInWords(summary('high', 'high'))).toBe('1 unacknowledged alarm of high priority');
  expect(unacknowledgedInWords(NO_ALARMS)).toBe('');
  expect(shownPriority(all)).toBe('low');
});

it('takes a priority that it does not know as urgent', () => {
  expect([priorityOf('catastrophic'), isUrgent('catastrophic'), isUrgent('medium'), isUrgent('high')]).toEqual(['critical', true, false, true]);
});

describe('the states', () => {
  it('that ask for a person', () => {
    expect(STATES.filter((state) => isUnacknowledged({ state }))).toEqual(['unacknowledged', 'returned_unacknowledged', 'latched_unacknowledged']);
    expect(STATES.filter((state) => isStanding({ state }))).toEqual(['unacknowledged', 'returned_unacknowledged', 'latched_unacknowledged', 'acknowledged', 'latched_acknowledged']);
  });

  it('have words, also those that are new', () => {
    expect(stateInWords('returned_unacknowledged')).toBe('Returned, unacknowledged');
    expect(stateInWords('half_asleep')).toBe('half asleep');
  });

  it('are counted as the node does', () => {
    const alarms = [['unacknowledged', 'low'], ['acknowledged', 'high'], ['shelved', 'critical'], ['latched_unacknowledged', 'medium']].map(([state, priority]) => ({ state, priority }));
    expect(summaryOf(alarms)).toEqual({ standing: 3, unacknowledged: 2, highest: 'high', highest_unacknowledged: 'medium', set_aside: 0 });
  });
});
