import { describe, expect, it } from 'vitest';
import type { Channel, Reading } from '../../api/types';
import { Columns } from '../../lib/columns';
import { DETECTION_COLUMNS, detectionEventRows, detectionRows, overviewColumns, overviewOf, readingEventRows, readingRows } from './history';

const limits = { low_alarm: null, low_warning: null, high_warning: null, high_alarm: null };
const channel = (name: string): Channel => ({ name, quantity: name, unit: '', plausible: [0, 100], resolution: 1, limits });
const channels = [channel('A'), channel('B')];
const at = (ms: number) => new Date(ms).toISOString();

describe('history and stream', () => {
  it('give the same rows for the same readings, in any order of channels', () => {
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

  it('give the same rows for the same detections', () => {
    const history = detectionRows(
      [{ pump_id: 'P', timestamp: at(1000), loss: 0.2, threshold: 0.1, is_anomaly: true, contributions: { A: 0.75, B: 0.25 }, model: 'm' }],
      channels,
    );
    const stream = detectionEventRows(
      { t: [1000], pump: 'P', loss: [0.2], threshold: [0.1], is_anomaly: [true], channels: ['A', 'B'], contributions: [[0.75], [0.25]] },
      channels,
    );
    expect(stream).toEqual(history);
    const columns = new Columns(DETECTION_COLUMNS.contributions + 2, 8);
    columns.add(stream);
    columns.add(history);
    expect(columns.length).toBe(1);
    expect(columns.value(0, DETECTION_COLUMNS.anomalous)).toBe(1);
    expect(columns.value(0, DETECTION_COLUMNS.contributions)).toBe(0.75);
  });
});

describe('an overview', () => {
  const summary = (readings: number, low: number | null, high: number | null) => ({
    length_ms: 60_000, readings, min: { A: low, B: null }, max: { A: high, B: null },
  });
  const row = (view: ReturnType<typeof overviewOf>, at: number) => {
    const { mean, low, high, readings } = overviewColumns(0, 2);
    return [view.columns.at(at), ...[mean, low, high, readings].map((column) => view.columns.value(at, column))];
  };

  it('places a row in the middle of the time it aggregates, and ends the last one at the end of the range', () => {
    const items = [
      { pump_id: 'P', timestamp: at(0), values: { A: 5, B: null }, quality: {}, summary: summary(60, 1, 9) },
      { pump_id: 'P', timestamp: at(60_000), values: { A: 6, B: null }, quality: {}, summary: summary(20, 2, 8) },
    ];
    const view = overviewOf({ items }, channels, 80_000);
    expect([row(view, 0), row(view, 1)]).toEqual([[30_000, 5, 1, 9, 60], [70_000, 6, 2, 8, 20]]);
    expect([view.aggregateMs, view.incomplete, view.columns.length]).toEqual([60_000, null, 2]);
    expect(view.columns.value(0, overviewColumns(1, 2).low)).toBeNaN();
  });

  it('has single readings if there are few, without implausible values', () => {
    const items: Reading[] = [
      { pump_id: 'P', timestamp: at(1000), values: { A: 5, B: 1 }, quality: {} },
      { pump_id: 'P', timestamp: at(2000), values: { A: 900, B: 1 }, quality: { A: 'bad' } },
    ];
    const view = overviewOf({ items, incomplete: { since: null, reason: 'why' } }, channels, 3000);
    expect(row(view, 0)).toEqual([1000, 5, 5, 5, 1]);
    expect(row(view, 1).slice(1)).toEqual([NaN, NaN, NaN, 1]);
    expect([view.aggregateMs, view.incomplete?.reason]).toEqual([null, 'why']);
  });

  it('is empty without readings', () => {
    expect(overviewOf({ items: [] }, channels, 0).columns.length).toBe(0);
  });
});
