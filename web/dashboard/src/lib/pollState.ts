// The state of a panel that shows the result of a poll. Pure.

import type { Poll } from '../api/poll.svelte';
import type { PanelState } from './panel';

/** `lost`: the page's live stream is lost. `empty`: the text if there is nothing to show. */
export function pollState<T>(poll: Pick<Poll<T>, 'data' | 'problem' | 'at' | 'refresh'>, lost: boolean, empty: string | null): PanelState {
  const { data, problem, at, refresh } = poll;
  if (data === null) return problem ? { kind: 'error', text: problem.message, retry: refresh } : { kind: 'loading' };
  if (problem || lost) return { kind: 'stale', at };
  return empty === null ? { kind: 'ready' } : { kind: 'empty', text: empty };
}
