// What a value means against its channel's limits, in words. Pure. The node says the same in /api/live-data; here it is said of
// the very value on the screen, which may be newer.

import type { Channel, Limits } from '../api/types';
import type { Mark } from './chart/paint';
import { decimals, formatNumber } from './format';

export type Verdict = 'ok' | 'warning' | 'alarm' | 'fault' | 'none';

export interface Meaning {
  verdict: Verdict;
  text: string;
}

/** The limits from the most to the least serious on each side, with their names. */
const SIDES: { limit: keyof Limits; verdict: 'warning' | 'alarm'; below: boolean }[] = [
  { limit: 'low_alarm', verdict: 'alarm', below: true },
  { limit: 'high_alarm', verdict: 'alarm', below: false },
  { limit: 'low_warning', verdict: 'warning', below: true },
  { limit: 'high_warning', verdict: 'warning', below: false },
];

/** How far below a range that begins at 0 a drifted zero may lie, as a share of the range; the node's rule (`ZERO_BAND`). */
const ZERO_BAND = 0.0125;

/** Whether a working sensor can send such a value at all. */
export const isPlausible = (value: number, { plausible: [low, high] }: Channel): boolean =>
  value >= (low === 0 ? -ZERO_BAND * high : low) && value <= high;

/** What a value means. `quality` is the node's word for a value that is not there. */
export function meaningOf(value: number | null, channel: Channel, quality: string, locale?: string): Meaning {
  const number = (x: number) => `${formatNumber(x, decimals(channel.resolution), locale)} ${channel.unit}`;
  if (value === null) {
    return { verdict: 'none', text: quality === 'filled' ? 'The last value stands in' : 'No value' };
  }
  if (!isPlausible(value, channel)) {
    return { verdict: 'fault', text: `Not plausible (${number(channel.plausible[0])} to ${number(channel.plausible[1])}): check the sensor` };
  }
  for (const { limit, verdict, below } of SIDES) {
    const at = channel.limits[limit];
    if (at !== null && (below ? value < at : value > at)) {
      return { verdict, text: `${below ? 'Below' : 'Above'} ${verdict} limit ${formatNumber(at, decimals(channel.resolution), locale)}` };
    }
  }
  const limited = SIDES.some(({ limit }) => channel.limits[limit] !== null);
  return { verdict: 'ok', text: limited ? 'Within limits' : 'No limits set' };
}

/** A channel's limits as lines for its chart. */
export function limitMarks({ limits }: Channel): Mark[] {
  return SIDES.flatMap(({ limit, verdict, below }) => {
    const value = limits[limit];
    return value === null ? [] : [{ value, label: `${below ? 'low' : 'high'} ${verdict}`, kind: verdict }];
  });
}
