// A maintenance event in words. Pure. Channels have their display names where the profile is known.

import type { EventEvidence, MaintenanceEvent } from '../../api/types';
import { decimals, formatLoss, formatNumber, formatPercent } from '../../lib/format';
import type { NamedChannel } from '../../lib/names';

/** The decimals of a value of a channel that the profile no longer has. */
const UNKNOWN_DECIMALS = 2;

/** What an event is based on: another system, a limit and a verdict of the model, or a limit alone. */
export function basis(event: Pick<MaintenanceEvent, 'source' | 'model'>): string {
  if (event.source) return `From another system (${event.source})`;
  return event.model === null ? 'By the limit alone: the model had no verdict' : 'By the limit and an anomaly found by the model';
}

/** A value of a channel with its unit: 99.0 °C. */
export function valueInWords(name: string, value: number, channels: readonly NamedChannel[], unit?: string): string {
  const channel = channels.find((one) => one.name === name);
  const places = channel ? decimals(channel.resolution) : UNKNOWN_DECIMALS;
  return `${formatNumber(value, places)} ${unit ?? channel?.unit ?? ''}`.trim();
}

/** The name of a channel as the pages show it. */
export const channelLabel = (name: string, channels: readonly NamedChannel[]): string => channels.find((one) => one.name === name)?.label ?? name;

/** Bearing temperature 99.0 °C, above 85.0 °C. */
export function violationInWords(evidence: EventEvidence, channels: readonly NamedChannel[]): string {
  const unit = evidence.values.find(({ channel }) => channel === evidence.channel)?.unit;
  const inWords = (value: number) => valueInWords(evidence.channel, value, channels, unit);
  return `${channelLabel(evidence.channel, channels)} ${inWords(evidence.value)}, above ${inWords(evidence.limit)}`;
}

/** Loss 1.80, threshold 1.00; most of it Bearing temperature 62 %, Flow 20 %, Vibration 9 %. */
export function detectionInWords(detection: NonNullable<EventEvidence['detection']>, channels: readonly NamedChannel[]): string {
  const shares = detection.contributions.slice(0, 3).map(({ channel, share }) => `${channelLabel(channel, channels)} ${formatPercent(share)}`);
  return `Loss ${formatLoss(detection.loss)}, threshold ${formatLoss(detection.threshold)}; most of it ${shares.join(', ')}`;
}

/** 2 × Bearing set (6312-C3). */
export const partInWords = ({ name, number, quantity }: { name: string; number: string | null; quantity: number }): string =>
  `${quantity} × ${name}${number === null ? '' : ` (${number})`}`;

/** `bearing_wear` as bearing wear. */
export const modeInWords = (mode: string): string => mode.replaceAll('_', ' ');
