// What a pump's status is called, how bad it is, and which mark it has. Colour is never its only sign: each has a word and a shape.

import type { Status } from '../api/types';

export interface StatusLook {
  word: string;
  /** Names the mark's shape and the colours of class `is-…`. */
  look: 'normal' | 'anomaly' | 'learning' | 'stale' | 'unknown';
  /** Lower is worse. */
  rank: number;
}

export const STATUS: Record<Status, StatusLook> = {
  ANOMALY: { word: 'Anomaly', look: 'anomaly', rank: 0 },
  STALE: { word: 'Stale', look: 'stale', rank: 1 },
  UNKNOWN: { word: 'Unknown', look: 'unknown', rank: 2 },
  LEARNING: { word: 'Learning', look: 'learning', rank: 3 },
  NORMAL: { word: 'Normal', look: 'normal', rank: 4 },
};

/** All statuses, worst first. */
export const STATUSES = (Object.keys(STATUS) as Status[]).sort((a, b) => STATUS[a].rank - STATUS[b].rank);
