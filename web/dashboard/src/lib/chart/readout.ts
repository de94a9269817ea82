// What one point of a chart sums up, in words. Pure.

import { formatDuration, formatNumber, plural } from '../format';

/** Several readings as one point. */
export interface Summed {
  mean: number;
  low: number;
  high: number;
  readings: number;
}

/** mean 61.2, 58.0 to 63.4 °C of 180 readings. One reading is its own mean. */
export function readout({ mean, low, high, readings }: Summed, unit: string, places: number, locale?: string): string {
  const number = (value: number) => formatNumber(value, places, locale);
  const withUnit = (text: string) => (unit ? `${text} ${unit}` : text);
  if (isNaN(mean)) return 'No reading here';
  if (readings <= 1) return `${withUnit(number(mean))}, one reading`;
  return `mean ${number(mean)}, ${withUnit(`${number(low)} to ${number(high)}`)} of ${plural(readings, 'reading')}`;
}

/** What line and band are, for a chart whose points each sum up so much; null: none does. */
export function legend(summedMs: number | null): string {
  return summedMs === null ? 'Every reading' : `Line: mean of ${formatDuration(summedMs)}; band: lowest to highest`;
}
