import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Columns } from '../columns';
import { handleKey } from './keys';
import { ChartView } from './view.svelte';

describe('the keyboard control of a chart', () => {
  beforeEach(() => vi.stubGlobal('requestAnimationFrame', () => 1));
  afterEach(() => vi.unstubAllGlobals());

  /** A reading each second for twenty minutes; the view shows the last ten. */
  function chart() {
    const columns = new Columns(1, 2000);
    const t = Array.from({ length: 1201 }, (_, i) => i * 1000);
    columns.add({ t, columns: [t] });
    const view = new ChartView(() => columns.last);
    return { view, press: (...keys: string[]) => keys.map((key) => handleKey(key, view, columns)) };
  }

  it('starts at the newest reading, and stays within the readings', () => {
    const { view, press } = chart();
    press('ArrowLeft');
    expect([view.mode, view.cursor]).toEqual(['pinned', 1_200_000]);
    press('ArrowLeft', 'ArrowLeft', 'ArrowRight', 'PageUp');
    expect(view.cursor).toBe(1_169_000);
    press('PageDown', 'PageDown');
    expect(view.cursor).toBe(1_200_000);
  });

  it('moves the view to an earlier moment without changing its length', () => {
    const { view, press } = chart();
    press('Home', 'ArrowLeft');
    expect(view.cursor).toBe(599_000);
    expect(view.range()).toEqual({ min: 599_000, max: 1_199_000 });
  });

  it('zooms around the cursor, and goes back to live', () => {
    const { view, press } = chart();
    press('End', '+');
    expect(view.range()).toEqual({ min: 900_000, max: 1_200_000 });
    press('-', 'Escape');
    expect([view.mode, view.cursor, view.range().min]).toEqual(['live', null, 600_000]);
  });

  it('ignores other keys', () => {
    const { view, press } = chart();
    expect(press('Tab', 'a', 'Enter')).toEqual([false, false, false]);
    expect(view.live).toBe(true);
  });
});
