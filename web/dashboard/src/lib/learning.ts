// How far it is to a pump's first verdict, in words and as a share. Pure.

import type { Learning } from '../api/types';
import { formatNumber } from './format';

/** Learning what is normal: 3.2 of 24 h. */
export function learningInWords(learning: Learning, locale?: string): string {
  if (learning.of === 'window') return `Learning: ${learning.have} of ${learning.need} readings until the first verdict`;
  if (learning.phase === 'calculating') return 'Learning what is normal: calculating the threshold';
  const needed = formatNumber(learning.needed_h, Number.isInteger(learning.needed_h) ? 0 : 1, locale);
  return `Learning what is normal: ${formatNumber(learning.running_h, 1, locale)} of ${needed} h`;
}

/** 0 to 1; none where nobody knows how long it takes. */
export function learningShare(learning: Learning): number | null {
  if (learning.of === 'window') return share(learning.have, learning.need);
  return learning.phase === 'calculating' ? null : share(learning.running_h, learning.needed_h);
}

function share(have: number, need: number): number {
  return need > 0 ? Math.min(1, have / need) : 1;
}
