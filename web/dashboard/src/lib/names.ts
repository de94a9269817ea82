// Display names of channels, made from the profile. The API and tooltips use the wire name.

import type { Channel } from '../api/types';
import { capitalized } from './format';

/** A channel with its index in the profile and its display name. */
export interface NamedChannel extends Channel {
  index: number;
  label: string;
}

/** The quantity of a channel whose profile the node cannot read. */
const UNKNOWN_QUANTITY = 'unknown';

/** Names every channel; channels of the same quantity are numbered in the profile's order. */
export function nameChannels(channels: readonly Channel[]): NamedChannel[] {
  const total = new Map<string, number>();
  for (const { quantity } of channels) total.set(quantity, (total.get(quantity) ?? 0) + 1);
  const count = new Map<string, number>();
  return channels.map((channel, index) => {
    const { quantity } = channel;
    const number = (count.get(quantity) ?? 0) + 1;
    count.set(quantity, number);
    if (quantity === UNKNOWN_QUANTITY) return { ...channel, index, label: channel.name };
    const name = quantityName(quantity);
    return { ...channel, index, label: (total.get(quantity) ?? 0) > 1 ? `${name} ${number}` : name };
  });
}

/** `bearing_temperature` as Bearing temperature. */
function quantityName(quantity: string): string {
  return capitalized(quantity.replaceAll('_', ' '));
}
