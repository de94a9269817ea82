// What a pump's status is called, how bad it is, and which mark it has. Colour is never its only sign: each has a word and a shape.

import type { Status } from '../api/types';

/** What is shown of a pump: its status, or that it is a demo's and no longer simulated. */
export type Shown = Status | 'ENDED';

export interface StatusLook {
  word: string;
  /** Names the mark's shape and the colours of class `is-…`. */
  look: 'normal' | 'anomaly' | 'learning' | 'starting' | 'off' | 'stale' | 'unknown';
  /** Lower is worse. */
  rank: number;
  /** The newest readings have verdicts, or had as long as any came. */
  judged: boolean;
}

export const STATUS: Record<Shown, StatusLook> = {
  ANOMALY: { word: 'Anomaly', look: 'anomaly', rank: 0, judged: true },
  STALE: { word: 'Stale', look: 'stale', rank: 1, judged: true },
  UNKNOWN: { word: 'Unknown', look: 'unknown', rank: 2, judged: false },
  LEARNING: { word: 'Learning', look: 'learning', rank: 3, judged: false },
  STARTING: { word: 'Starting', look: 'starting', rank: 4, judged: false },
  NORMAL: { word: 'Normal', look: 'normal', rank: 5, judged: true },
  OFF: { word: 'Off', look: 'off', rank: 6, judged: false },
  ENDED: { word: 'Simulation ended', look: 'off', rank: 7, judged: false },
};

/** Of a pump that is no longer simulated nothing is missing when it falls silent. */
export const shown = (status: Status, simulationEnded: boolean): Shown =>
  status === 'STALE' && simulationEnded ? 'ENDED' : status;

/** All statuses, worst first. */
export const STATUSES = (Object.keys(STATUS) as Shown[]).sort((a, b) => STATUS[a].rank - STATUS[b].rank);
