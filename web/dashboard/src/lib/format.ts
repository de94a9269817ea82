// Formats numbers, times and durations for display. Pure. The locale is the browser's unless one is passed. Does not say what a
// value means (see limits.ts), nor name channels (see names.ts).

type Millis = number;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const numberFormats = new Map<string, Intl.NumberFormat>();

/** The number of decimals that shows a step of `resolution`; at most 6. */
export function decimals(resolution: number): number {
  if (!(resolution > 0)) return 2;
  for (let places = 0; places < 6; places++) {
    const steps = resolution * 10 ** places;
    if (Math.abs(steps - Math.round(steps)) < 1e-6 && Math.round(steps) >= 1) return places;
  }
  return 6;
}

/** A number with `places` decimals, digit groups and a true minus; a dash if there is no value. */
export function formatNumber(value: number | null | undefined, places: number, locale?: string): string {
  if (value == null || !Number.isFinite(value)) return '–';
  const key = `${locale ?? ''}/${places}`;
  let format = numberFormats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(locale, { minimumFractionDigits: places, maximumFractionDigits: places });
    numberFormats.set(key, format);
  }
  const text = format.format(value).replace('-', '−');
  return /[1-9]/.test(text) ? text : text.replace('−', '');
}

/** A loss or threshold with three significant figures: it has no resolution of its own. */
export function formatLoss(value: number | null | undefined, locale?: string): string {
  if (value == null || !Number.isFinite(value)) return '–';
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  return formatNumber(value, Math.min(6, Math.max(0, 2 - magnitude)), locale);
}

/** The ratio of a loss to its threshold: 1.8 ×, 25 ×. */
export function formatRatio(loss: number | null, threshold: number | null, locale?: string): string {
  if (loss == null || threshold == null || !(threshold > 0)) return '–';
  const ratio = loss / threshold;
  return `${formatNumber(ratio, ratio < 9.95 ? 1 : 0, locale)} ×`;
}

/** A share from 0 to 1 as percent: 42 %; a share that rounds to 0 % is < 1 %. */
export function formatPercent(share: number, locale?: string): string {
  if (share > 0 && share < 0.005) return '< 1 %';
  return `${formatNumber(share * 100, 0, locale)} %`;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** An amount of data in its largest decimal unit, with at most three figures: 0 B, 4.2 kB, 312 MB. */
export function formatBytes(bytes: number | null | undefined, locale?: string): string {
  if (bytes == null || !Number.isFinite(bytes)) return '–';
  let [value, unit] = [bytes, 0];
  // A value that would be rounded to 1,000 of a unit is shown as 1 of the next.
  while (Math.abs(value) >= 999.5 && unit < BYTE_UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  const places = unit === 0 || Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 || unit === 1 ? 1 : 2;
  return `${formatNumber(value, places, locale)} ${BYTE_UNITS[unit]}`;
}

/** A duration in its one or two largest units: 4 s, 12 min, 3 h 5 min, 2 d 4 h. */
export function formatDuration(ms: Millis): string {
  const seconds = Math.max(0, Math.floor(ms / SECOND));
  if (seconds < 60) return `${seconds} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return twoUnits(Math.floor(ms / HOUR), 'h', Math.floor((ms % HOUR) / MINUTE), 'min');
  return twoUnits(Math.floor(ms / DAY), 'd', Math.floor((ms % DAY) / HOUR), 'h');
}

/** How long ago: just now, 4 s ago, 12 min ago. Below 2 s the number would only flicker. */
export function formatAge(ms: Millis): string {
  return ms < 2 * SECOND ? 'just now' : `${formatDuration(ms)} ago`;
}

/** The time of day, with seconds: 14:03:22. */
export function formatTime(at: Millis, locale?: string): string {
  return timeFormat(locale).format(at);
}

/** The time of day; with the date if it is another day than that of `now`, unless both are within an hour. */
export function formatMoment(at: Millis, now: Millis, locale?: string): string {
  const sameDay = new Date(at).toDateString() === new Date(now).toDateString();
  return sameDay || Math.abs(now - at) < HOUR ? formatTime(at, locale) : formatDate(at, now, locale);
}

/** The date and the time of day: 9 Mar, 10:14; with the year if it is another than that of `now`. */
export function formatDate(at: Millis, now: Millis, locale?: string): string {
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return `${dateFormat(sameYear, locale).format(at)}, ${formatTime(at, locale).slice(0, 5)}`;
}

/** A date that people plan by: Fri 13 Mar, 08:00. */
export function formatAppointment(at: Millis, now: Millis, locale?: string): string {
  return `${dateTimeFormat('weekday', locale, { weekday: 'short' }).format(at)} ${formatDate(at, now, locale)}`;
}

/** A text of the node with its times (2026-03-13T08:00:00.000Z) in words. */
export const withTimes = (text: string, inWords: (at: Millis) => string): string =>
  text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:[\d.]+Z/g, (at) => inWords(Date.parse(at)));

/** A time as a field for date and time holds it, in the browser's zone: 2026-03-13T08:00. */
export function inputTime(at: Millis): string {
  return new Date(at - new Date(at).getTimezoneOffset() * MINUTE).toISOString().slice(0, 16);
}

/** The day: 9 Mar; with `month` its month and year: Mar 2026. */
export function formatDay(at: Millis, month: boolean, locale?: string): string {
  if (!month) return dateFormat(true, locale).format(at);
  return dateTimeFormat('month', locale, { month: 'short', year: 'numeric' }).format(at);
}

/** An amount of money in whole units of its currency. */
export function formatMoney(amount: number, currency: string, locale?: string): string {
  try {
    return new Intl.NumberFormat(locale, { style: 'currency', currency, maximumFractionDigits: 0 }).format(amount);
  } catch {
    return `${formatNumber(amount, 0, locale)} ${currency}`;
  }
}

/** Capitalizes the first letter of a text. */
export function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A message of the node as a sentence, with a capital and a full stop. */
export function asSentence(text: string): string {
  const sentence = capitalized(text);
  return /(^|[.!?])$/.test(sentence) ? sentence : `${sentence}.`;
}

/** A count with its noun: 1 pump, 3 pumps. */
export function plural(count: number, noun: string): string {
  return `${formatNumber(count, 0)} ${noun}${count === 1 ? '' : 's'}`;
}

function twoUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small > 0 ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

const dateTimeFormats = new Map<string, Intl.DateTimeFormat>();

function dateTimeFormat(key: string, locale: string | undefined, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const name = `${key}/${locale ?? ''}`;
  let format = dateTimeFormats.get(name);
  if (!format) dateTimeFormats.set(name, (format = new Intl.DateTimeFormat(locale, options)));
  return format;
}

function timeFormat(locale?: string): Intl.DateTimeFormat {
  return dateTimeFormat('time', locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
}

function dateFormat(sameYear: boolean, locale?: string): Intl.DateTimeFormat {
  const year = sameYear ? undefined : 'numeric';
  return dateTimeFormat(sameYear ? 'day' : 'date', locale, { day: 'numeric', month: 'short', year });
}
