// A definition while it is edited: the texts of the form's fields. Pure. An example:
//
//   draftOf(definition)        {title: 'Bearing hot', limit: '93', onDelay: '60', …}
//   the user clears the limit
//   check(draft, ids)          {mistakes: {limit: 'Enter a number.'}}
//   the user enters 90,5       {definition: {…, condition: {…, limit: 90.5}}}
//
// The node checks everything again; `mistakeOf` finds the field of its answer.

import type { ApiProblem } from '../../api/client';
import type { AlarmDefinition, Condition, InUse } from '../alarms/definition';
import { OPERATING_STATES, plainNumber } from '../alarms/definition';

/** The kinds that can be added, in the order of the list. */
export const NEW_KINDS = ['high', 'low', 'rate_of_change', 'deviation', 'expression', 'no_data'] as const;

export const KIND_WORDS: Record<Condition['kind'], string> = {
  high: 'Above a limit',
  high_high: 'Above a second, more urgent limit',
  low: 'Below a limit',
  low_low: 'Below a second, more urgent limit',
  rate_of_change: 'Changes quickly',
  deviation: 'Far from its usual level',
  expression: 'Arithmetic over channels',
  vibration_zone: 'Vibration zone of ISO 10816-7',
  no_data: 'No data',
  bad_quality: 'Implausible values',
  model_anomaly: 'Anomaly found by the model',
  node_health: 'Health of the node',
};

export interface Draft {
  /** Null for a new definition: its id is made from the title. */
  id: string | null;
  title: string;
  kind: Condition['kind'];
  /** Empty for `no_data` of the whole pump. */
  channel: string;
  limit: string;
  overS: string;
  direction: 'either' | 'rising' | 'falling';
  expression: string;
  when: 'above' | 'below';
  afterS: string;
  priority: string;
  /** Empty: the default of the quantity; also in the next two. */
  onDelay: string;
  offDelay: string;
  deadband: string;
  /** Whether it holds in states of its own; otherwise those of the quantity. */
  ownStates: boolean;
  states: string[];
  latching: boolean;
  help: string;
  explainedBy: string[];
  /** The condition of a kind whose fields cannot be edited here. */
  fixed: Condition | null;
}

export type Field = 'title' | 'channel' | 'limit' | 'over_s' | 'expression' | 'after_s' | 'priority' | 'on_delay_s' | 'off_delay_s' | 'deadband' | 'holds_in' | 'help';

/** What is wrong, by field. */
export type Mistakes = Partial<Record<Field, string>>;

const NEW: Draft = {
  id: null, title: '', kind: 'high', channel: '', limit: '', overS: '60', direction: 'either', expression: '', when: 'above', afterS: '300', priority: 'medium',
  onDelay: '', offDelay: '', deadband: '', ownStates: false, states: ['starting', 'running', 'stopping'], latching: false, help: '', explainedBy: [], fixed: null,
};

export const newDraft = (channel: string): Draft => ({ ...NEW, channel });

const text = (value: number | undefined): string => (value === undefined ? '' : String(value));

export function draftOf(definition: AlarmDefinition): Draft {
  const { condition } = definition;
  const editable = 'limit' in condition || ['rate_of_change', 'deviation', 'no_data', 'bad_quality'].includes(condition.kind);
  return {
    ...NEW,
    id: definition.id,
    title: definition.title,
    kind: condition.kind,
    channel: 'channel' in condition ? (condition.channel ?? '') : '',
    limit: 'limit' in condition ? text(condition.limit) : condition.kind === 'rate_of_change' ? text(condition.limit_per_min) : condition.kind === 'deviation' ? text(condition.limit_spreads) : '',
    ...(condition.kind === 'rate_of_change' ? { overS: text(condition.over_s), direction: condition.direction ?? 'either' } : {}),
    ...(condition.kind === 'expression' ? { expression: condition.expression, when: condition.when } : {}),
    ...(condition.kind === 'no_data' ? { afterS: text(condition.after_s) } : {}),
    priority: definition.priority,
    onDelay: text(definition.on_delay_s),
    offDelay: text(definition.off_delay_s),
    deadband: text(definition.deadband),
    ownStates: definition.holds_in !== undefined,
    states: definition.holds_in ?? NEW.states,
    latching: definition.latching,
    help: definition.help ?? '',
    explainedBy: definition.explained_by ?? [],
    fixed: editable ? null : condition,
  };
}

/** What is used for the fields that are empty: 'as usual, 60'. */
export type Usual = Partial<Record<'onDelay' | 'offDelay' | 'deadband', string>>;

/**
 * What the fields that are empty mean, of a definition that is in use and was opened. The delays follow from the kind and the channel, the
 * deadband also from the limit: nothing is said of a draft in which these have changed.
 */
export function usualOf(draft: Draft, opened: AlarmDefinition | null, inUse: ReadonlyMap<string, InUse>): Usual {
  const used = opened && inUse.get(opened.id);
  if (!opened || !used) return {};
  const before = draftOf(opened);
  if (before.kind !== draft.kind || before.channel !== draft.channel) return {};
  const text = (value: number) => `as usual, ${plainNumber(value)}`;
  return {
    ...(opened.on_delay_s === undefined ? { onDelay: text(used.on_delay_s) } : {}),
    ...(opened.off_delay_s === undefined ? { offDelay: text(used.off_delay_s) } : {}),
    ...(opened.deadband === undefined && before.limit === draft.limit ? { deadband: text(used.deadband) } : {}),
  };
}

/** Whether the node can try a definition of this kind on stored readings. */
export const canBeTried = (kind: Condition['kind']): boolean => kind !== 'model_anomaly' && kind !== 'node_health';

/** A number as people write it, also with a decimal comma; NaN if it is none. */
export function parseNumber(value: string): number {
  const plain = value.trim().replace(',', '.').replace('−', '-');
  return /^[-+]?\d*\.?\d+(e[-+]?\d+)?$/i.test(plain) ? Number(plain) : NaN;
}

/** An id that no other definition has: 'Bearing hot!' is bearing-hot, or bearing-hot-2. */
export function newId(title: string, taken: readonly string[]): string {
  const base = title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 100).replace(/-$/, '') || 'alarm';
  if (!taken.includes(base)) return base;
  let number = 2;
  while (taken.includes(`${base}-${number}`)) number++;
  return `${base}-${number}`;
}

/** Makes the definition of a draft, or names the mistakes. `taken`: the ids of the pump's alarms. */
export function check(draft: Draft, taken: readonly string[]): { definition: AlarmDefinition; mistakes: null } | { definition: null; mistakes: Mistakes } {
  const mistakes: Mistakes = {};
  const number = (field: Field, value: string, least = -Infinity): number => {
    const parsed = parseNumber(value);
    if (isNaN(parsed)) mistakes[field] = 'Enter a number.';
    else if (parsed < least) mistakes[field] = `At least ${least}.`;
    return parsed;
  };
  const optional = (field: Field, value: string): number | undefined => (value.trim() === '' ? undefined : number(field, value, 0));
  if (draft.title.trim() === '') mistakes.title = 'Enter what is wrong when this alarm is raised.';
  const condition = conditionOf(draft, number, mistakes);
  if (draft.ownStates && draft.states.length === 0) mistakes.holds_in = 'Choose at least one state.';
  const definition: AlarmDefinition = {
    id: draft.id ?? newId(draft.title, taken),
    title: draft.title.trim(),
    condition,
    priority: draft.priority,
    on_delay_s: optional('on_delay_s', draft.onDelay),
    off_delay_s: optional('off_delay_s', draft.offDelay),
    deadband: optional('deadband', draft.deadband),
    holds_in: draft.ownStates ? OPERATING_STATES.filter((state) => draft.states.includes(state)) : undefined,
    latching: draft.latching,
    ...(draft.help.trim() === '' ? {} : { help: draft.help.trim() }),
    ...(draft.explainedBy.length === 0 ? {} : { explained_by: draft.explainedBy }),
  };
  return Object.keys(mistakes).length > 0 ? { definition: null, mistakes } : { definition, mistakes: null };
}

function conditionOf(draft: Draft, number: (field: Field, value: string, least?: number) => number, mistakes: Mistakes): Condition {
  const { kind, channel, fixed } = draft;
  if (fixed !== null) return fixed;
  const needsChannel = kind !== 'expression' && kind !== 'no_data';
  if (needsChannel && channel === '') mistakes.channel = 'Choose a channel.';
  switch (kind) {
    case 'rate_of_change':
      return { kind, channel, limit_per_min: number('limit', draft.limit, 0), over_s: number('over_s', draft.overS, 0), direction: draft.direction };
    case 'deviation':
      return { kind, channel, limit_spreads: number('limit', draft.limit, 0) };
    case 'expression':
      if (draft.expression.trim() === '') mistakes.expression = 'Enter arithmetic over channels.';
      return { kind, expression: draft.expression.trim(), when: draft.when, limit: number('limit', draft.limit) };
    case 'no_data':
      return { kind, ...(channel === '' ? {} : { channel }), after_s: number('after_s', draft.afterS, 0) };
    case 'bad_quality':
      return { kind, channel };
    case 'high':
    case 'high_high':
    case 'low':
    case 'low_low':
      return { kind, channel, limit: number('limit', draft.limit) };
    default:
      return { kind: 'model_anomaly' };
  }
}

const NODE_FIELDS: Record<string, Field> = {
  title: 'title', channel: 'channel', limit: 'limit', limit_per_min: 'limit', limit_spreads: 'limit', over_s: 'over_s', expression: 'expression', after_s: 'after_s',
  priority: 'priority', on_delay_s: 'on_delay_s', off_delay_s: 'off_delay_s', deadband: 'deadband', holds_in: 'holds_in', help: 'help',
};

/** The field that a problem of the node names, such as `alarms.hot.condition.limit`; null if it is none of the form's. */
export function mistakeOf({ field, allowed, message }: ApiProblem): Mistakes | null {
  const last = NODE_FIELDS[field?.split('.').at(-1)?.replace(/\[\d+\]$/, '') ?? ''];
  if (last === undefined) return null;
  return { [last]: allowed === null ? message : `Allowed: ${allowed}` };
}
