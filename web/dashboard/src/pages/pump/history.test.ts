import { describe, expect, it } from 'vitest';
import type { Channel } from '../../api/types';
import { Columns } from '../../lib/columns';
import { detectionEventRows, detectionRows, readingEventRows, readingRows, VERDICT } from './history';

const limits = { low_alarm: null, low_warning: null, high_warning: null, high_alarm: null };
const channel = (name: string): Channel => ({ name, quantity: name, unit: '', plausible: [0, 100], resolution: 1, limits });
const channels = [channel('A'), channel('B')];
const at = (ms: number) => new Date(ms).toISOString();

describe('history and stream', () => {
  it('say the same of the same readings, whatever the order of channels', () => {
    const history = readingRows(
      [
        { pump_id: 'P', timestamp: at(1000), values: { A: 1, B: null }, quality: { B: 'missing' } },
        { pump_id: 'P', timestamp: at(2000), values: { A: 900, B: 4 }, quality: { A: 'bad' } },
      ],
      channels,
    );
    const stream = readingEventRows({ t: [1000, 2000], pump: 'P', channels: ['B', 'A'], values: [[null, 4], [1, 900]] }, channels);
    expect(history).toEqual({ t: [1000, 2000], columns: [[1, null], [null, 4]] });
    expect(stream).toEqual(history);
  });

  it('say the same of the same verdicts', () => {
    const history = detectionRows(
      [{ pump_id: 'P', timestamp: at(1000), loss: 0.2, threshold: 0.1, is_anomaly: true, contributions: { A: 0.75, B: 0.25 }, model: 'm' }],
      channels,
    );
    const stream = detectionEventRows(
      { t: [1000], pump: 'P', loss: [0.2], threshold: [0.1], is_anomaly: [true], channels: ['A', 'B'], contributions: [[0.75], [0.25]] },
      channels,
    );
    expect(stream).toEqual(history);
    const columns = new Columns(VERDICT.contributions + 2, 8);
    columns.add(stream);
    columns.add(history);
    expect(columns.length).toBe(1);
    expect(columns.value(0, VERDICT.anomalous)).toBe(1);
    expect(columns.value(0, VERDICT.contributions)).toBe(0.75);
  });
});
