// Converts the API's histories and stream events into rows of `Columns`, and aggregated history into an overview. Pure.

import type { ResultList } from '../../api/queries';
import type { Channel, Detection, DetectionEvent, Incomplete, Reading, ReadingEvent } from '../../api/types';
import { Columns, type Rows } from '../../lib/columns';
import { isPlausible } from '../../lib/limits';

/** The columns of detections. Those of the channels' contributions start at `contributions`, in the profile's order. */
export const DETECTION_COLUMNS = { loss: 0, threshold: 1, anomalous: 2, contributions: 3 };

export function readingRows(items: readonly Reading[], channels: readonly Channel[]): Rows {
  return {
    t: items.map((item) => Date.parse(item.timestamp)),
    columns: channels.map((channel) => items.map((item) => plausibleOrNull(item.values[channel.name], channel))),
  };
}

export function readingEventRows(event: ReadingEvent, channels: readonly Channel[]): Rows {
  return {
    t: event.t,
    columns: channels.map((channel) => {
      const values = event.values[event.channels.indexOf(channel.name)] ?? [];
      return event.t.map((_, i) => plausibleOrNull(values[i], channel));
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

/** The aggregated data of a range that has too many readings to be drawn one by one. */
export interface Overview {
  /** The means of all channels, then the lowest values, then the highest, then the number of readings that a row aggregates. */
  columns: Columns;
  /** The time that a row aggregates; null if each row is one reading. */
  aggregateMs: number | null;
  incomplete: Incomplete | null;
}

/** The columns of one channel in an overview of `channels` channels. */
export const overviewColumns = (channel: number, channels: number) => ({
  mean: channel,
  low: channels + channel,
  high: 2 * channels + channel,
  readings: 3 * channels,
});

/** Makes an overview of a response, whose items are single readings if there are few. `to`: the end of the requested range. */
export function overviewOf({ items, incomplete }: ResultList<Reading>, channels: readonly Channel[], to: number): Overview {
  const valuesOf = (of: (item: Reading) => Reading['values'] | undefined) =>
    channels.map((channel) => items.map((item) => plausibleOrNull(of(item)?.[channel.name], channel)));
  const columns = new Columns(3 * channels.length + 1, Math.max(1, items.length));
  columns.add({
    t: items.map((item) => midpoint(item, to)),
    columns: [
      ...valuesOf((item) => item.values),
      ...valuesOf((item) => (item.summary ? item.summary.min : item.values)),
      ...valuesOf((item) => (item.summary ? item.summary.max : item.values)),
      items.map((item) => item.summary?.readings ?? 1),
    ],
  });
  const aggregateMs = items.reduce((max, { summary }) => Math.max(max, summary?.length_ms ?? 0), 0);
  return { columns, aggregateMs: aggregateMs > 0 ? aggregateMs : null, incomplete: incomplete ?? null };
}

/** The middle of the time that an item aggregates. The time of the last item may not be over: then it ends at `to`. */
function midpoint({ timestamp, summary }: Reading, to: number): number {
  const start = Date.parse(timestamp);
  return summary ? start + Math.max(0, Math.min(summary.length_ms, to - start)) / 2 : start;
}

/** Returns null for a value that no working sensor sends, because it would flatten the chart. The sensor table shows such a value. */
function plausibleOrNull(value: number | null | undefined, channel: Channel): number | null {
  return value != null && isPlausible(value, channel) ? value : null;
}
