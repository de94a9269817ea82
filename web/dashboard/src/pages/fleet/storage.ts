// What is stored, what room there is and how long that lasts, in words. Pure.

import type { Disk, Store } from '../../api/types';
import { formatBytes, formatDuration, formatPercent, plural } from '../../lib/format';

const DAY_MS = 86_400_000;
const YEAR_DAYS = 365;
/** What is farther away than this is not told by the day: nobody knows a plant's pace for so long. */
const FAR_DAYS = 10 * YEAR_DAYS;

/** 412 GB of 500 GB free (82 %). */
export function roomInWords({ free_bytes, total_bytes }: Disk, locale?: string): string {
  const share = total_bytes > 0 ? ` (${formatPercent(free_bytes / total_bytes, locale)})` : '';
  return `${formatBytes(free_bytes, locale)} of ${formatBytes(total_bytes, locale)} free${share}`;
}

export interface Share {
  key: 'database' | 'journal' | 'other';
  /** 0 to 1, of the file system. */
  share: number;
}

/** Who has taken the room, for the bar: the rest is free. */
export function shares(disk: Disk): Share[] {
  const { total_bytes: total, free_bytes, database_bytes, journal_bytes } = disk;
  if (!(total > 0)) return [];
  const of = (bytes: number) => Math.min(1, Math.max(0, bytes / total));
  return [
    { key: 'database', share: of(database_bytes) },
    { key: 'journal', share: of(journal_bytes) },
    { key: 'other', share: of(total - free_bytes - database_bytes - journal_bytes) },
  ];
}

/** How much a day's data takes. */
export function growthInWords({ growth_bytes_per_day: growth }: Disk, locale?: string): string {
  if (growth === null) return 'Not known yet: watched for less than an hour';
  if (growth === 0) return 'None';
  return growth < 0 ? `${formatBytes(-growth, locale)} a day less` : `About ${formatBytes(growth, locale)} a day`;
}

/** How long the room lasts at that pace. */
export function fullInWords({ growth_bytes_per_day: growth, full_in_days: days }: Disk): string {
  if (growth === null) return 'Not known yet: watched for less than an hour';
  if (days === null) return growth > 0 ? 'Not known' : 'Never at this pace: nothing grows';
  if (days > FAR_DAYS) return 'In more than 10 years';
  if (days < 1) return days * DAY_MS < 3_600_000 ? 'In less than an hour' : `In about ${formatDuration(days * DAY_MS)}`;
  return `In about ${plural(Math.floor(days), 'day')}`;
}

/** What is safe in the journal and not in the database. `since` is written by the caller, who knows the time of day. */
export function waitingInWords({ readings, bytes }: Store['waiting'], locale?: string): string {
  if (readings === 0) return 'Nothing';
  const count = plural(readings, 'reading');
  return bytes > 0 ? `${count}, about ${formatBytes(bytes, locale)} of memory` : count;
}

/** An age in days: 12 h, 30 days, 2 years. */
export function ageInWords(days: number): string {
  if (days < 1) return formatDuration(days * DAY_MS);
  if (days >= 2 * YEAR_DAYS && days % YEAR_DAYS === 0) return plural(days / YEAR_DAYS, 'year');
  if (days === YEAR_DAYS) return '1 year';
  return Number.isInteger(days) ? plural(days, 'day') : formatDuration(days * DAY_MS);
}

/** What is kept for how long. */
export function retentionInWords(retention: Store['retention']): { what: string; age: string }[] {
  return [
    { what: 'Readings one by one', age: ageInWords(retention.readings_days) },
    { what: 'Lowest, highest and mean by minute and hour', age: ageInWords(retention.aggregates_days) },
    { what: 'Verdicts of the model', age: ageInWords(retention.detections_days) },
    { what: 'The node’s own figures', age: ageInWords(retention.metrics_days) },
  ];
}
