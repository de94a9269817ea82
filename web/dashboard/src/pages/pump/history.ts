// Rows of the API's histories and events as columns; what is summed up, as an overview. Pure.

import type { Part } from '../../api/queries';
import type { Channel, Detection, DetectionEvent, Incomplete, Reading, ReadingEvent } from '../../api/types';
import { Columns, type Rows } from '../../lib/columns';
import { isPlausible } from '../../lib/limits';

/** The columns of verdicts before each channel's contribution. */
export const VERDICT = { loss: 0, threshold: 1, anomalous: 2, contributions: 3 };

export function readingRows(items: readonly Reading[], channels: readonly Channel[]): Rows {
  return {
    t: items.map((item) => Date.parse(item.timestamp)),
    columns: channels.map((channel) => items.map((item) => plausible(item.values[channel.name], channel))),
  };
}

export function readingEventRows(event: ReadingEvent, channels: readonly Channel[]): Rows {
  return {
    t: event.t,
    columns: channels.map((channel) => {
      const values = event.values[event.channels.indexOf(channel.name)] ?? [];
      return event.t.map((_, i) => plausible(values[i], channel));
    }),
  };
}

export function detectionRows(items: readonly Detection[], channels: readonly Channel[]): Rows {
  return {
    t: items.map((item) => Date.parse(item.timestamp)),
    columns: [
      items.map((item) => item.loss),
      items.map((item) => item.threshold),
      items.map((item) => Number(item.is_anomaly)),
      ...channels.map(({ name }) => items.map((item) => item.contributions[name] ?? null)),
    ],
  };
}

export function detectionEventRows(event: DetectionEvent, channels: readonly Channel[]): Rows {
  const none: number[] = [];
  return {
    t: event.t,
    columns: [
      event.loss,
      event.threshold,
      event.is_anomaly.map(Number),
      ...channels.map(({ name }) => event.contributions?.[event.channels.indexOf(name)] ?? none),
    ],
  };
}

/** What of a stretch a chart draws where its readings are too many to be drawn one by one. */
export interface Overview {
  /** Per channel the means, then the lowest, then the highest; then how many readings a row sums up. */
  columns: Columns;
  /** How long a stretch a row sums up; null where each is one reading. */
  summedMs: number | null;
  incomplete: Incomplete | null;
}

/** Where an overview of so many channels has what. */
export const overviewColumns = (channel: number, channels: number) => ({
  mean: channel,
  low: channels + channel,
  high: 2 * channels + channel,
  readings: 3 * channels,
});

/** An answer that sums up, or does not where the readings are few. `to`: the end of what was asked for. */
export function overviewOf({ items, incomplete }: Part<Reading>, channels: readonly Channel[], to: number): Overview {
  const figure = (of: (item: Reading) => Reading['values'] | undefined) =>
    channels.map((channel) => items.map((item) => plausible(of(item)?.[channel.name], channel)));
  const columns = new Columns(3 * channels.length + 1, Math.max(1, items.length));
  columns.add({
    t: items.map((item) => middle(item, to)),
    columns: [
      ...figure((item) => item.values),
      ...figure((item) => (item.summary ? item.summary.min : item.values)),
      ...figure((item) => (item.summary ? item.summary.max : item.values)),
      items.map((item) => item.summary?.readings ?? 1),
    ],
  });
  const summedMs = items.reduce((most, { summary }) => Math.max(most, summary?.length_ms ?? 0), 0);
  return { columns, summedMs: summedMs > 0 ? summedMs : null, incomplete: incomplete ?? null };
}

/** The middle of what an item sums up. The last one may only have begun: then of what there is of it. */
function middle({ timestamp, summary }: Reading, to: number): number {
  const start = Date.parse(timestamp);
  return summary ? start + Math.max(0, Math.min(summary.length_ms, to - start)) / 2 : start;
}

/** A value that no working sensor sends would flatten its chart; the sensor table shows it. */
function plausible(value: number | null | undefined, channel: Channel): number | null {
  return value != null && isPlausible(value, channel) ? value : null;
}
