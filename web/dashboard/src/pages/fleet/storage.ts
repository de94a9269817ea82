// The texts of the storage panel: free space, growth, backlog and retention. Pure.

import type { Disk, Store } from '../../api/types';
import { formatBytes, formatDuration, formatPercent, plural } from '../../lib/format';

const DAY_MS = 86_400_000;
const YEAR_DAYS = 365;
/** A later day is not named: a plant's growth cannot be predicted for longer. */
const MAX_FORECAST_DAYS = 10 * YEAR_DAYS;

/** 412 GB of 500 GB free (82 %). */
export function freeSpaceInWords({ free_bytes, total_bytes }: Disk, locale?: string): string {
  const share = total_bytes > 0 ? ` (${formatPercent(free_bytes / total_bytes, locale)})` : '';
  return `${formatBytes(free_bytes, locale)} of ${formatBytes(total_bytes, locale)} free${share}`;
}

export interface DiskShare {
  key: 'database' | 'journal' | 'other';
  /** The share of the file system, 0 to 1. */
  share: number;
}

/** The used shares of the disk, for the bar; the remainder is free. */
export function diskShares(disk: Disk): DiskShare[] {
  const { total_bytes: total, free_bytes, database_bytes, journal_bytes } = disk;
  if (!(total > 0)) return [];
  const of = (bytes: number) => Math.min(1, Math.max(0, bytes / total));
  return [
    { key: 'database', share: of(database_bytes) },
    { key: 'journal', share: of(journal_bytes) },
    { key: 'other', share: of(total - free_bytes - database_bytes - journal_bytes) },
  ];
}

/** The growth per day. */
export function growthInWords({ growth_bytes_per_day: growth }: Disk, locale?: string): string {
  if (growth === null) return 'Not known yet: measured for less than an hour';
  if (growth === 0) return 'None';
  return growth < 0 ? `${formatBytes(-growth, locale)} a day less` : `About ${formatBytes(growth, locale)} a day`;
}

/** The time until the disk is full at that growth. */
export function timeUntilFullInWords({ growth_bytes_per_day: growth, full_in_days: days }: Disk): string {
  if (growth === null) return 'Not known yet: measured for less than an hour';
  if (days === null) return growth > 0 ? 'Not known' : 'Never at this pace: nothing grows';
  if (days > MAX_FORECAST_DAYS) return 'In more than 10 years';
  if (days < 1) return days * DAY_MS < 3_600_000 ? 'In less than an hour' : `In about ${formatDuration(days * DAY_MS)}`;
  return `In about ${plural(Math.floor(days), 'day')}`;
}

/** The readings that are in the journal and not yet in the database. The caller shows `since`, the time of the oldest. */
export function waitingInWords({ readings, bytes }: Store['waiting'], locale?: string): string {
  if (readings === 0) return 'Nothing';
  const count = plural(readings, 'reading');
  return bytes > 0 ? `${count}, about ${formatBytes(bytes, locale)} of memory` : count;
}

/** A number of days: 12 h, 30 days, 2 years. */
export function daysInWords(days: number): string {
  if (days < 1) return formatDuration(days * DAY_MS);
  if (days >= 2 * YEAR_DAYS && days % YEAR_DAYS === 0) return plural(days / YEAR_DAYS, 'year');
  if (days === YEAR_DAYS) return '1 year';
  return Number.isInteger(days) ? plural(days, 'day') : formatDuration(days * DAY_MS);
}

/** What is kept, and for how long. */
export function retentionInWords(retention: Store['retention']): { what: string; age: string }[] {
  return [
    { what: 'Readings one by one', age: daysInWords(retention.readings_days) },
    { what: 'Lowest, highest and mean by minute and hour', age: daysInWords(retention.aggregates_days) },
    { what: 'Verdicts of the model', age: daysInWords(retention.detections_days) },
    { what: 'The node’s own metrics', age: daysInWords(retention.metrics_days) },
    { what: 'The audit log', age: daysInWords(retention.audit_days) },
  ];
}
