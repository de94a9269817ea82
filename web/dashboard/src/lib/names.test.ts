import { describe, expect, it } from 'vitest';
import type { Channel } from '../api/types';
import { nameChannels } from './names';

const limits = { low_alarm: null, low_warning: null, high_warning: null, high_alarm: null };
const channel = (name: string, quantity: string): Channel => ({
  name, quantity, unit: '', plausible: [0, 1], resolution: 1, limits,
});

describe('channels', () => {
  const labels = (channels: Channel[]): string[] => nameChannels(channels).map(({ label }) => label);

  it('are named by their quantity, and numbered if it occurs twice', () => {
    const channels = [channel('T1', 'bearing_temperature'), channel('Q', 'flow'), channel('T2', 'bearing_temperature')];
    expect(labels(channels)).toEqual(['Bearing temperature 1', 'Flow', 'Bearing temperature 2']);
  });

  it('keep their own names if the profile cannot be read', () => {
    expect(labels([channel('Tb', 'unknown'), channel('Q', 'unknown')])).toEqual(['Tb', 'Q']);
  });
});
