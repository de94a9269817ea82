// The command that posts a reading, made from a profile's channels. Pure.

import type { Channel } from '../api/types';
import { decimals } from './format';

export interface ExamplePost {
  /** The pump's id. */
  pump?: string;
  /** The text of a pump token; absent: the post needs none. */
  token?: string;
}

/** A `curl` command with a plausible value for every channel. */
export function exampleCommand(origin: string, channels: readonly Channel[], { pump = 'pump-1', token }: ExamplePost = {}): string {
  const values = channels.map((channel) => `${JSON.stringify(channel.name)}: ${exampleValue(channel)}`);
  const fields = [`"pump_id": ${JSON.stringify(pump)}`, ...values].join(', ');
  const lines = [
    `curl -s ${origin}/api/ingest -H 'content-type: application/json'`,
    ...(token === undefined ? [] : [`-H 'authorization: Bearer ${token}'`]),
    `-d ${quoted(`{ ${fields} }`)}`,
  ];
  return lines.join(' \\\n  ');
}

/** A text as one word of a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** A value well within the limits; without limits, in the lower part of the plausible range. */
function exampleValue({ plausible: [lowest, highest], limits, resolution }: Channel): string {
  const low = limits.low_warning ?? limits.low_alarm ?? Math.max(lowest, 0);
  const high = limits.high_warning ?? limits.high_alarm ?? low + (highest - low) / 10;
  return (low + (high - low) * 0.6).toFixed(decimals(resolution));
}
