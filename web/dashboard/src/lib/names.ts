// Channels' names for people, made from the profile. The wire name stays what machines and tooltips use.

import type { Channel } from '../api/types';
import { capitalized } from './format';

/** A channel with its place in the profile and its name for people. */
export interface NamedChannel extends Channel {
  index: number;
  label: string;
}

/** Names every channel; those that share a quantity are numbered in the profile's order. */
export function nameChannels(channels: readonly Channel[]): NamedChannel[] {
  const total = new Map<string, number>();
  for (const { quantity } of channels) total.set(quantity, (total.get(quantity) ?? 0) + 1);
  const seen = new Map<string, number>();
  return channels.map((channel, index) => {
    const { quantity } = channel;
    const place = (seen.get(quantity) ?? 0) + 1;
    seen.set(quantity, place);
    const name = words(quantity);
    return { ...channel, index, label: (total.get(quantity) ?? 0) > 1 ? `${name} ${place}` : name };
  });
}

/** `bearing_temperature` as Bearing temperature. */
function words(quantity: string): string {
  return capitalized(quantity.replaceAll('_', ' '));
}
