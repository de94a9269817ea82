// Rows of the API's histories and events as columns. Pure.

import type { Channel, Detection, DetectionEvent, Reading, ReadingEvent } from '../../api/types';
import type { Rows } from '../../lib/columns';
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

/** A value that no working sensor sends would flatten its chart; the sensor table shows it. */
function plausible(value: number | null | undefined, channel: Channel): number | null {
  return value != null && isPlausible(value, channel) ? value : null;
}
