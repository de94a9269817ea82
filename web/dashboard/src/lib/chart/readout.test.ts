import { describe, expect, it } from 'vitest';
import { legend, readout } from './readout';

describe('readout', () => {
  it.each([
    [{ mean: 61.23, low: 58, high: 63.4, readings: 180 }, 'mean 61.2, 58.0 to 63.4 °C of 180 readings'],
    [{ mean: -1, low: -2.04, high: 3, readings: 1500 }, 'mean −1.0, −2.0 to 3.0 °C of 1,500 readings'],
    [{ mean: 61.23, low: 61.23, high: 61.23, readings: 1 }, '61.2 °C, one reading'],
    [{ mean: NaN, low: NaN, high: NaN, readings: 40 }, 'No reading here'],
  ])('of %o is %s', (aggregate, text) => {
    expect(readout(aggregate, '°C', 1, 'en')).toBe(text);
  });

  it('has no trailing blank without a unit', () => {
    expect(readout({ mean: 1, low: 0, high: 2, readings: 3 }, '', 0, 'en')).toBe('mean 1, 0 to 2 of 3 readings');
  });

  it('says in the legend how much time a point aggregates', () => {
    expect([legend(180_000), legend(64_800_000), legend(null)]).toEqual([
      'Line: mean of 3 min; band: lowest to highest', 'Line: mean of 18 h; band: lowest to highest', 'Every reading',
    ]);
  });
});
