// The text for one point of a chart, and the explanation of its line and band. Pure.

import { formatDuration, formatNumber, plural } from '../format';

/** Several readings as one point. */
export interface Aggregate {
  mean: number;
  low: number;
  high: number;
  readings: number;
}

/** Returns for example `mean 61.2, 58.0 to 63.4 °C of 180 readings`; for a single reading only its value. */
export function readout({ mean, low, high, readings }: Aggregate, unit: string, places: number, locale?: string): string {
  const number = (value: number) => formatNumber(value, places, locale);
  const withUnit = (text: string) => (unit ? `${text} ${unit}` : text);
  if (isNaN(mean)) return 'No reading here';
  if (readings <= 1) return `${withUnit(number(mean))}, one reading`;
  return `mean ${number(mean)}, ${withUnit(`${number(low)} to ${number(high)}`)} of ${plural(readings, 'reading')}`;
}

/** Explains the line and the band of a chart. `aggregateMs`: the time that one point aggregates; null if each is one reading. */
export function legend(aggregateMs: number | null): string {
  return aggregateMs === null ? 'Every reading' : `Line: mean of ${formatDuration(aggregateMs)}; band: lowest to highest`;
}
