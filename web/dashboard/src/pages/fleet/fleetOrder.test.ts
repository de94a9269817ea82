import { describe, expect, it } from 'vitest';
import { NO_ALARMS } from '../../lib/alarms';
import type { DisplayStatus } from '../../lib/status';
import { FleetOrder, RESORT_INTERVAL_MS, worstFirst, type RankedPump } from './fleetOrder';

const row = (id: string, status: DisplayStatus, loss: number | null = null, activeEvents = 0): RankedPump => ({ id, status, loss, threshold: 1, activeEvents, alarms: NO_ALARMS });

/** A pump with one standing alarm. */
const alarmed = (id: string, status: DisplayStatus, priority: string, acknowledged = false, loss: number | null = null): RankedPump => ({
  ...row(id, status, loss),
  alarms: { standing: 1, unacknowledged: acknowledged ? 0 : 1, highest: priority, highest_unacknowledged: acknowledged ? null : priority, set_aside: 0 },
});

const ids = (rows: RankedPump[]) => [...rows].sort(worstFirst).map(({ id }) => id);

describe('worstFirst', () => {
  it('orders by status, then anomalies by ratio, then by id in numeric order', () => {
    const rows = [
      row('P-10', 'NORMAL', 0.9), row('P-9', 'NORMAL', 0.1), row('P-1', 'ANOMALY', 1.2), row('P-2', 'ANOMALY', 3),
      row('P-3', 'LEARNING'), row('P-4', 'UNKNOWN'), row('P-5', 'STALE', 0.9),
      row('P-6', 'OFF', 9), row('P-7', 'STARTING'),
    ];
    expect([...rows].sort(worstFirst).map((r) => r.id)).toEqual(['P-2', 'P-1', 'P-5', 'P-4', 'P-3', 'P-7', 'P-9', 'P-10', 'P-6']);
  });
});

it('ranks a pump with open events after the anomalies and before all others', () => {
  const rows = [row('P-1', 'STALE'), row('P-2', 'LEARNING', null, 2), row('P-3', 'ANOMALY', 2), row('P-4', 'ENDED', null, 1)];
  expect([...rows].sort(worstFirst).map((r) => r.id)).toEqual(['P-3', 'P-2', 'P-1', 'P-4']);
});

describe('a pump with alarms', () => {
  it('leads by what nobody has acknowledged, then by what stands, and both before an anomaly', () => {
    const rows = [
      row('anomaly', 'ANOMALY', 50), alarmed('low', 'NORMAL', 'low'), alarmed('acknowledged', 'ANOMALY', 'critical', true, 3),
      alarmed('high', 'LEARNING', 'high'), alarmed('critical', 'UNKNOWN', 'critical'), alarmed('medium, acknowledged', 'NORMAL', 'medium', true), row('normal', 'NORMAL'),
    ];
    expect(ids(rows)).toEqual(['critical', 'high', 'low', 'acknowledged', 'medium, acknowledged', 'anomaly', 'normal']);
  });

  it('stays on top when it falls silent, and so does an anomalous one', () => {
    const rows = [row('anomaly', 'ANOMALY', 2), row('silent', 'STALE', 0.5), row('anomaly, then silent', 'STALE', 9), alarmed('hot, then silent', 'STALE', 'high')];
    expect(ids(rows)).toEqual(['hot, then silent', 'anomaly, then silent', 'anomaly', 'silent']);
  });

  it('concerns nobody if its simulation has ended', () => {
    expect(ids([alarmed('ended', 'ENDED', 'critical'), row('normal', 'NORMAL')])).toEqual(['normal', 'ended']);
  });

  it('changes the order at once', () => {
    const order = new FleetOrder();
    const b = row('b', 'NORMAL');
    expect(order.update([row('a', 'NORMAL'), b], 0, false).ids).toEqual(['a', 'b']);
    expect(order.update([row('a', 'NORMAL'), alarmed('b', 'NORMAL', 'low')], 1, false).ids).toEqual(['b', 'a']);
    expect(order.update([alarmed('a', 'NORMAL', 'high'), alarmed('b', 'NORMAL', 'low')], 2, false).ids).toEqual(['a', 'b']);
    expect(order.update([alarmed('a', 'NORMAL', 'high', true), alarmed('b', 'NORMAL', 'low')], 3, false).ids).toEqual(['b', 'a']);
  });
});

describe('FleetOrder', () => {
  const a = (loss: number) => row('a', 'ANOMALY', loss);
  const b = (loss: number) => row('b', 'ANOMALY', loss);

  it('follows a changed status at once, and a changed ratio after the interval', () => {
    const order = new FleetOrder();
    expect(order.update([a(2), b(1)], 0, false).ids).toEqual(['a', 'b']);
    expect(order.update([a(1), b(2)], RESORT_INTERVAL_MS - 1, false).ids).toEqual(['a', 'b']);
    expect(order.update([a(1), b(2)], RESORT_INTERVAL_MS, false).ids).toEqual(['b', 'a']);
    expect(order.update([a(1), row('b', 'NORMAL')], RESORT_INTERVAL_MS + 1, false).ids).toEqual(['a', 'b']);
  });

  it('moves nothing while it is held, and is sorted afterwards', () => {
    const order = new FleetOrder();
    order.update([a(2), row('b', 'NORMAL')], 0, false);
    const held = order.update([row('a', 'NORMAL'), b(5), row('c', 'ANOMALY', 9)], 60_000, true);
    expect(held).toEqual({ ids: ['a', 'b', 'c'], pending: true });
    const after = order.update([row('a', 'NORMAL'), b(5), row('c', 'ANOMALY', 9)], 60_001, false);
    expect(after).toEqual({ ids: ['c', 'b', 'a'], pending: false });
  });

  it('returns the same array if the order is the same, so that nothing is drawn again', () => {
    const order = new FleetOrder();
    const { ids } = order.update([a(2), b(1)], 0, false);
    expect(order.update([a(3), b(1)], 2 * RESORT_INTERVAL_MS, false).ids).toBe(ids);
  });

  it('drops a removed pump at once, held or not', () => {
    const order = new FleetOrder();
    order.update([a(2), b(1)], 0, false);
    expect(order.update([b(1)], 1, true).ids).toEqual(['b']);
  });
});
