// A chart's keyboard control: arrows move through its readings, + and − zoom around the cursor, Escape goes back to live.

import type { Columns } from '../columns';
import type { ChartView } from './view.svelte';

/** How many rows a key moves the cursor. */
const ROW_STEPS: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 };

/** Handles a key; returns whether the chart uses it. */
export function handleKey(key: string, view: ChartView, columns: Columns): boolean {
  const { min, max } = view.range();
  if (key === 'Escape') view.backToLive();
  else if (key === '+' || key === '=') zoomBy(0.5, view);
  else if (key === '-') zoomBy(2, view);
  else if (key === 'Home') goTo(columns.lowerBound(min), view, columns);
  else if (key === 'End') goTo(columns.rowAt(max), view, columns);
  else if (key in ROW_STEPS) goTo((view.cursor === null ? columns.length : columns.rowAt(view.cursor)) + ROW_STEPS[key], view, columns);
  else return false;
  return true;
}

/** Moves the cursor to a row, and moves the view so that it contains the cursor. */
function goTo(row: number, view: ChartView, columns: Columns): void {
  const t = columns.at(Math.min(columns.length - 1, Math.max(0, row)));
  if (isNaN(t)) return;
  view.pin();
  view.point(t);
  const { min, max } = view.range();
  if (t < min) view.zoom(t, t + (max - min));
  else if (t > max) view.zoom(t - (max - min), t);
}

function zoomBy(factor: number, view: ChartView): void {
  const { min, max } = view.range();
  const around = view.cursor ?? max;
  view.zoom(around - (around - min) * factor, around + (max - around) * factor);
}
