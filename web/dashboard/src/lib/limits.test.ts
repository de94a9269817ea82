import { describe, expect, it } from 'vitest';
import type { Channel } from '../api/types';
import { limitMarks, meaningOf } from './limits';

const none = { low_alarm: null, low_warning: null, high_warning: null, high_alarm: null };
const channel: Channel = {
  name: 'T', quantity: 'temperature', unit: '°C', plausible: [-40, 200], resolution: 0.1,
  limits: { low_alarm: 5, low_warning: 10, high_warning: 80, high_alarm: 93 },
};

describe('what a value means', () => {
  it.each<[number | null, string, string]>([
    [50, 'ok', 'Within limits'],
    [80, 'ok', 'Within limits'],
    [80.1, 'warning', 'Above warning limit 80.0'],
    [95, 'alarm', 'Above alarm limit 93.0'],
    [7, 'warning', 'Below warning limit 10.0'],
    [-3, 'alarm', 'Below alarm limit 5.0'],
    [900, 'fault', 'Not plausible (−40.0 °C to 200.0 °C): check the sensor'],
    [null, 'none', 'No value'],
  ])('%d: %s', (value, verdict, text) => {
    expect(meaningOf(value, channel, 'missing', 'en')).toEqual({ verdict, text });
  });

  it.each<[number, string]>([[-15, 'ok'], [-15.1, 'fault'], [0, 'ok'], [1200, 'ok'], [1200.1, 'fault']])(
    'of a range from 0, %d is %s: a zero drifts',
    (value, verdict) => {
      const current: Channel = { ...channel, plausible: [0, 1200], limits: none };
      expect(meaningOf(value, current, 'good', 'en').verdict).toBe(verdict);
    },
  );

  it('a filled value is said to be one, and a channel without limits has none', () => {
    expect(meaningOf(null, channel, 'filled').text).toBe('The last value stands in');
    expect(meaningOf(50, { ...channel, limits: none }, 'good').text).toBe('No limits set');
  });

  it('limits that are not set are no lines', () => {
    expect(limitMarks({ ...channel, limits: { ...none, high_alarm: 93 } })).toEqual([{ value: 93, label: 'high alarm', kind: 'alarm' }]);
    expect(limitMarks({ ...channel, limits: none })).toEqual([]);
  });
});
