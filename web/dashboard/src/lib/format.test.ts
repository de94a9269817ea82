import { describe, expect, it } from 'vitest';
import { asSentence, capitalized, decimals, formatAge, formatAppointment, formatBytes, formatDay, formatDuration, formatLoss, formatMoment, formatNumber, formatPercent, formatRatio, inputTime, plural } from './format';

describe('numbers', () => {
  it.each([
    [1, 0], [0.1, 1], [0.01, 2], [0.0001, 4], [0.5, 1], [0.25, 2], [10, 0], [1e-9, 6], [0, 2],
  ])('show a resolution of %d with %d decimals', (resolution, places) => {
    expect(decimals(resolution)).toBe(places);
  });

  it('are grouped, rounded, and have a true minus', () => {
    expect(formatNumber(2950, 0, 'en')).toBe('2,950');
    expect(formatNumber(-0.456, 2, 'en')).toBe('−0.46');
    expect(formatNumber(-0.001, 2, 'en')).toBe('0.00');
    expect(formatNumber(61.5, 1, 'de')).toBe('61,5');
    for (const nothing of [null, undefined, NaN, Infinity]) expect(formatNumber(nothing, 1)).toBe('–');
  });

  it('have three figures if they are losses', () => {
    expect([0.05123, 0.512, 1.234, 12.34, 1234, 0].map((x) => formatLoss(x, 'en'))).toEqual([
      '0.0512', '0.512', '1.23', '12.3', '1,234', '0.00',
    ]);
  });

  it('are multiples of the threshold if they are ratios', () => {
    expect(formatRatio(0.09, 0.05, 'en')).toBe('1.8 ×');
    expect(formatRatio(0.4999, 0.05, 'en')).toBe('10 ×');
    expect(formatRatio(1, 0, 'en')).toBe('–');
    expect(formatRatio(null, 0.05)).toBe('–');
  });

  it('are never 0 % for a share above 0', () => {
    expect([0, 0.004, 0.006, 0.42, 1].map((x) => formatPercent(x, 'en'))).toEqual([
      '0 %', '< 1 %', '1 %', '42 %', '100 %',
    ]);
  });

  it.each([
    [0, '0 B'], [999, '999 B'], [999.6, '1.0 kB'], [4200, '4.2 kB'], [312_400_000, '312 MB'], [999_700_000, '1.00 GB'],
    [12_340_000_000, '12.3 GB'], [1.5e12, '1.50 TB'], [2e18, '2,000 PB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes, 'en')).toBe(text);
  });

  it('are a dash without a value', () => {
    expect([null, undefined, NaN].map((bytes) => formatBytes(bytes))).toEqual(['–', '–', '–']);
  });

  it('become a sentence if they are messages of the node', () => {
    expect(['only 5 % is free', 'It is.', ''].map(asSentence)).toEqual(['Only 5 % is free.', 'It is.', '']);
    expect(['flow', 'Ölstand', ''].map(capitalized)).toEqual(['Flow', 'Ölstand', '']);
  });

  it('have a noun in the singular or plural', () => {
    expect([0, 1, 2].map((n) => plural(n, 'pump'))).toEqual(['0 pumps', '1 pump', '2 pumps']);
  });
});

describe('durations', () => {
  it.each([
    [-5, '0 s'], [999, '0 s'], [59_999, '59 s'], [60_000, '1 min'], [3_599_999, '59 min'], [3_600_000, '1 h'],
    [11_100_000, '3 h 5 min'], [86_400_000, '1 d'], [187_200_000, '2 d 4 h'],
  ])('%d ms is %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it('are "just now" below two seconds if they are ages', () => {
    expect([0, 1999, 2000].map(formatAge)).toEqual(['just now', 'just now', '2 s ago']);
  });
});

describe('moments', () => {
  const at = (text: string) => new Date(text).getTime();

  it.each([
    ['2026-03-09T10:14:33', '2026-03-09T10:20:00', '10:14:33'],
    ['2026-03-08T23:50:00', '2026-03-09T00:10:00', '23:50:00'],
    ['2026-03-08T22:19:13', '2026-03-09T10:14:33', '8 Mar, 22:19'],
    ['2026-03-09T00:10:00', '2026-03-09T23:50:00', '00:10:00'],
    ['2026-03-10T06:00:00', '2026-03-09T22:00:00', '10 Mar, 06:00'],
    ['2026-03-07T10:14:33', '2026-03-09T10:14:33', '7 Mar, 10:14'],
    ['2020-03-07T10:14:33', '2026-03-09T10:14:33', '7 Mar 2020, 10:14'],
  ])('%s seen from %s is %s', (moment, now, text) => {
    expect(formatMoment(at(moment), at(now), 'en-GB')).toBe(text);
  });

  it('have a weekday if people plan by them, and a form for fields', () => {
    expect(formatAppointment(at('2026-03-13T08:00:00'), at('2026-03-09T10:00:00'), 'en-GB')).toBe('Fri 13 Mar, 08:00');
    expect(inputTime(at('2026-07-13T08:05:59'))).toBe('2026-07-13T08:05');
  });
});

describe('days', () => {
  it('are named with their month, months with their year', () => {
    const at = new Date('2026-03-09T00:00:00').getTime();
    expect([formatDay(at, false, 'en-GB'), formatDay(at, true, 'en-GB')]).toEqual(['9 Mar', 'Mar 2026']);
  });
});
