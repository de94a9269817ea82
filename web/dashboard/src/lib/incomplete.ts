// What is missing from a list, in words. Pure.

import type { Incomplete } from '../api/types';
import { formatMoment } from './format';

/** From when on a list is whole, and why not before. */
export function incompleteInWords(what: string, { since, reason }: Incomplete, now: number, locale?: string): string {
  const why = reason.replace(/[.\s]+$/, '');
  if (since === null) return `${what} may be missing: ${why}.`;
  return `Whole from ${formatMoment(Date.parse(since), now, locale)} on. ${what} from before may be missing: ${why}.`;
}
