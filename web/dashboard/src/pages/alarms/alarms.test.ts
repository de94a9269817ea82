import { NODE } from '../../lib/alarms';
import { render } from 'svelte/server';
import { describe, expect, it, vi } from 'vitest';
import type { Alarm, AlarmTransition, Session } from '../../api/types';
import type { NamedChannel } from '../../lib/names';
import { PagedList } from '../../lib/pagedList.svelte';
import { session } from '../../lib/session.svelte';
import AlarmRow from './AlarmRow.svelte';
import { bodyOf, failureInWords, offered, untilProblem } from './commands';
import { conditionInWords, delaysInWords, titleInWords, type AlarmDefinition, type Condition } from './definition';
import { acknowledgeByKey } from './keys';
import { filterOf, groupsOf, NO_FILTER, searchOf } from './list';
import { againstLimit, explainedBy, figures, newestFirst, personInWords, transitionInWords, trialInWords, type Metrics } from './wording';

const channels = [{ name: 'Bearing_Temperature_C', label: 'Bearing temperature', unit: '°C', resolution: 0.1 }] as NamedChannel[];
const HOT: Condition = { kind: 'high_high', channel: 'Bearing_Temperature_C', limit: 93 };
const KNOWN: AlarmDefinition[] = [
  { id: 'hot', title: '', condition: HOT, priority: 'high', latching: false },
  { id: 'pump-stale', title: 'No data from the pump', condition: { kind: 'no_data', after_s: 60 }, priority: 'medium', latching: false },
];
const NOW = Date.parse('2026-03-09T10:05:00.000Z');

const alarm = (more: Partial<Alarm> = {}): Alarm =>
  ({
    pump_id: 'P-7', alarm: 'hot', title: 'Bearing_Temperature_C far too high', help: 'Check the oil.', priority: 'high', state: 'unacknowledged',
    allowed: ['acknowledge', 'shelve', 'take_out_of_service'], occurrence: 3, acknowledged_up_to: 2, holds: true, raised_at: '2026-03-09T10:01:00.000Z',
    since: '2026-03-09T10:00:00.000Z', value: 95.2, limit: 93, shelved: null, out_of_service: null, suppressed: [], ...more,
  }) as Alarm;

describe('a value against its limit', () => {
  it.each<[Condition | undefined, number | null, number | null, string]>([
    [HOT, 95.2, 93, '95.2 °C, above 93.0 °C'],
    [{ kind: 'low', channel: 'Bearing_Temperature_C', limit: 5 }, 4, 5, '4.0 °C, below 5.0 °C'],
    [{ kind: 'rate_of_change', channel: 'Bearing_Temperature_C', limit_per_min: 2, over_s: 60 }, 3.25, 2, '3.25 °C a minute, above 2 °C a minute'],
    [{ kind: 'deviation', channel: 'Bearing_Temperature_C', limit_spreads: 3 }, 4.123, 3, '4.1 spreads, above 3.0 spreads'],
    [{ kind: 'expression', expression: 'a - b', when: 'below', limit: 1.5 }, 1.2, 1.5, '1.2, below 1.5'],
    [{ kind: 'no_data', after_s: 60 }, 61, 60, '61 s, above 60 s'],
    [undefined, 95.2, 93, '95.2, above 93'],
    [HOT, null, null, ''],
    [HOT, 95.2, null, '95.2 °C'],
  ])('%j with %s and %s: %s', (condition, value, limit, words) => expect(againstLimit({ value, limit }, condition, channels, 'en')).toBe(words));
});

describe('a definition in words', () => {
  it.each<[Condition, string]>([
    [HOT, 'Bearing temperature above 93.0 °C'],
    [{ kind: 'rate_of_change', channel: 'Bearing_Temperature_C', limit_per_min: 2, over_s: 120, direction: 'rising' }, 'Bearing temperature rises by more than 2 °C a minute, over 2 min'],
    [{ kind: 'no_data', after_s: 7200 }, 'Nothing received for 2 h'],
    [{ kind: 'no_data', channel: 'Bearing_Temperature_C', after_s: 90 }, 'No value of Bearing temperature for 90 s'],
    [{ kind: 'high', channel: 'gone', limit: 1 }, 'gone above 1'],
  ])('%j: %s', (condition, words) => expect(conditionInWords(condition, channels, 'en')).toBe(words));

  it('names the channel as the page does', () => {
    expect(titleInWords('Bearing_Temperature_C far too high', channels)).toBe('Bearing temperature far too high');
    expect(titleInWords('No values of Bearing_Temperature_C', channels)).toBe('No values of bearing temperature');
    expect(titleInWords('Seal leaks', channels)).toBe('Seal leaks');
  });

  it('says which delays are its own', () => {
    const definition = { id: 'hot', title: 'Hot', condition: HOT, priority: 'high', latching: true } as AlarmDefinition;
    expect(delaysInWords(definition)).toBe('usual delays and deadband; latching');
    const used = { on_delay_s: 20, off_delay_s: 60, deadband: 0.93, holds_in: ['running'] };
    expect(delaysInWords({ ...definition, off_delay_s: 120, latching: false }, used)).toBe('after 20 s (usual); over after 2 min; deadband 0.93 (usual)');
    expect(delaysInWords({ ...definition, on_delay_s: 120, latching: false })).toBe('after 2 min; usual off-delay; usual deadband');
  });
});

describe('the life of an alarm', () => {
  const row = (more: object): AlarmTransition =>
    ({ seq: 1, pump_id: 'P-7', alarm: 'hot', occurrence: 2, announces: false, priority: 'high', from: 'normal', to: 'unacknowledged', at: '2026-03-09T10:01:00.000Z', cause: 'raised', details: {}, by: null, comment: null, ...more }) as AlarmTransition;

  it.each<[object, string]>([
    [{ announces: true, details: { evidence: { since: 'x', value: 95.2, limit: 93 } } }, 'Raised: 95.2 °C, above 93.0 °C'],
    [{ to: 'shelved', details: { evidence: { since: 'x', value: 95.2, limit: 93 } } }, 'Condition holds, not announced (shelved): 95.2 °C, above 93.0 °C'],
    [{ cause: 'returned', details: { evidence: { since: 'x', value: 90, limit: 93 }, latched: false } }, 'Over: 90.0 °C'],
    [{ cause: 'returned', details: { evidence: { since: 'x' }, latched: true } }, 'Over, and latched until somebody resets it'],
    [{ cause: 'acknowledged', by: 'user ada', details: { up_to: 2 }, comment: 'on my way' }, 'Acknowledged by Ada'],
    [{ cause: 'acknowledged', by: 'user ada', details: { up_to: 1 } }, 'Acknowledged by Ada, up to occurrence 1'],
    [{ cause: 'shelving_ended', announces: true }, 'Shelving ended by itself; its condition holds, so it is announced again'],
    [{ cause: 'suppression_began', details: { why: { reason: 'explained_by', alarm: 'pump-stale' } } }, 'Suppressed by design: explained by “No data from the pump”'],
    [{ cause: 'suppression_ended', details: { why: { reason: 'operating_state' } } }, 'No longer suppressed: it does not hold in the pump’s operating state'],
    [{ cause: 'taken_out_of_service', by: '127.0.0.1:5000' }, 'Taken out of service by somebody at 127.0.0.1'],
    [{ cause: 'polished', by: null }, 'polished'],
  ])('%j: %s', (more, words) => expect(transitionInWords(row(more), KNOWN, channels, NOW, 'en').words).toBe(words));

  it('has rows of the same moment in the order of their numbers', () => {
    const rows = [row({ seq: 3 }), row({ seq: 2 }), row({ seq: 4 }), row({ seq: 1, at: '2026-03-09T10:02:00.000Z' }), row({ seq: 9, alarm: 'dry' })];
    expect(newestFirst(rows).map(({ alarm: id, seq }) => `${id} ${seq}`)).toEqual(['hot 1', 'dry 9', 'hot 4', 'hot 3', 'hot 2']);
  });

  it('keeps what people wrote', () => {
    expect(transitionInWords(row({ cause: 'acknowledged', by: 'user ada', comment: 'on my way' }), KNOWN, channels, NOW).comment).toBe('on my way');
    expect([personInWords('user ada.l'), personInWords('[::1]:80'), personInWords('uid 0'), personInWords(null)]).toEqual(['Ada.l', 'somebody at ::1', 'Uid 0', 'somebody']);
    expect([personInWords('127.0.0.1'), personInWords('::1'), personInWords('127.0.0.1:80')]).toEqual(['somebody at 127.0.0.1', 'somebody at ::1', 'somebody at 127.0.0.1']);
  });
});

describe('commands', () => {
  it('are those that the state allows and the role may', () => {
    expect(offered(alarm(), () => true)).toEqual(['acknowledge', 'shelve', 'take_out_of_service']);
    expect(offered(alarm(), (permission) => permission === 'acknowledge')).toEqual(['acknowledge']);
    expect(offered(alarm({ allowed: [] }), () => true)).toEqual([]);
  });

  it('name the occurrence that was seen, and only then', () => {
    expect(bodyOf('acknowledge', [alarm()], ' on my way ', null)).toEqual({ alarms: [{ pump_id: 'P-7', alarm: 'hot', occurrence: 3 }], comment: 'on my way' });
    expect(bodyOf('shelve', [alarm()], 'why', NOW)).toEqual({ alarms: [{ pump_id: 'P-7', alarm: 'hot' }], comment: 'why', until: '2026-03-09T10:05:00.000Z' });
    expect(bodyOf('unshelve', [alarm({ pump_id: NODE, alarm: 'node-disk' })], '', null)).toEqual({ alarms: [{ pump_id: null, alarm: 'node-disk' }] });
    expect(bodyOf('unshelve', [alarm()], ' ', null)).toEqual({ alarms: [{ pump_id: 'P-7', alarm: 'hot' }] });
  });

  it('say for which alarms they failed, and why', () => {
    const results = [{ pump_id: 'P-7', alarm: 'hot', done: true, error: null }, { pump_id: 'P-8', alarm: 'dry', done: false, error: 'it is shelved' }];
    expect(failureInWords('acknowledge', results)).toBe('Acknowledged: 1 of 2. Not P-8 dry: it is shelved.');
    expect(failureInWords('acknowledge', results.slice(0, 1))).toBeNull();
  });

  it('end a shelving in the future, within a week', () => {
    expect(untilProblem('', NOW)).toBe('Enter a date and a time.');
    expect(untilProblem('2026-03-09T10:00:00Z', NOW)).toBe('Enter a time in the future.');
    expect(untilProblem('2026-03-17T10:00:00Z', NOW)).toMatch(/^At most a week/);
    expect(untilProblem('2026-03-10T10:00:00Z', NOW)).toBeNull();
  });

  it('run by a key at once for low and medium, and after a confirmation for high and critical', () => {
    const dialog = { open: vi.fn(), runAtOnce: vi.fn() };
    expect(acknowledgeByKey(alarm({ priority: 'medium' }), dialog, true)).toBe(true);
    expect([dialog.runAtOnce.mock.calls.length, dialog.open.mock.calls.length]).toEqual([1, 0]);
    expect(acknowledgeByKey(alarm({ priority: 'critical' }), dialog, true)).toBe(true);
    expect([dialog.runAtOnce.mock.calls.length, dialog.open.mock.calls.length]).toEqual([1, 1]);
    for (const refused of [acknowledgeByKey(alarm(), dialog, false), acknowledgeByKey(alarm({ allowed: ['shelve'] }), dialog, true), acknowledgeByKey(undefined, dialog, true)]) {
      expect(refused).toBe(false);
    }
  });
});

describe('the list', () => {
  const nameOf = (pump: string) => (pump === 'P-8' ? 'Feed pump' : null);
  const list = [
    alarm({ alarm: 'warm', priority: 'low', state: 'suppressed', suppressed: ['explained by the alarm hot'] }),
    alarm(),
    alarm({ pump_id: 'P-8', alarm: 'dry', priority: 'critical', state: 'acknowledged' }),
    alarm({ pump_id: 'P-9', alarm: 'stale', priority: 'low', raised_at: '2026-03-09T10:04:00.000Z' }),
    alarm({ pump_id: 'P-9', alarm: 'loud', state: 'shelved' }),
    alarm({ pump_id: 'P-9', alarm: 'off', state: 'suppressed', suppressed: ['it does not hold in the pump\'s present operating state'] }),
  ];
  const names = (filter: object) => groupsOf(list, { ...NO_FILTER, ...filter }, nameOf).map(({ alarm: { alarm: id }, explains }) => [id, ...explains.map((one) => one.alarm)].join(' > '));

  it('has an alarm with those that it explains below it', () => {
    expect(names({})).toEqual(['hot > warm', 'stale', 'dry']);
    expect(names({ tab: 'aside' })).toEqual(['loud', 'off']);
    expect(explainedBy(list[5])).toBeNull();
  });

  it('is filtered and ordered', () => {
    expect(names({ priority: 'critical' })).toEqual(['dry']);
    expect(names({ state: 'unacknowledged' })).toEqual(['hot > warm', 'stale']);
    expect(names({ pump: 'feed' })).toEqual(['dry']);
    expect(names({ sort: 'newest' })[0]).toBe('stale');
    expect(names({ sort: 'pump' })).toEqual(['hot > warm', 'dry', 'stale']);
  });

  it('lists an alarm alone if what explains it is not in the list', () => {
    const alone = groupsOf([list[0]], { ...NO_FILTER, tab: 'aside' }, nameOf);
    expect(alone.map((group) => group.alarm.alarm)).toEqual(['warm']);
  });

  it('has its filter in the address', () => {
    const filter = { ...NO_FILTER, tab: 'aside', priority: 'high', pump: 'P-101A/B', sort: 'newest' } as const;
    expect(filterOf(searchOf(filter))).toEqual(filter);
    expect(searchOf(NO_FILTER)).toBe('');
    expect(filterOf('?tab=other&sort=toString')).toEqual(NO_FILTER);
  });
});

it('says what a trial would have raised', () => {
  const week = 7 * 86_400_000;
  expect(trialInWords({ raised: 3, longest_s: 840, readings: 500 }, 0, week)).toBe('It would have raised 3 alarms in the last 7 d, the longest 14 min.');
  expect(trialInWords({ raised: 0, longest_s: 0, readings: 500 }, 0, week)).toBe('It would have raised no alarm in the last 7 d, on 500 readings.');
  expect(trialInWords({ raised: 0, longest_s: 0, readings: 0 }, 0, week)).toMatch(/^There is no reading/);
});

it('rates each metric in words, beside its target', () => {
  const rate = (value: number, acceptable: number, at_most: number, rating: string) => ({ value, acceptable, at_most, rating });
  const metrics: Metrics = {
    announcements: 9, per_10_min: rate(0.004, 1, 2, 'acceptable'), per_hour: rate(8, 6, 12, 'manageable'), per_day: rate(400, 150, 300, 'too_many'), max_in_10_min: 3,
    flood_share: { value: 0.02, at_most: 0.01, is_met: false }, top_ten: [], top_ten_share: { value: 0.04, at_most: 0.05, is_met: true },
    chattering: [{ pump: 'P-7', alarm: 'hot' }], stale: [], priorities: [],
  };
  expect(figures(metrics, 'en').map(({ value, target, rating }) => `${value}; ${target}; ${rating}`)).toEqual([
    '< 0.01; acceptable up to 1, at most 2; Acceptable', '8.00; acceptable up to 6, at most 12; Can be managed', '400; acceptable up to 150, at most 300; Too many',
    '2 %; at most 1 %; Not met', '4 %; at most 5 %; Met', '1; none; Not met', '0; none; Met',
  ]);
});

describe('a row', () => {
  const shown = (permissions: string[], more: Partial<Alarm> = {}) => {
    session.poll.data = { secured: true, kind: 'user', name: 'ada', role: 'engineer', permissions } as Session;
    const { body } = render(AlarmRow, { props: { alarm: alarm(more), definition: { id: 'hot', title: '', condition: HOT, priority: 'high', latching: false }, channels, onCommand: () => {} } });
    return body.replace(/<!--.*?-->/g, '');
  };

  it('says what is wrong, with shape and word', () => {
    const body = shown(['acknowledge', 'shelve']);
    for (const part of ['Bearing temperature far too high', 'data-priority-mark="high"', '<b>High</b>', 'Unacknowledged', '95.2 °C, above 93.0 °C', 'Check the oil.', 'occurrence 3']) {
      expect(body).toContain(part);
    }
  });

  it('offers what the role may do', () => {
    expect(shown(['acknowledge', 'shelve']).match(/data-command="[a-z_]+"/g)).toEqual(['data-command="acknowledge"', 'data-command="shelve"', 'data-command="take_out_of_service"']);
    expect(shown(['view'])).not.toContain('data-command');
  });

  it('says who shelved it, until when and why', () => {
    const body = shown(['shelve'], { state: 'shelved', allowed: ['unshelve'], shelved: { since: '2026-03-09T10:00:00.000Z', until: '2026-03-09T13:00:00.000Z', by: 'user ben', reason: 'new bearing comes' } });
    expect(body).toMatch(/Shelved by Ben until .*“new bearing comes”/);
    expect(body).toContain('data-command="unshelve"');
  });
});

it('loads a list page by page, and shows the last query only', async () => {
  const waiting: ((items: string[], cursor?: string) => void)[] = [];
  const list = new PagedList((query: { pump: string }, cursor) => new Promise<{ items: string[]; next_cursor: string | null }>((resolve) => waiting.push((items, next) => resolve({ items: items.map((item) => `${query.pump}${cursor ?? ''}${item}`), next_cursor: next ?? null }))));
  const loads = [list.load({ pump: 'a' }), list.load({ pump: 'b' })];
  waiting[1](['1'], '!');
  waiting[0](['0']);
  await Promise.all(loads);
  expect([list.data, list.hasMore]).toEqual([['b1'], true]);
  const more = list.more();
  waiting[2](['2']);
  await more;
  expect([list.data, list.hasMore, list.busy]).toEqual([['b1', 'b!2'], false, false]);
});
