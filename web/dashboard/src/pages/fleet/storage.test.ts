import { describe, expect, it } from 'vitest';
import type { Disk } from '../../api/types';
import { daysInWords, diskShares, freeSpaceInWords, growthInWords, retentionInWords, timeUntilFullInWords, waitingInWords } from './storage';

const disk = (more: Partial<Disk> = {}): Disk => ({
  at: '2026-03-09T10:14:33.000Z', database_bytes: 30e9, journal_bytes: 1e9, free_bytes: 400e9, total_bytes: 500e9,
  growth_bytes_per_day: 1e9, full_in_days: 400, ...more,
});

describe('the disk', () => {
  it('has its free space in words, and shares that add up to the used space', () => {
    expect(freeSpaceInWords(disk(), 'en')).toBe('400 GB of 500 GB free (80 %)');
    const parts = diskShares(disk());
    expect(parts.map(({ key }) => key)).toEqual(['database', 'journal', 'other']);
    expect(parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(0.2);
  });

  it('has no shares if its size is not known, and limits each share to the range from 0 to 1', () => {
    expect(diskShares(disk({ total_bytes: 0 }))).toEqual([]);
    expect(freeSpaceInWords(disk({ total_bytes: 0, free_bytes: 0 }), 'en')).toBe('0 B of 0 B free');
    for (const { share } of diskShares(disk({ database_bytes: 900e9 }))) expect(share >= 0 && share <= 1).toBe(true);
  });

  it.each([
    [null, null, 'Not known yet: measured for less than an hour', 'Not known yet: measured for less than an hour'],
    [0, null, 'None', 'Never at this pace: nothing grows'],
    [-5e6, null, '5.00 MB a day less', 'Never at this pace: nothing grows'],
    [1e9, 400.9, 'About 1.00 GB a day', 'In about 400 days'],
    [1e9, 1.2, 'About 1.00 GB a day', 'In about 1 day'],
    [1e9, 0.5, 'About 1.00 GB a day', 'In about 12 h'],
    [1e9, 0.01, 'About 1.00 GB a day', 'In less than an hour'],
    [1e3, 90_000, 'About 1.0 kB a day', 'In more than 10 years'],
  ])('that grows by %s a day and lasts %s days is %s; %s', (growth, days, grows, full) => {
    const growing = disk({ growth_bytes_per_day: growth, full_in_days: days });
    expect([growthInWords(growing, 'en'), timeUntilFullInWords(growing)]).toEqual([grows, full]);
  });
});

describe('the store', () => {
  it('says how many readings are waiting', () => {
    expect(waitingInWords({ readings: 0, bytes: 0, since: null })).toBe('Nothing');
    expect(waitingInWords({ readings: 1, bytes: 0, since: null })).toBe('1 reading');
    expect(waitingInWords({ readings: 12, bytes: 2_000_000, since: null }, 'en')).toBe('12 readings, about 2.00 MB of memory');
  });

  it.each([
    [0.5, '12 h'], [1, '1 day'], [30, '30 days'], [1.5, '1 d 12 h'], [365, '1 year'], [730, '2 years'], [400, '400 days'],
  ])('keeps for %s days: %s', (days, text) => {
    expect(daysInWords(days)).toBe(text);
  });

  it('names every retention time', () => {
    const kept = retentionInWords({
      readings_days: 30, aggregates_days: 730, detections_days: 90, metrics_days: 7, audit_days: 3650,
    });
    expect(kept.map(({ age }) => age)).toEqual(['30 days', '2 years', '90 days', '7 days', '10 years']);
  });
});
