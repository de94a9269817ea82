import { describe, expect, it } from 'vitest';
import type { Channel, EventEvidence } from '../../api/types';
import { nameChannels } from '../../lib/names';
import { basis, detectionInWords, partInWords, valueInWords, violationInWords } from './wording';

const limits = { low_alarm: null, low_warning: null, high_warning: null, high_alarm: null };
const channel = (name: string, quantity: string, unit: string): Channel => ({ name, quantity, unit, plausible: [0, 100], resolution: 0.1, limits });
const channels = nameChannels([channel('Tb', 'bearing_temperature', '°C'), channel('Q', 'flow', 'L/min')]);

const evidence: EventEvidence = {
  severity: 'critical',
  at: '2026-03-09T10:00:00.000Z',
  received_at: '2026-03-09T10:00:00.100Z',
  channel: 'Tb',
  value: 112,
  limit: 110,
  limit_from: 'rule bearing-hot, at severity critical',
  values: [{ channel: 'Tb', unit: '°C', value: 112, plausible: true }],
  detection: { loss: 1.8, threshold: 1, model: 'm', contributions: [{ channel: 'Tb', share: 0.625 }, { channel: 'Q', share: 0.375 }] },
  alarms: [],
  alarms_standing: 0,
};

describe('a maintenance event in words', () => {
  it('names the value, the limit and the detection', () => {
    expect(violationInWords(evidence, channels)).toBe('Bearing temperature 112.0 °C, above 110.0 °C');
    expect(detectionInWords(evidence.detection!, channels)).toBe('Loss 1.80, threshold 1.00; most of it Bearing temperature 63 %, Flow 38 %');
  });

  it('has the unit of that time, and names a channel that is gone', () => {
    expect(violationInWords(evidence, [])).toBe('Tb 112.00 °C, above 110.00 °C');
    expect(valueInWords('gone', 3, channels)).toBe('3.00');
  });

  it('says how many spare parts', () => {
    expect(partInWords({ name: 'Seal', number: null, quantity: 1 })).toBe('1 × Seal');
    expect(partInWords({ name: 'Bearing', number: '6312-C3', quantity: 2 })).toBe('2 × Bearing (6312-C3)');
  });

  it('says what it is based on', () => {
    expect(basis({ source: 'imported: a.csv', model: null })).toContain('imported: a.csv');
    expect(basis({ source: null, model: null })).toContain('limit alone');
    expect(basis({ source: null, model: 'm' })).toContain('anomaly');
  });
});
