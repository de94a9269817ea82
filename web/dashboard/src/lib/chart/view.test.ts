import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ChartView, lengthFor } from './view.svelte';

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

  function following() {
    const world = { newest: 1_000_000, drawn: 0 };
    const view = new ChartView(() => world.newest);
    view.register(() => world.drawn++);
    nextFrame();
    return { view, world };
  }

  it('begins with a length that has some thirty readings, and leaves what a person has chosen', () => {
    const [minute, day] = [60_000, 24 * 60 * 60_000];
    const cases: [number, number][] = [[0, 10], [1000, 10], [20_000, 10], [60_000, 60], [15 * minute, 24 * 60], [60 * minute, 7 * 24 * 60]];
    for (const [everyMs, minutes] of cases) expect(lengthFor(everyMs)).toBe(minutes * minute);
    const { view } = following();
    view.begin(day);
    expect(view.windowMs).toBe(day);
    view.choose(10 * minute);
    view.begin(day);
    expect(view.windowMs).toBe(10 * minute);
  });

  it('follows the newest and draws once per frame, however much comes', () => {
    const { view, world } = following();
    for (let i = 0; i < 20; i++) view.data();
    expect(frames).toHaveLength(1);
    nextFrame();
    expect(world.drawn).toBe(2);
    world.newest += 5000;
    expect(view.stretch()).toEqual({ min: 405_000, max: 1_005_000 });
  });

  it('holds while someone points, and follows again soon after', () => {
    const { view, world } = following();
    view.point(900_000);
    world.newest += 60_000;
    view.data();
    expect(frames).toHaveLength(0);
    expect(view.stretch().max).toBe(1_000_000);
    view.leave();
    vi.advanceTimersByTime(100);
    view.point(910_000);
    vi.advanceTimersByTime(10_000);
    expect(view.mode).toBe('pointing');
    view.leave();
    vi.advanceTimersByTime(10_000);
    expect([view.mode, view.cursor, view.stretch().max]).toEqual(['live', null, 1_060_000]);
  });

  it('what is pinned or zoomed stays until it is let go', () => {
    const { view, world } = following();
    view.point(900_000);
    view.pin();
    view.leave();
    vi.advanceTimersByTime(60_000);
    expect([view.mode, view.cursor]).toEqual(['pinned', 900_000]);
    view.zoom(800_000, 850_000);
    world.newest += 60_000;
    expect(view.stretch()).toEqual({ min: 800_000, max: 850_000 });
    view.zoom(800_000, 800_001);
    expect(view.stretch().max - view.stretch().min).toBe(5000);
    view.backToLive();
    expect(view.stretch().max).toBe(1_060_000);
  });

  it('says when a person chooses another stretch, and not when data moves it', () => {
    const moved: string[] = [];
    const view: ChartView = new ChartView(() => 1_000_000, () => moved.push(`${view.mode} ${view.long}`));
    view.data();
    view.point(900_000);
    view.pin();
    expect(moved).toEqual([]);
    view.choose(60 * 60_000);
    view.choose(24 * 60 * 60_000);
    view.zoom(0, 10_000);
    expect(moved).toEqual(['live false', 'live true', 'pinned true']);
  });

  it('draws nothing after it is closed', () => {
    const { view, world } = following();
    view.data();
    view.close();
    nextFrame();
    expect(world.drawn).toBe(1);
  });
});
