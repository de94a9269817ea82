// The states of a panel, and where its numbers come from.

import type { Learning } from '../api/types';

export type PanelState =
  | { kind: 'loading' }
  /** There is no data; the text says why, or what would add some. */
  | { kind: 'empty'; text: string }
  | { kind: 'error'; text: string; retry?: () => unknown }
  /** Shows the last known data, which are of `at`, by the node's clock. */
  | { kind: 'stale'; at: number | null }
  /** `hasContent`: older data is shown below the progress. */
  | { kind: 'learning'; progress: Learning; hasContent: boolean }
  /** The user points at an earlier moment. */
  | { kind: 'paused'; at: number }
  | { kind: 'ready' };

export interface Provenance {
  route: string;
  model?: string | null;
  /** The time of the newest number in epoch milliseconds; null if there is none. */
  at?: number | null;
  note?: string;
}
