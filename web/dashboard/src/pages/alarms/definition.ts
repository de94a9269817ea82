// Definitions of alarms as the node has them, in words. Pure. Does not edit them; see draft.ts.

import { decimals, formatNumber } from '../../lib/format';
import type { NamedChannel } from '../../lib/names';

export type LimitKind = 'high' | 'high_high' | 'low' | 'low_low';

export type Condition =
  | { kind: LimitKind; channel: string; limit: number }
  | { kind: 'rate_of_change'; channel: string; limit_per_min: number; over_s: number; direction?: 'either' | 'rising' | 'falling' }
  | { kind: 'deviation'; channel: string; limit_spreads: number }
  | { kind: 'expression'; expression: string; when: 'above' | 'below'; limit: number }
  | { kind: 'vibration_zone'; channel: string; category: 'I' | 'II'; power_kw: number; boundary: 'A/B' | 'B/C' | 'C/D' }
  | { kind: 'no_data'; channel?: string | null; after_s: number }
  | { kind: 'bad_quality'; channel: string }
  | { kind: 'model_anomaly' }
  | { kind: 'node_health'; part: string };

export interface AlarmDefinition {
  id: string;
  title: string;
  condition: Condition;
  priority: string;
  /** Absent: the default of the quantity, as for the next two. */
  on_delay_s?: number;
  off_delay_s?: number;
  deadband?: number;
  holds_in?: string[];
  latching: boolean;
  help?: string;
  explained_by?: string[];
}

/** What an alarm uses, whether its definition says it or leaves it to its quantity. */
export interface InUse {
  on_delay_s: number;
  off_delay_s: number;
  deadband: number;
  holds_in: string[];
}

/** What each alarm of a response uses, by its id. */
export const inUseOf = (definitions: { in_use: unknown } | null): Map<string, InUse> => new Map(Object.entries((definitions?.in_use ?? {}) as Record<string, InUse>));

/** The definitions of a response, which the API's description does not type. */
export const definitionsOf = (alarms: readonly unknown[]): AlarmDefinition[] => alarms as AlarmDefinition[];

export const OPERATING_STATES = ['off', 'starting', 'running', 'stopping'] as const;

/** The channel that a condition is about, if it is about one. */
export const channelOf = (condition: Condition): string | null => ('channel' in condition ? (condition.channel ?? null) : null);

/** A title with the channels' display names in place of their wire names. */
export function titleInWords(title: string, channels: readonly NamedChannel[]): string {
  const named = channels.find(({ name }) => name !== '' && title.includes(name));
  if (!named) return title;
  const at = title.indexOf(named.name);
  const label = at === 0 ? named.label : named.label.charAt(0).toLowerCase() + named.label.slice(1);
  return title.replace(named.name, label);
}

/** A number without needless decimals. */
export const plainNumber = (value: number, locale?: string): string =>
  formatNumber(value, Math.min(4, (/\.(\d+)/.exec(String(Number(value.toPrecision(6)))) ?? ['', ''])[1].length), locale);

/** A time in seconds: 45 s, 10 min, 2 h. */
export function secondsInWords(seconds: number): string {
  if (seconds >= 7200 && seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds >= 120 && seconds % 60 === 0) return `${seconds / 60} min`;
  return `${plainNumber(seconds)} s`;
}

/** A value of a channel at the sensor's resolution, with its unit. */
export function channelValue(value: number, channel: NamedChannel | undefined, locale?: string): string {
  if (!channel) return plainNumber(value, locale);
  return `${formatNumber(value, decimals(channel.resolution), locale)} ${channel.unit}`.trim();
}

/** When it is raised: 'Bearing temperature above 93.0 °C'. */
export function conditionInWords(condition: Condition, channels: readonly NamedChannel[], locale?: string): string {
  const name = channelOf(condition);
  const channel = channels.find((one) => one.name === name);
  const label = channel?.label ?? name ?? '';
  switch (condition.kind) {
    case 'high':
    case 'high_high':
      return `${label} above ${channelValue(condition.limit, channel, locale)}`;
    case 'low':
    case 'low_low':
      return `${label} below ${channelValue(condition.limit, channel, locale)}`;
    case 'rate_of_change': {
      const how = { either: 'changes', rising: 'rises', falling: 'falls' }[condition.direction ?? 'either'];
      return `${label} ${how} by more than ${plainNumber(condition.limit_per_min, locale)} ${channel?.unit ?? ''} a minute, over ${secondsInWords(condition.over_s)}`.replace('  ', ' ');
    }
    case 'deviation':
      return `${label} more than ${plainNumber(condition.limit_spreads, locale)} spreads from this pump’s usual level`;
    case 'expression':
      return `${condition.expression} ${condition.when} ${plainNumber(condition.limit, locale)}`;
    case 'vibration_zone':
      return `${label} above zone boundary ${condition.boundary} of ISO 10816-7, category ${condition.category}, ${plainNumber(condition.power_kw, locale)} kW`;
    case 'no_data':
      return `${name === null ? 'Nothing received' : `No value of ${label}`} for ${secondsInWords(condition.after_s)}`;
    case 'bad_quality':
      return `${label} sends values that a working sensor cannot send`;
    case 'model_anomaly':
      return 'The model finds an anomaly';
    case 'node_health':
      return `The node’s ${condition.part} is not healthy`;
    default:
      return (condition as { kind: string }).kind.replaceAll('_', ' ');
  }
}

/** 'after 60 s; over after 60 s (usual); deadband 1': the delays and the deadband. What is left to the quantity is called usual. */
export function delaysInWords({ on_delay_s, off_delay_s, deadband, latching, holds_in }: AlarmDefinition, used?: InUse): string {
  const part = (own: number | undefined, usual: number | undefined, name: string, inWords: (value: number) => string) => {
    if (own !== undefined) return inWords(own);
    return usual === undefined ? `usual ${name}` : `${inWords(usual)} (usual)`;
  };
  const parts = [
    part(on_delay_s, used?.on_delay_s, 'on-delay', (value) => `after ${secondsInWords(value)}`),
    part(off_delay_s, used?.off_delay_s, 'off-delay', (value) => `over after ${secondsInWords(value)}`),
    part(deadband, used?.deadband, 'deadband', (value) => `deadband ${plainNumber(value)}`),
    ...(latching ? ['latching'] : []),
    ...(holds_in === undefined ? [] : [`while ${holds_in.join(', ')}`]),
  ];
  const usual = parts.slice(0, 3).every((part) => part.startsWith('usual'));
  return (usual ? ['usual delays and deadband', ...parts.slice(3)] : parts).join('; ');
}
