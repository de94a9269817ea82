import { describe, expect, it } from 'vitest';
import type { Channel } from '../api/types';
import { exampleCommand } from './example';

const limits = { low_alarm: null, low_warning: null, high_warning: null, high_alarm: null };
const channels: Channel[] = [
  { name: 'T', quantity: 'temperature', unit: '°C', plausible: [-40, 200], resolution: 0.1, limits: { ...limits, high_warning: 80 } },
  { name: 'Volume Flow', quantity: 'flow', unit: 'L/min', plausible: [0, 500], resolution: 1, limits },
];

describe('exampleCommand', () => {
  it('posts valid JSON with plausible values within the limits', () => {
    const command = exampleCommand('http://x:5000', channels);
    expect(command.startsWith('curl -s http://x:5000/api/ingest ')).toBe(true);
    const body = JSON.parse(/-d '(.*)'/.exec(command)![1]);
    expect(body).toEqual({ pump_id: 'pump-1', T: 48, 'Volume Flow': 30 });
  });

  it('sends a token if there is one', () => {
    expect(exampleCommand('http://x:5000', channels)).not.toContain('authorization');
    const command = exampleCommand('http://x:5000', channels, { token: 'vpt_0123_abc', pump: 'P-101A/B' });
    expect(command.split(' \\\n  ')[1]).toBe("-H 'authorization: Bearer vpt_0123_abc'");
    expect(command).toContain('"pump_id": "P-101A/B"');
  });

  it('is one word per value for a shell, whatever the id of the pump', () => {
    expect(exampleCommand('http://x', [], { pump: `a'b"c` })).toContain(`-d '{ "pump_id": "a'\\''b\\"c" }'`);
  });
});
