// The progress to a pump's first verdict, in words and as a share. Pure. Either the pump's first window of readings is being
// filled, or commissioning collects readings of normal running and learns the pump's baseline from them.

import type { Learning } from '../api/types';
import { formatNumber } from './format';

/** Learning what is normal: 3.2 of 24 h. */
export function learningInWords(learning: Learning, locale?: string): string {
  if (learning.of === 'window') return `Learning: ${learning.have} of ${learning.need} readings until the first verdict`;
  if (learning.phase === 'calculating') return 'Learning what is normal: calculating the threshold';
  const needed = formatNumber(learning.needed_h, Number.isInteger(learning.needed_h) ? 0 : 1, locale);
  return `Learning what is normal: ${formatNumber(learning.running_h, 1, locale)} of ${needed} h`;
}

/** 0 to 1; null if the remaining time is not known. */
export function learningShare(learning: Learning): number | null {
  if (learning.of === 'window') return share(learning.have, learning.need);
  return learning.phase === 'calculating' ? null : share(learning.running_h, learning.needed_h);
}

function share(have: number, need: number): number {
  return need > 0 ? Math.min(1, have / need) : 1;
}
