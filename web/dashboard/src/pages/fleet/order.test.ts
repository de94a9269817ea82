import { describe, expect, it } from 'vitest';
import type { Shown } from '../../lib/status';
import { Order, RESORT_MS, worstFirst, type Ranked } from './order';

const row = (id: string, status: Shown, loss: number | null = null, activeEvents = 0): Ranked => ({ id, status, loss, threshold: 1, activeEvents });

describe('worst first', () => {
  it('orders by status, then anomalies by ratio, then by name as people count', () => {
    const rows = [
      row('P-10', 'NORMAL', 0.9), row('P-9', 'NORMAL', 0.1), row('P-1', 'ANOMALY', 1.2), row('P-2', 'ANOMALY', 3),
      row('P-3', 'LEARNING'), row('P-4', 'UNKNOWN'), row('P-5', 'STALE', 9),
      row('P-6', 'OFF', 9), row('P-7', 'STARTING'),
    ];
    expect([...rows].sort(worstFirst).map((r) => r.id)).toEqual(['P-2', 'P-1', 'P-5', 'P-4', 'P-3', 'P-7', 'P-9', 'P-10', 'P-6']);
  });
});

it('open events put a pump behind the anomalies, before all others', () => {
  const rows = [row('P-1', 'STALE'), row('P-2', 'LEARNING', null, 2), row('P-3', 'ANOMALY', 2), row('P-4', 'ENDED', null, 1)];
  expect([...rows].sort(worstFirst).map((r) => r.id)).toEqual(['P-3', 'P-2', 'P-1', 'P-4']);
});

describe('Order', () => {
  const a = (loss: number) => row('a', 'ANOMALY', loss);
  const b = (loss: number) => row('b', 'ANOMALY', loss);

  it('a changed ratio waits, a changed status does not', () => {
    const order = new Order();
    expect(order.of([a(2), b(1)], 0, false).ids).toEqual(['a', 'b']);
    expect(order.of([a(1), b(2)], RESORT_MS - 1, false).ids).toEqual(['a', 'b']);
    expect(order.of([a(1), b(2)], RESORT_MS, false).ids).toEqual(['b', 'a']);
    expect(order.of([a(1), row('b', 'NORMAL')], RESORT_MS + 1, false).ids).toEqual(['a', 'b']);
  });

  it('nothing moves while it is held, and all catches up after', () => {
    const order = new Order();
    order.of([a(2), row('b', 'NORMAL')], 0, false);
    const held = order.of([row('a', 'NORMAL'), b(5), row('c', 'ANOMALY', 9)], 60_000, true);
    expect(held).toEqual({ ids: ['a', 'b', 'c'], waiting: true });
    const after = order.of([row('a', 'NORMAL'), b(5), row('c', 'ANOMALY', 9)], 60_001, false);
    expect(after).toEqual({ ids: ['c', 'b', 'a'], waiting: false });
  });

  it('an order that is the same is the same list, so that nothing is drawn anew', () => {
    const order = new Order();
    const { ids } = order.of([a(2), b(1)], 0, false);
    expect(order.of([a(3), b(1)], 2 * RESORT_MS, false).ids).toBe(ids);
  });

  it('a pump that is gone leaves at once, held or not', () => {
    const order = new Order();
    order.of([a(2), b(1)], 0, false);
    expect(order.of([b(1)], 1, true).ids).toEqual(['b']);
  });
});
