import { describe, expect, it } from 'vitest';
import { NO_ALARMS } from '../../lib/alarms';
import { countsInWords, countStatuses, hasOpenEvent, isSilentAnomaly, NO_ATTENTION, summarize, tabTitle, type Attention, type Counts } from './summary';

const counts = (some: Partial<Counts>): Counts => ({ ANOMALY: 0, STALE: 0, UNKNOWN: 0, LEARNING: 0, STARTING: 0, NORMAL: 0, OFF: 0, ENDED: 0, ...some });

const withEvents = (count: number): Attention => ({ ...NO_ATTENTION, withEvents: count });

describe('summarize', () => {
  it.each<[Partial<Counts>, string, string]>([
    [{}, 'No pumps yet', 'UNKNOWN'],
    [{ NORMAL: 6 }, 'All 6 pumps are normal', 'NORMAL'],
    [{ NORMAL: 1 }, 'The pump is normal', 'NORMAL'],
    [{ NORMAL: 5, ANOMALY: 1 }, '1 of 6 pumps needs attention', 'ANOMALY'],
    [{ NORMAL: 3, ANOMALY: 1, STALE: 2 }, '3 of 6 pumps need attention', 'ANOMALY'],
    [{ STALE: 1 }, 'The pump needs attention', 'STALE'],
    [{ ENDED: 6 }, 'The simulation has ended', 'ENDED'],
    [{ ENDED: 6, LEARNING: 1 }, 'The pump is not judged yet', 'LEARNING'],
    [{ ENDED: 6, NORMAL: 2, STALE: 1 }, '1 of 3 pumps needs attention', 'STALE'],
    [{ NORMAL: 4, LEARNING: 1, UNKNOWN: 1 }, 'No anomaly; 2 of 6 pumps not judged yet', 'UNKNOWN'],
    [{ NORMAL: 4, OFF: 2 }, 'No anomaly; 2 of 6 pumps off', 'NORMAL'],
    [{ NORMAL: 3, OFF: 2, STARTING: 1 }, 'No anomaly; 2 of 6 pumps off, 1 not judged yet', 'STARTING'],
    [{ OFF: 6 }, 'All 6 pumps are off', 'OFF'],
    [{ OFF: 1 }, 'The pump is off', 'OFF'],
    [{ OFF: 1, ANOMALY: 1 }, '1 of 2 pumps needs attention', 'ANOMALY'],
    [{ LEARNING: 6 }, 'None of the 6 pumps is judged yet', 'LEARNING'],
  ])('%j: %s', (some, sentence, worst) => {
    expect(summarize(counts(some))).toMatchObject({ sentence, worst });
  });

  it.each<[Partial<Counts>, number, string, string, string]>([
    [{ LEARNING: 3 }, 2, '2 of 3 pumps need attention', '▲ 2 with open events — Volute', '3 learning; 2 with open events'],
    [{ UNKNOWN: 1 }, 1, 'The pump needs attention', '▲ 1 with open events — Volute', '1 unknown; 1 with open events'],
    [{ NORMAL: 3, STALE: 1, ENDED: 1 }, 1, '2 of 4 pumps need attention', '▲ 1 with open events — Volute', '1 stale, 3 normal, 1 simulation ended; 1 with open events'],
    [{ ANOMALY: 1, LEARNING: 1 }, 1, '2 of 2 pumps need attention', '▲ 1 anomaly, 1 with open events — Volute', '1 anomaly, 1 learning; 1 with open events'],
  ])('%j with %d of them with open events: %s', (some, pumps, sentence, title, words) => {
    expect(summarize(counts(some), withEvents(pumps))).toMatchObject({ sentence, worst: 'ANOMALY' });
    expect(tabTitle(counts(some), withEvents(pumps))).toBe(title);
    expect(countsInWords(counts(some), withEvents(pumps))).toBe(words);
  });

  it('counts an open event unless the status already calls for attention', () => {
    const counted = (['LEARNING', 'STARTING', 'UNKNOWN', 'NORMAL', 'OFF', 'ANOMALY', 'STALE', 'ENDED'] as const).filter((status) =>
      hasOpenEvent({ status, activeEvents: 1, alarms: NO_ALARMS }),
    );
    expect(counted).toEqual(['LEARNING', 'STARTING', 'UNKNOWN', 'NORMAL', 'OFF']);
    expect(hasOpenEvent({ status: 'LEARNING', activeEvents: 0, alarms: NO_ALARMS })).toBe(false);
  });

  it.each<[string, Partial<Counts>, Partial<Attention>, string, string, string]>([
    [
      'an alarm while learning', { LEARNING: 2 },
      { withAlarms: 1, alarms: { standing: 1, unacknowledged: 1, highest: 'high', highest_unacknowledged: 'high', set_aside: 0 } },
      '1 of 2 pumps needs attention', '▲ 1 alarm (high) — Volute', '1 unacknowledged alarm of high priority; 2 learning',
    ],
    [
      'alarms and an anomaly', { ANOMALY: 1, NORMAL: 3 },
      { withAlarms: 2, alarms: { standing: 5, unacknowledged: 3, highest: 'critical', highest_unacknowledged: 'medium', set_aside: 1 } },
      '3 of 4 pumps need attention', '▲ 3 alarms (medium), 1 anomaly — Volute', '3 unacknowledged alarms, the highest medium; 1 anomaly, 3 normal',
    ],
    [
      'what is acknowledged', { NORMAL: 4 },
      { withAlarms: 1, alarms: { standing: 2, unacknowledged: 0, highest: 'low', highest_unacknowledged: null, set_aside: 0 } },
      '1 of 4 pumps needs attention', '△ 2 alarms — Volute', '2 alarms, acknowledged; 4 normal',
    ],
    ['an anomaly, then silence', { STALE: 2, NORMAL: 2 }, { silentAnomalies: 1 }, '2 of 4 pumps need attention', '▲ 1 anomaly — Volute', '2 stale (1 after an anomaly), 2 normal'],
  ])('leads with %s', (_, some, attention, sentence, title, words) => {
    const whole = { ...NO_ATTENTION, ...attention };
    expect(summarize(counts(some), whole)).toMatchObject({ sentence, worst: 'ANOMALY' });
    expect(tabTitle(counts(some), whole)).toBe(title);
    expect(countsInWords(counts(some), whole)).toBe(words);
  });

  it('tells a silence after an anomaly from a silence', () => {
    expect(isSilentAnomaly({ status: 'STALE', loss: 2, threshold: 1 })).toBe(true);
    for (const row of [{ status: 'STALE', loss: 1, threshold: 2 }, { status: 'STALE', loss: null, threshold: null }, { status: 'ANOMALY', loss: 2, threshold: 1 }] as const) {
      expect(isSilentAnomaly(row)).toBe(false);
    }
  });

  it('shows the worst status in the title of the tab', () => {
    expect(tabTitle(counts({ ANOMALY: 1, STALE: 3 }))).toBe('▲ 1 anomaly — Volute');
    expect(tabTitle(counts({ ANOMALY: 2 }))).toBe('▲ 2 anomalies — Volute');
    expect(tabTitle(counts({ STALE: 2, NORMAL: 1 }))).toBe('◷ 2 stale — Volute');
    expect(tabTitle(counts({ NORMAL: 6 }))).toBe('Fleet — Volute');
  });

  it('counts the statuses, worst first', () => {
    const counted = countStatuses([{ status: 'NORMAL' }, { status: 'ANOMALY' }, { status: 'NORMAL' }]);
    expect(counted).toEqual(counts({ NORMAL: 2, ANOMALY: 1 }));
    expect(countsInWords(counted)).toBe('1 anomaly, 2 normal');
  });
});
