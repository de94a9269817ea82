// What a store that is not well means for who looks at the plant, in words. Pure.

import type { Store } from '../api/types';
import { asSentence } from '../lib/format';

export interface Outage {
  /** How loud it is said: readings are refused; history is not whole; there is something to know. */
  kind: 'failed' | 'degraded' | 'notice';
  title: string;
  /** What follows for the plant. */
  meaning: string;
  /** Why, in the node's own words. */
  problems: readonly string[];
}

/** What is to be said; null where all is well. */
export function outageOf(store: Pick<Store, 'state' | 'problems'>): Outage | null {
  const { state } = store;
  const problems = store.problems.map(asSentence);
  if (state === 'failed') return { kind: 'failed', title: 'Readings are refused', meaning: 'What pumps send now is not kept.', problems };
  if (state === 'degraded') {
    return { kind: 'degraded', title: 'History is not whole', meaning: 'Readings are still kept, judged and shown.', problems };
  }
  if (problems.length === 0) return null;
  return { kind: 'notice', title: 'The node', meaning: '', problems };
}
