// The look of a chart: uPlot's options, and the anomalous spans, limits and thresholds that are painted over and under its line.
// Colours are the page's CSS tokens, read once per theme.

import type uPlot from 'uplot';
import { clock } from '../clock.svelte';
import { formatNumber } from '../format';
import { timeLabels } from './axis';
import type { Span } from './spans';

/** A horizontal line with a label. */
export interface LimitLine {
  value: number;
  label: string;
  kind: 'alarm' | 'warning' | 'threshold';
}

/** What a chart paints; the component updates it before every draw. */
export interface PaintState {
  limitLines: readonly LimitLine[];
  spans: readonly Span[];
  places: number;
  colours: Colours;
  /** The data is not current. */
  dim: boolean;
  /** The view is live: the newest value gets a dot. */
  live: boolean;
}

export interface Colours {
  ink: string;
  trace: string;
  /** The colour of the band from the lowest to the highest value. */
  band: string;
  line: string;
  panel: string;
  anomaly: string;
  alarm: string;
  warning: string;
  font: string;
  /** In CSS pixels. */
  fontPx: number;
}

export function readColours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(name).trim();
  return {
    ink: token('--ink-2'), trace: token('--trace'), band: token('--band'), line: token('--line'), panel: token('--panel'),
    anomaly: token('--anomaly-fill'), alarm: token('--anomaly'), warning: token('--warning'),
    font: getComputedStyle(document.body).fontFamily,
    fontPx: parseFloat(style.fontSize) * 0.75,
  };
}

/**
 * Returns the options for one line over time. `state` is called at every draw. With `band` the data holds the upper and the lower
 * edge of the band before the line: later series are painted above earlier ones.
 */
export function chartOptions(width: number, height: number, band: boolean, state: () => PaintState, onDrawn: () => void): uPlot.Options {
  const ink = () => state().colours.ink;
  const { font, fontPx } = state().colours;
  const axis = { stroke: ink, font: `${fontPx}px ${font}`, ticks: { show: false }, gap: 6 };
  const grid = { stroke: () => state().colours.line, width: 1 };
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
      { ...axis, size: fontPx * 4.4, space: fontPx * 1.9, grid, values: (_, splits, __, ___, step) => splits.map((v) => formatNumber(v, tickPlaces(step, state().places))) },
    ],
    series: [
      {},
      ...(band ? [EDGE, EDGE] : []),
      { stroke: () => state().colours.trace, width: 1.25, points: { show: hasDots, size: 4 } },
    ],
    bands: band ? [{ series: [1, 2], fill: () => state().colours.band }] : [],
    hooks: {
      drawAxes: [(u) => paintSpans(u, state()), (u) => paintLimitLines(u, state())],
      draw: [(u) => paintNewest(u, state()), onDrawn],
    },
  };
}

/**
 * Whether each value gets a dot: yes if there are few values, or if they are so sparse that no line joins most of them. A channel
 * that is reported only when it changes is that sparse.
 */
function hasDots(u: uPlot, series: number, from: number, to: number): boolean {
  const rows = to - from;
  if (rows < 24) return true;
  let values = 0;
  for (let row = from; row <= to; row++) if (u.data[series][row] != null) values++;
  return 4 * values < rows;
}

/** The edge of a band; has no visible line. */
const EDGE: uPlot.Series = { class: 'edge', width: 0, points: { show: false } };

/** The decimals that distinguish two ticks; at most those of the channel's resolution. */
function tickPlaces(step: number, maxPlaces: number): number {
  for (let places = 0; places < maxPlaces; places++) if (Math.abs(step * 10 ** places - Math.round(step * 10 ** places)) < 1e-6) return places;
  return maxPlaces;
}

/** Paints anomalous spans: a tint, a bar along the top, and a triangle where each begins. */
function paintSpans(u: uPlot, { spans, colours }: PaintState): void {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top - 12 * ratio, bbox.width, bbox.height + 12 * ratio);
  ctx.clip();
  ctx.fillStyle = colours.anomaly;
  let lastTriangleX = -Infinity;
  for (const span of spans) {
    const left = u.valToPos(span.from, 'x', true);
    const width = Math.max(u.valToPos(span.to, 'x', true) - left, 2 * ratio);
    ctx.globalAlpha = 0.12;
    ctx.fillRect(left, bbox.top, width, bbox.height);
    ctx.globalAlpha = 1;
    ctx.fillRect(left, bbox.top - 2 * ratio, width, 2 * ratio);
    const x = Math.max(left, bbox.left);
    if (x - lastTriangleX < 12 * ratio) continue;
    lastTriangleX = x;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top - 2 * ratio);
    ctx.lineTo(x + 8 * ratio, bbox.top - 2 * ratio);
    ctx.lineTo(x + 4 * ratio, bbox.top - 9 * ratio);
    ctx.fill();
  }
  ctx.restore();
}

/** Paints limits and thresholds: a line with its label; a line beyond the scale has only its label, at the edge. */
function paintLimitLines(u: uPlot, { limitLines, places, colours }: PaintState): void {
  const { ctx, bbox } = u;
  const { min, max } = u.scales.y;
  if (min == null || max == null) return;
  const ratio = devicePixelRatio;
  const size = colours.fontPx * 0.95 * ratio;
  ctx.save();
  ctx.font = `${size}px ${colours.font}`;
  let [above, below] = [0, 0];
  for (const limitLine of limitLines) {
    const colour = limitLine.kind === 'alarm' ? colours.alarm : limitLine.kind === 'warning' ? colours.warning : colours.ink;
    const text = `${limitLine.label} ${formatNumber(limitLine.value, places)}`;
    const inside = limitLine.value >= min && limitLine.value <= max;
    let y: number;
    if (inside) {
      const lineY = Math.round(u.valToPos(limitLine.value, 'y', true));
      ctx.strokeStyle = colour;
      ctx.lineWidth = ratio;
      ctx.setLineDash(limitLine.kind === 'alarm' ? [] : [5 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, lineY);
      ctx.lineTo(bbox.left + bbox.width, lineY);
      ctx.stroke();
      y = lineY - bbox.top > size * 1.4 ? lineY - 4 * ratio : lineY + size * 1.05;
    } else if (limitLine.kind === 'alarm') {
      // The label of the warning limit is enough.
      continue;
    } else if (limitLine.value > max) {
      y = bbox.top + size * (1 + 1.3 * above++);
    } else {
      y = bbox.top + bbox.height - size * (0.4 + 1.3 * below++);
    }
    const label = inside ? text : `${text} ${limitLine.value > max ? '↑' : '↓'}`;
    // Alarm labels are on the right, warning labels on the left: the lines may be close to each other.
    ctx.textAlign = limitLine.kind === 'alarm' ? 'right' : 'left';
    const x = limitLine.kind === 'alarm' ? bbox.left + bbox.width - 3 * ratio : bbox.left + 3 * ratio;
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

function paintNewest(u: uPlot, { live, dim, colours }: PaintState): void {
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
