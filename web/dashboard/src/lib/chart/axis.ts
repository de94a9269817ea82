// What stands along a chart's time axis. Pure.

import { formatDay, formatTime } from '../format';

const DAY_MS = 86_400_000;
/** Steps longer than this are those of a view that passes midnight. */
const LONG_STEP_MS = 30 * 60_000;

/** 14:03, or 14:03:20 where steps are shorter than a minute; the day where one begins, and where steps are as long. */
function clockLabel(t: number, step: number, locale?: string): string {
  if (step >= DAY_MS) return formatDay(t, step >= 28 * DAY_MS, locale);
  if (step > LONG_STEP_MS && new Date(t).getHours() === 0 && new Date(t).getMinutes() === 0) return formatDay(t, false, locale);
  const text = formatTime(t, locale);
  return step >= 60_000 ? text.slice(0, 5) : text;
}

/**
 * The labels of these times. Where a short view is of another day than today, or passes midnight, the first time of each day
 * has its date above it.
 */
export function timeLabels(times: number[], step: number, now: number, locale?: string): string[] {
  let day = new Date(now).toDateString();
  return times.map((t) => {
    const label = clockLabel(t, step, locale);
    if (step > LONG_STEP_MS || new Date(t).toDateString() === day) return label;
    day = new Date(t).toDateString();
    return `${formatDay(t, false, locale)}\n${label}`;
  });
}
