// Compares a value with its channel's limits. Pure. The node does the same for /api/live-data; the page does it again because the
// value on the screen may be newer.

import type { Channel, Limits } from '../api/types';
import type { LimitLine } from './chart/paint';
import { decimals, formatNumber } from './format';

export type ValueState = 'ok' | 'warning' | 'alarm' | 'fault' | 'none';

export interface Assessment {
  state: ValueState;
  text: string;
}

/** The limits in the order in which they are checked: alarms before warnings. */
const LIMITS: { limit: keyof Limits; state: 'warning' | 'alarm'; below: boolean }[] = [
  { limit: 'low_alarm', state: 'alarm', below: true },
  { limit: 'high_alarm', state: 'alarm', below: false },
  { limit: 'low_warning', state: 'warning', below: true },
  { limit: 'high_warning', state: 'warning', below: false },
];

/**
 * How far a value may be below a range that starts at 0, as a share of the range: the zero of a sensor drifts. The same as the
 * node's `ZERO_BAND`.
 */
const ZERO_BAND = 0.0125;

/** Whether a working sensor can send this value. */
export const isPlausible = (value: number, { plausible: [low, high] }: Channel): boolean =>
  value >= (low === 0 ? -ZERO_BAND * high : low) && value <= high;

/** Assesses a value. `quality` is the node's quality for a value that was not sent. */
export function assessValue(value: number | null, channel: Channel, quality: string, locale?: string): Assessment {
  const number = (x: number) => `${formatNumber(x, decimals(channel.resolution), locale)} ${channel.unit}`;
  if (value === null) {
    return { state: 'none', text: quality === 'filled' ? 'Last value held' : 'No value' };
  }
  if (!isPlausible(value, channel)) {
    return { state: 'fault', text: `Not plausible (${number(channel.plausible[0])} to ${number(channel.plausible[1])}): check the sensor` };
  }
  for (const { limit, state, below } of LIMITS) {
    const at = channel.limits[limit];
    if (at !== null && (below ? value < at : value > at)) {
      return { state, text: `${below ? 'Below' : 'Above'} ${state} limit ${formatNumber(at, decimals(channel.resolution), locale)}` };
    }
  }
  const hasLimits = LIMITS.some(({ limit }) => channel.limits[limit] !== null);
  return { state: 'ok', text: hasLimits ? 'Within limits' : 'No limits set' };
}

/** A channel's limits as lines for its chart. */
export function limitLines({ limits }: Channel): LimitLine[] {
  return LIMITS.flatMap(({ limit, state, below }) => {
    const value = limits[limit];
    return value === null ? [] : [{ value, label: `${below ? 'low' : 'high'} ${state}`, kind: state }];
  });
}
