// The labels of a chart's time axis. Pure.

import { formatDay, formatTime } from '../format';

const DAY_MS = 86_400_000;
/** If the steps are longer than this, the label at midnight is the day. */
const LONG_STEP_MS = 30 * 60_000;

/**
 * Returns the label of one time: 14:03, or 14:03:20 if steps are shorter than a minute. The label is the day if steps are a day or
 * longer, and at midnight if steps are longer than LONG_STEP_MS.
 */
function clockLabel(t: number, step: number, locale?: string): string {
  if (step >= DAY_MS) return formatDay(t, step >= 28 * DAY_MS, locale);
  if (step > LONG_STEP_MS && new Date(t).getHours() === 0 && new Date(t).getMinutes() === 0) return formatDay(t, false, locale);
  const text = formatTime(t, locale);
  return step >= 60_000 ? text.slice(0, 5) : text;
}

/**
 * Returns the labels of these times. In a short view that shows another day than today, or passes midnight, the first time of
 * each day has its date above it.
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
