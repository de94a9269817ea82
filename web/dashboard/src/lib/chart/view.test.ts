import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ChartView, initialRangeMs } from './view.svelte';

describe('ChartView', () => {
  let frames: (() => void)[];
  const nextFrame = () => frames.splice(0).forEach((run) => run());

  beforeEach(() => {
    frames = [];
    vi.stubGlobal('requestAnimationFrame', (run: () => void) => frames.push(run));
    vi.stubGlobal('cancelAnimationFrame', () => (frames = []));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  function liveView() {
    const state = { newest: 1_000_000, drawn: 0 };
    const view = new ChartView(() => state.newest);
    view.register(() => state.drawn++);
    nextFrame();
    return { view, state };
  }

  it('starts with a range of at least 30 readings, and keeps the range that the user chose', () => {
    const [minute, day] = [60_000, 24 * 60 * 60_000];
    const cases: [number, number][] = [[0, 10], [1000, 10], [20_000, 10], [60_000, 60], [15 * minute, 24 * 60], [60 * minute, 7 * 24 * 60]];
    for (const [intervalMs, minutes] of cases) expect(initialRangeMs(intervalMs)).toBe(minutes * minute);
    const { view } = liveView();
    view.setInitialRange(day);
    expect(view.rangeMs).toBe(day);
    view.choose(10 * minute);
    view.setInitialRange(day);
    expect(view.rangeMs).toBe(10 * minute);
  });

  it('follows the newest data and draws once per frame', () => {
    const { view, state } = liveView();
    for (let i = 0; i < 20; i++) view.dataChanged();
    expect(frames).toHaveLength(1);
    nextFrame();
    expect(state.drawn).toBe(2);
    state.newest += 5000;
    expect(view.range()).toEqual({ min: 405_000, max: 1_005_000 });
  });

  it('stands still while the user points, and is live again soon after', () => {
    const { view, state } = liveView();
    view.point(900_000);
    state.newest += 60_000;
    view.dataChanged();
    expect(frames).toHaveLength(0);
    expect(view.range().max).toBe(1_000_000);
    view.leave();
    vi.advanceTimersByTime(100);
    view.point(910_000);
    vi.advanceTimersByTime(10_000);
    expect(view.mode).toBe('pointing');
    view.leave();
    vi.advanceTimersByTime(10_000);
    expect([view.mode, view.cursor, view.range().max]).toEqual(['live', null, 1_060_000]);
  });

  it('keeps a pinned or zoomed range until it goes back to live', () => {
    const { view, state } = liveView();
    view.point(900_000);
    view.pin();
    view.leave();
    vi.advanceTimersByTime(60_000);
    expect([view.mode, view.cursor]).toEqual(['pinned', 900_000]);
    view.zoom(800_000, 850_000);
    state.newest += 60_000;
    expect(view.range()).toEqual({ min: 800_000, max: 850_000 });
    view.zoom(800_000, 800_001);
    expect(view.range().max - view.range().min).toBe(5000);
    view.backToLive();
    expect(view.range().max).toBe(1_060_000);
  });

  it('shows the hour around a time, and a day in live mode after that', () => {
    const { view } = liveView();
    view.showAround(10_000_000);
    expect([view.mode, view.long]).toEqual(['pinned', true]);
    expect(view.range()).toEqual({ min: 8_200_000, max: 11_800_000 });
    view.backToLive();
    expect(view.rangeMs).toBe(24 * 60 * 60_000);
  });

  it('reports a range that the user chose, but not one that new data moved', () => {
    const changes: string[] = [];
    const view: ChartView = new ChartView(() => 1_000_000, () => changes.push(`${view.mode} ${view.long}`));
    view.dataChanged();
    view.point(900_000);
    view.pin();
    expect(changes).toEqual([]);
    view.choose(60 * 60_000);
    view.choose(24 * 60 * 60_000);
    view.zoom(0, 10_000);
    expect(changes).toEqual(['live false', 'live true', 'pinned true']);
  });

  it('draws nothing after it is closed', () => {
    const { view, state } = liveView();
    view.dataChanged();
    view.close();
    nextFrame();
    expect(state.drawn).toBe(1);
  });
});
