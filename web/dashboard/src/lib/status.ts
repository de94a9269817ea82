// The word, the severity and the symbol of a pump's status. Colour is never the only sign of a status: each has a word and a shape.

import type { Status } from '../api/types';

/** A pump's status as it is displayed. `ENDED`: a pump of the demo that is no longer simulated. */
export type DisplayStatus = Status | 'ENDED';

export interface StatusLook {
  word: string;
  /** Selects the symbol's shape and the colours of the class `is-…`. */
  look: 'normal' | 'anomaly' | 'learning' | 'starting' | 'off' | 'stale' | 'unknown';
  /** The sort order; lower is worse. */
  rank: number;
  /** Whether the newest reading that was received has a verdict. */
  judged: boolean;
}

export const STATUS: Record<DisplayStatus, StatusLook> = {
  ANOMALY: { word: 'Anomaly', look: 'anomaly', rank: 0, judged: true },
  STALE: { word: 'Stale', look: 'stale', rank: 1, judged: true },
  UNKNOWN: { word: 'Unknown', look: 'unknown', rank: 2, judged: false },
  LEARNING: { word: 'Learning', look: 'learning', rank: 3, judged: false },
  STARTING: { word: 'Starting', look: 'starting', rank: 4, judged: false },
  NORMAL: { word: 'Normal', look: 'normal', rank: 5, judged: true },
  OFF: { word: 'Off', look: 'off', rank: 6, judged: false },
  ENDED: { word: 'Simulation ended', look: 'off', rank: 7, judged: false },
};

/** A pump that is silent because its simulation has ended is not stale. */
export const displayStatus = (status: Status, simulationEnded: boolean): DisplayStatus =>
  status === 'STALE' && simulationEnded ? 'ENDED' : status;

/** All statuses, worst first. */
export const STATUSES = (Object.keys(STATUS) as DisplayStatus[]).sort((a, b) => STATUS[a].rank - STATUS[b].rank);
