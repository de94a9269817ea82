// The states of a panel, and where its numbers come from.

import type { Learning } from '../api/types';

export type PanelState =
  | { kind: 'loading' }
  /** Nothing is there; the text says what would fill it. */
  | { kind: 'empty'; text: string }
  | { kind: 'error'; text: string; retry?: () => unknown }
  /** What was last known; `at` by the node's clock. */
  | { kind: 'stale'; at: number | null }
  /** `known`: there is something older to show beneath. */
  | { kind: 'learning'; progress: Learning; known: boolean }
  /** A person looks at an earlier moment. */
  | { kind: 'paused'; at: number }
  | { kind: 'ready' };

export interface Provenance {
  route: string;
  model?: string | null;
  /** The time of the newest number, in epoch milliseconds; null where there is none. */
  at?: number | null;
  note?: string;
}
