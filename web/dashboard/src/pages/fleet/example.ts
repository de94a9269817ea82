// The example command that posts a first reading, made from a profile's channels. Pure.

import type { Channel } from '../../api/types';
import { decimals } from '../../lib/format';

/** A `curl` command with a plausible value for every channel. */
export function exampleCommand(origin: string, channels: readonly Channel[]): string {
  const values = channels.map((channel) => `"${channel.name}": ${exampleValue(channel)}`);
  const fields = ['"pump_id": "pump-1"', ...values].join(', ');
  return `curl -s ${origin}/api/ingest -H 'content-type: application/json' \\\n  -d '{ ${fields} }'`;
}

/** A value well within the limits; without limits, in the lower part of the plausible range. */
function exampleValue({ plausible: [lowest, highest], limits, resolution }: Channel): string {
  const low = limits.low_warning ?? limits.low_alarm ?? Math.max(lowest, 0);
  const high = limits.high_warning ?? limits.high_alarm ?? low + (highest - low) / 10;
  return (low + (high - low) * 0.6).toFixed(decimals(resolution));
}
