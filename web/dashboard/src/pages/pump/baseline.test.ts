import { expect, test } from 'vitest';
import type { Baseline, Baselines } from '../../api/types';
import { inUse, learnedFrom, versionName } from './baseline';

const version = (version: number) => ({ version }) as Baseline;

test('finds the version in use, and none while the pump is learning', () => {
  const all = (in_use: number | null) => ({ in_use, versions: [version(2), version(1), version(0)] }) as Baselines;
  expect(inUse(all(1))?.version).toBe(1);
  expect(inUse(all(0))?.version).toBe(0);
  expect(inUse(all(null))).toBeNull();
});

test('names a version', () => {
  expect(versionName(version(3))).toBe('Version 3');
  expect(versionName(version(0))).toBe('From the model');
});

test('says what a baseline was learned from', () => {
  const day = { from: '2026-03-09T10:00:00.000Z', to: '2026-03-10T10:00:00.001Z', windows: 1 };
  expect(learnedFrom(day)).toBe('1 window of normal running within 1 d');
});
