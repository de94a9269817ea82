// What the store's problems mean for the plant, in words. Pure.

import type { Store } from '../api/types';
import { asSentence } from '../lib/format';

export interface Outage {
  /** How prominently it is shown. failed: readings are refused; degraded: history is incomplete; notice: any other problem. */
  kind: 'failed' | 'degraded' | 'notice';
  title: string;
  /** The consequence for the plant. */
  meaning: string;
  /** The reasons that the node reports. */
  problems: readonly string[];
}

/** What to show; null if the store has no problem. */
export function outageOf(store: Pick<Store, 'state' | 'problems'>): Outage | null {
  const { state } = store;
  const problems = store.problems.map(asSentence);
  if (state === 'failed') return { kind: 'failed', title: 'Readings are refused', meaning: 'Readings that pumps send now are not stored.', problems };
  if (state === 'degraded') {
    return { kind: 'degraded', title: 'History is incomplete', meaning: 'Readings are still stored, judged and shown.', problems };
  }
  if (problems.length === 0) return null;
  return { kind: 'notice', title: 'The node', meaning: '', problems };
}
