import { render } from 'svelte/server';
import { describe, expect, it } from 'vitest';
import { ApiProblem } from '../../api/client';
import type { NamedChannel } from '../../lib/names';
import type { AlarmDefinition } from '../alarms/definition';
import { canBeTried, check, draftOf, mistakeOf, newDraft, newId, parseNumber } from './draft';
import RuleFields from './RuleFields.svelte';

const definitions: AlarmDefinition[] = [
  { id: 'hot', title: 'Bearing hot', condition: { kind: 'high', channel: 'T', limit: 93 }, priority: 'high', on_delay_s: 60, deadband: 1, holds_in: ['starting', 'running'], latching: true, help: 'Check the oil.', explained_by: ['pump-stale'] },
  { id: 'rate', title: 'Heats up', condition: { kind: 'rate_of_change', channel: 'T', limit_per_min: 2, over_s: 120, direction: 'rising' }, priority: 'low', latching: false },
  { id: 'far', title: 'Far', condition: { kind: 'deviation', channel: 'T', limit_spreads: 4 }, priority: 'low', latching: false },
  { id: 'head', title: 'Head', condition: { kind: 'expression', expression: 'a - b', when: 'below', limit: -1.5 }, priority: 'medium', latching: false },
  { id: 'stale', title: 'Silent', condition: { kind: 'no_data', after_s: 60 }, priority: 'medium', latching: false },
  { id: 'bad', title: 'Bad', condition: { kind: 'bad_quality', channel: 'T' }, priority: 'low', latching: false },
  { id: 'zone', title: 'Zone D', condition: { kind: 'vibration_zone', channel: 'V', category: 'II', power_kw: 75, boundary: 'C/D' }, priority: 'high', latching: false },
  { id: 'model', title: 'Model', condition: { kind: 'model_anomaly' }, priority: 'low', latching: false },
];

describe('a draft', () => {
  it.each(definitions)('of $id becomes the same definition', (definition) => {
    const { definition: made } = check(draftOf(definition), []);
    expect(JSON.parse(JSON.stringify(made))).toEqual(definition);
  });

  it('names each mistake at its field', () => {
    const draft = { ...newDraft(''), limit: 'warm', onDelay: '-3', ownStates: true, states: [] };
    expect(check(draft, []).mistakes).toEqual({
      title: 'Enter what is wrong when this alarm is raised.', channel: 'Choose a channel.', limit: 'Enter a number.', on_delay_s: 'At least 0.', holds_in: 'Choose at least one state.',
    });
    expect(check({ ...newDraft('T'), title: 'x', kind: 'expression', limit: '1' }, []).mistakes).toEqual({ expression: 'Enter arithmetic over channels.' });
  });

  it('makes an id that is free', () => {
    expect(check({ ...newDraft('T'), title: 'Bearing hot!', limit: '90,5' }, ['bearing-hot']).definition).toMatchObject({ id: 'bearing-hot-2', condition: { kind: 'high', channel: 'T', limit: 90.5 } });
    expect([newId('Größe', []), newId('冷却', []), newId('a', ['a', 'a-2'])]).toEqual(['gr-e', 'alarm', 'a-3']);
  });

  it('reads numbers as people write them', () => {
    expect(['93', ' 90,5 ', '−2', '.5', '1e3'].map(parseNumber)).toEqual([93, 90.5, -2, 0.5, 1000]);
    for (const text of ['', '1,000.5', 'x', '1 2']) expect(parseNumber(text)).toBeNaN();
  });

  it('can be tried if readings show its condition', () => {
    expect([canBeTried('high'), canBeTried('model_anomaly')]).toEqual([true, false]);
  });
});

describe('a mistake that the node finds', () => {
  const problem = (field: string | null) => new ApiProblem(400, 'The value is not allowed.', 'invalid-value', null, { field, allowed: 'a channel of the pump' });

  it.each([
    ['alarm.condition.channel', 'channel'], ['alarms.hot.condition.limit_per_min', 'limit'], ['alarms.hot.on_delay_s', 'on_delay_s'], ['alarms.hot.condition.expression', 'expression'],
  ])('%s is shown at %s', (field, at) => expect(mistakeOf(problem(field))).toEqual({ [at]: 'Allowed: a channel of the pump' }));

  it('is shown below the form if it is none of its fields', () => {
    expect([mistakeOf(problem('alarms')), mistakeOf(problem(null))]).toEqual([null, null]);
  });

  it('stands at its field for screen readers too', () => {
    const channels = [{ name: 'T', label: 'Temperature', unit: '°C' }] as NamedChannel[];
    const { body } = render(RuleFields, { props: { draft: newDraft('T'), channels, mistakes: { limit: 'Enter a number.' } } });
    expect(body).toMatch(/id="([^"]+-limit)" aria-invalid="true" aria-describedby="\1-mistake"/);
    expect(body).toContain('Enter a number.');
  });
});
