import { describe, expect, it } from 'vitest';
import type { Channel } from '../api/types';
import { assessValue, limitLines } from './limits';

const none = { low_alarm: null, low_warning: null, high_warning: null, high_alarm: null };
const channel: Channel = {
  name: 'T', quantity: 'temperature', unit: '°C', plausible: [-40, 200], resolution: 0.1,
  limits: { low_alarm: 5, low_warning: 10, high_warning: 80, high_alarm: 93 },
};

describe('assessValue', () => {
  it.each<[number | null, string, string]>([
    [50, 'ok', 'Within limits'],
    [80, 'ok', 'Within limits'],
    [80.1, 'warning', 'Above warning limit 80.0'],
    [95, 'alarm', 'Above alarm limit 93.0'],
    [7, 'warning', 'Below warning limit 10.0'],
    [-3, 'alarm', 'Below alarm limit 5.0'],
    [900, 'fault', 'Not plausible (−40.0 °C to 200.0 °C): check the sensor'],
    [null, 'none', 'No value'],
  ])('%d: %s', (value, state, text) => {
    expect(assessValue(value, channel, 'missing', 'en')).toEqual({ state, text });
  });

  it.each<[number, string]>([[-15, 'ok'], [-15.1, 'fault'], [0, 'ok'], [1200, 'ok'], [1200.1, 'fault']])(
    'allows for zero drift: of a range from 0, %d is %s',
    (value, state) => {
      const current: Channel = { ...channel, plausible: [0, 1200], limits: none };
      expect(assessValue(value, current, 'good', 'en').state).toBe(state);
    },
  );

  it('names a held value, and a channel without limits', () => {
    expect(assessValue(null, channel, 'filled').text).toBe('Last value held');
    expect(assessValue(50, { ...channel, limits: none }, 'good').text).toBe('No limits set');
  });

  it('draws no lines for limits that are not set', () => {
    expect(limitLines({ ...channel, limits: { ...none, high_alarm: 93 } })).toEqual([{ value: 93, label: 'high alarm', kind: 'alarm' }]);
    expect(limitLines({ ...channel, limits: none })).toEqual([]);
  });
});
