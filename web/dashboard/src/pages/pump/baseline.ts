// The texts about a pump's baseline: what is normal for this pump. Pure.

import type { Baseline, Baselines } from '../../api/types';
import { formatDuration, plural } from '../../lib/format';

/** The version in use; null while the pump is learning. */
export const inUse = ({ in_use, versions }: Baselines): Baseline | null => versions.find(({ version }) => version === in_use) ?? null;

/** Version 3. The version that comes with the model has no number. */
export const versionName = ({ version }: Pick<Baseline, 'version'>): string => (version === 0 ? 'From the model' : `Version ${version}`);

/** 86,380 windows of normal running within 1 d. */
export function learnedFrom({ from, to, windows }: Pick<Baseline, 'from' | 'to' | 'windows'>): string {
  return `${plural(windows, 'window')} of normal running within ${formatDuration(Date.parse(to) - Date.parse(from))}`;
}
