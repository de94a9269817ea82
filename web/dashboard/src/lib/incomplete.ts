// The sentence about a list that is incomplete. Pure.

import type { Incomplete } from '../api/types';
import { formatMoment, withTimes } from './format';

/** From which time on a list is complete, and why earlier items may be missing. */
export function incompleteText(what: string, { since, reason }: Incomplete, now: number, locale?: string): string {
  const why = withTimes(reason.replace(/[.\s]+$/, ''), (at) => formatMoment(at, now, locale));
  if (since === null) return `${what} may be missing: ${why}.`;
  return `Complete from ${formatMoment(Date.parse(since), now, locale)} on. ${what} before that may be missing: ${why}.`;
}
