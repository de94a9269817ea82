import { describe, expect, it } from 'vitest';
import { timeLabels } from './axis';

/** In the browser's time zone, as on the axis. */
const at = (day: number, hours: number, minutes = 0, seconds = 0) => new Date(2026, 10, day, hours, minutes, seconds).getTime();
const NOW = at(29, 11);
const MINUTE = 60_000;

describe('time axis labels', () => {
  it('are times only in a view of today', () => {
    expect(timeLabels([at(29, 10, 0), at(29, 10, 10)], 10 * MINUTE, NOW, 'en-GB')).toEqual(['10:00', '10:10']);
    expect(timeLabels([at(29, 10, 0, 20)], 20_000, NOW, 'en-GB')).toEqual(['10:00:20']);
  });

  it('begin with the date in a short view of another day', () => {
    expect(timeLabels([at(28, 9, 10), at(28, 9, 20), at(28, 9, 30)], 10 * MINUTE, NOW, 'en-GB')).toEqual(['28 Nov\n09:10', '09:20', '09:30']);
    expect(timeLabels([at(28, 9, 10), at(28, 9, 10, 20)], 20_000, NOW, 'en-GB')).toEqual(['28 Nov\n09:10:00', '09:10:20']);
    expect(timeLabels([at(28, 9), at(28, 9, 30)], 30 * MINUTE, NOW, 'en-GB')).toEqual(['28 Nov\n09:00', '09:30']);
  });

  it('show each day that a short view contains', () => {
    expect(timeLabels([at(28, 23, 50), at(29, 0), at(29, 0, 10)], 10 * MINUTE, NOW, 'en-GB')).toEqual(['28 Nov\n23:50', '29 Nov\n00:00', '00:10']);
  });

  it('show the day only at midnight in a longer view', () => {
    expect(timeLabels([at(28, 21), at(29, 0), at(29, 3)], 180 * MINUTE, NOW, 'en-GB')).toEqual(['21:00', '29 Nov', '03:00']);
    expect(timeLabels([at(27, 0), at(28, 0)], 1440 * MINUTE, NOW, 'en-GB')).toEqual(['27 Nov', '28 Nov']);
  });
});
