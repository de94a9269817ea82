// How a chart looks: uPlot's options, and what is painted over and under its lines: anomalous stretches, limits, thresholds.
// Colours are the page's own tokens, read once per theme.

import type uPlot from 'uplot';
import { clock } from '../clock.svelte';
import { formatNumber } from '../format';
import { timeLabels } from './axis';
import type { Span } from './spans';

/** A horizontal line with a name. */
export interface Mark {
  value: number;
  label: string;
  kind: 'alarm' | 'warning' | 'threshold';
}

/** What a chart paints; the component renews it before every draw. */
export interface Picture {
  marks: readonly Mark[];
  spans: readonly Span[];
  places: number;
  colours: Colours;
  /** Nothing of it is of now. */
  dim: boolean;
  /** The view follows: the newest value has a dot. */
  live: boolean;
}

export interface Colours {
  ink: string;
  trace: string;
  /** From the lowest to the highest, around the trace. */
  band: string;
  line: string;
  panel: string;
  anomaly: string;
  alarm: string;
  warning: string;
  mark: string;
  font: string;
  /** In CSS pixels. */
  fontPx: number;
}

export function readColours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(name).trim();
  return {
    ink: token('--ink-2'), trace: token('--trace'), band: token('--band'), line: token('--line'), panel: token('--panel'),
    anomaly: token('--anomaly-fill'), alarm: token('--anomaly'), warning: token('--warning'), mark: token('--line-strong'),
    font: getComputedStyle(document.body).fontFamily,
    fontPx: parseFloat(style.fontSize) * 0.75,
  };
}

/**
 * Options for one line over time; `picture` is asked at every draw. With `band` the data holds the upper and the lower edge of what
 * lies around the line before it: what comes later is painted above.
 */
export function chartOptions(width: number, height: number, band: boolean, picture: () => Picture, onDrawn: () => void): uPlot.Options {
  const ink = () => picture().colours.ink;
  const { font, fontPx } = picture().colours;
  const axis = { stroke: ink, font: `${fontPx}px ${font}`, ticks: { show: false }, gap: 6 };
  const grid = { stroke: () => picture().colours.line, width: 1 };
  return {
    width,
    height,
    ms: 1,
    padding: [fontPx * 0.9, fontPx, 0, 0],
    legend: { show: false },
    scales: { x: { time: true, auto: false }, y: { auto: false } },
    cursor: { y: false, drag: { x: true, y: false, setScale: false, dist: 6 }, points: { size: 8, width: 2 } },
    axes: [
      { ...axis, size: (_, labels) => fontPx * (labels?.some((label) => label.includes('\n')) ? 3.4 : 2), space: fontPx * 5.5, grid: { show: false }, values: (_, splits, __, ___, step) => timeLabels(splits, step, clock.exact()) },
      { ...axis, size: fontPx * 4.4, space: fontPx * 1.9, grid, values: (_, splits, __, ___, step) => splits.map((v) => formatNumber(v, placesOf(step, picture().places))) },
    ],
    series: [
      {},
      ...(band ? [EDGE, EDGE] : []),
      { stroke: () => picture().colours.trace, width: 1.25, points: { show: hasDots, size: 4 } },
    ],
    bands: band ? [{ series: [1, 2], fill: () => picture().colours.band }] : [],
    hooks: {
      drawAxes: [(u) => paintSpans(u, picture()), (u) => paintMarks(u, picture())],
      draw: [(u) => paintNewest(u, picture()), onDrawn],
    },
  };
}

/** Whether each value has a dot: where values are few, or so far between that no line joins most of them, as of a channel that is reported
 * when it changes. */
function hasDots(u: uPlot, series: number, from: number, to: number): boolean {
  const rows = to - from;
  if (rows < 24) return true;
  let values = 0;
  for (let row = from; row <= to; row++) if (u.data[series][row] != null) values++;
  return 4 * values < rows;
}

/** The edge of a band has no line of its own. */
const EDGE: uPlot.Series = { class: 'edge', width: 0, points: { show: false } };

/** Decimals that tell two ticks apart, never more than the channel resolves. */
function placesOf(step: number, most: number): number {
  for (let places = 0; places < most; places++) if (Math.abs(step * 10 ** places - Math.round(step * 10 ** places)) < 1e-6) return places;
  return most;
}

/** Anomalous stretches: a wash, a bar along the top, and a triangle where each begins. */
function paintSpans(u: uPlot, { spans, colours }: Picture): void {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top - 12 * ratio, bbox.width, bbox.height + 12 * ratio);
  ctx.clip();
  ctx.fillStyle = colours.anomaly;
  let marked = -Infinity;
  for (const span of spans) {
    const left = u.valToPos(span.from, 'x', true);
    const width = Math.max(u.valToPos(span.to, 'x', true) - left, 2 * ratio);
    ctx.globalAlpha = 0.12;
    ctx.fillRect(left, bbox.top, width, bbox.height);
    ctx.globalAlpha = 1;
    ctx.fillRect(left, bbox.top - 2 * ratio, width, 2 * ratio);
    const x = Math.max(left, bbox.left);
    if (x - marked < 12 * ratio) continue;
    marked = x;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top - 2 * ratio);
    ctx.lineTo(x + 8 * ratio, bbox.top - 2 * ratio);
    ctx.lineTo(x + 4 * ratio, bbox.top - 9 * ratio);
    ctx.fill();
  }
  ctx.restore();
}

/** Limits and thresholds: a dashed line with its name; one beyond the scale is named at the edge. */
function paintMarks(u: uPlot, { marks, places, colours }: Picture): void {
  const { ctx, bbox } = u;
  const { min, max } = u.scales.y;
  if (min == null || max == null) return;
  const ratio = devicePixelRatio;
  const size = colours.fontPx * 0.95 * ratio;
  ctx.save();
  ctx.font = `${size}px ${colours.font}`;
    let [above, below] = [0, 0];
  for (const mark of marks) {
    const colour = mark.kind === 'alarm' ? colours.alarm : mark.kind === 'warning' ? colours.warning : colours.ink;
    const text = `${mark.label} ${formatNumber(mark.value, places)}`;
    const inside = mark.value >= min && mark.value <= max;
    let y: number;
    if (inside) {
      const line = Math.round(u.valToPos(mark.value, 'y', true));
      ctx.strokeStyle = colour;
      ctx.lineWidth = ratio;
      ctx.setLineDash(mark.kind === 'alarm' ? [] : [5 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, line);
      ctx.lineTo(bbox.left + bbox.width, line);
      ctx.stroke();
      y = line - bbox.top > size * 1.4 ? line - 4 * ratio : line + size * 1.05;
    } else if (mark.kind === 'alarm') {
      // The warning before it says enough.
      continue;
    } else if (mark.value > max) {
      y = bbox.top + size * (1 + 1.3 * above++);
    } else {
      y = bbox.top + bbox.height - size * (0.4 + 1.3 * below++);
    }
    const label = inside ? text : `${text} ${mark.value > max ? '↑' : '↓'}`;
    // Alarms on the right, warnings on the left: they may be close to each other.
    ctx.textAlign = mark.kind === 'alarm' ? 'right' : 'left';
    const x = mark.kind === 'alarm' ? bbox.left + bbox.width - 3 * ratio : bbox.left + 3 * ratio;
    ctx.setLineDash([]);
    ctx.lineWidth = 4 * ratio;
    ctx.lineJoin = 'round';
    ctx.strokeStyle = colours.panel;
    ctx.strokeText(label, x, y);
    ctx.fillStyle = inside ? colour : colours.ink;
    ctx.fillText(label, x, y);
  }
  ctx.restore();
}

function paintNewest(u: uPlot, { live, dim, colours }: Picture): void {
  const t = u.data[0];
  const y = u.data[u.data.length - 1];
  const last = t.length - 1;
  const value = last < 0 ? null : y[last];
  if (!live || dim || value == null) return;
  const { ctx } = u;
  ctx.save();
  ctx.fillStyle = colours.trace;
  ctx.beginPath();
  ctx.arc(u.valToPos(t[last], 'x', true), u.valToPos(value, 'y', true), 3 * devicePixelRatio, 0, 2 * Math.PI);
  ctx.fill();
  ctx.restore();
}
