// Measures the dashboard with a real node and prints a table in Markdown: the time from a post to the drawn value, the size of a first
// visit, long tasks, and the heap over minutes. VOLUTE_BIN names the node's program; BENCH_HEAP_S sets the duration of the last one.

import { sizes } from '../scripts/size.js';
import { launchBrowser, Node, openPage, waitUntil, waitUntilLive } from '../e2e/support.js';

const SAMPLES = 200;
const WARM_UP_MS = 15_000;
const STEADY_MS = 60_000;
const HEAP_DURATION_S = Number(process.env.BENCH_HEAP_S ?? 360);
const HEAP_INTERVAL_S = 15;
const CHANNEL = 'Bearing_Temperature_C';

const now = () => performance.timeOrigin + performance.now();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const rows = [];
const addRow = (what, value) => rows.push(`| ${what} | ${value} |`);

const node = await Node.start(['--demo']);
const chrome = await launchBrowser('--js-flags=--expose-gc', '--enable-precise-memory-info');
try {
  measureBundle();
  await measurePostToPixel();
  await measureLongTasks('fleet page', '/');
  await measureLongTasks('pump page', `/pumps/${(await node.get('/api/pumps')).items[0].pump_id}`);
  await measureHeap();
} finally {
  await chrome.close();
  await node.stop();
}
console.log(['| measured | result |', '| --- | --- |', ...rows].join('\n'));

function measureBundle() {
  const { initial, onDemand } = sizes();
  addRow('JavaScript at the first visit, gzip', `${initial.js.toFixed(1)} kB (pump page: ${onDemand.js.toFixed(1)} kB more)`);
  addRow('CSS at the first visit, gzip', `${initial.css.toFixed(1)} kB (pump page: ${onDemand.css.toFixed(1)} kB more)`);
}

/** The time from just before a post until the chart has drawn its value. */
async function measurePostToPixel() {
  await node.post({ pump_id: 'bench', [CHANNEL]: 50 });
  const page = await openPage(chrome, 'about:blank', { width: 1440, height: 2200 });
  await page.addInitScript((channel) => {
    window.drawnAt = new Map();
    window.__volute = {
      onDraw: ({ chart, value }) => {
        if (chart === channel && !window.drawnAt.has(value)) window.drawnAt.set(value, performance.timeOrigin + performance.now());
      },
    };
  }, CHANNEL);
  await page.goto(`${node.url}/pumps/bench`);
  await page.waitForFunction(() => window.drawnAt.has(50));
  const posted = [];
  for (let i = 1; i <= SAMPLES; i++) {
    const value = Math.round(50_000 + i * 10) / 1000;
    posted.push([value, now()]);
    await node.post({ pump_id: 'bench', [CHANNEL]: value });
    await page.waitForFunction((value) => window.drawnAt.has(value), value, { polling: 50 });
    // A random pause, so that posts fall anywhere within the node's frames of 100 ms.
    await sleep(50 + Math.random() * 200);
  }
  const drawn = new Map(await page.evaluate(() => [...window.drawnAt]));
  const ms = posted.map(([value, at]) => drawn.get(value) - at).sort((a, b) => a - b);
  const quantile = (q) => ms[Math.min(ms.length - 1, Math.floor(q * ms.length))].toFixed(0);
  addRow(`Post to pixel, ${SAMPLES} samples`, `p50 ${quantile(0.5)} ms, p95 ${quantile(0.95)} ms, max ${quantile(1)} ms`);
  await page.context().close();
}

async function measureLongTasks(name, path) {
  const page = await openPage(chrome, node.url + path);
  await waitUntilLive(page);
  await sleep(WARM_UP_MS);
  await page.evaluate(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
  });
  await sleep(STEADY_MS);
  const tasks = await page.evaluate(() => window.longTasks);
  const worst = tasks.length > 0 ? `, the longest ${Math.max(...tasks).toFixed(0)} ms` : '';
  addRow(`Tasks over 50 ms in ${STEADY_MS / 1000} s, ${name}`, `${tasks.length}${worst}`);
  await page.context().close();
}

/** The heap after a forced collection, while a pump posts ten readings a second. */
async function measureHeap() {
  const page = await openPage(chrome, 'about:blank');
  await fillHistory('bench-heap');
  await page.goto(`${node.url}/pumps/bench-heap`);
  await waitUntilLive(page);
  const devtools = await page.context().newCDPSession(page);
  let posts = 0;
  const posting = setInterval(() => {
    node.post({ pump_id: 'bench-heap', ...reading() }).then(() => posts++, () => {});
  }, 100);
  try {
    await waitUntil('the pump posts', () => posts > 50);
    const points = [];
    for (let second = 0; second <= HEAP_DURATION_S; second += HEAP_INTERVAL_S) {
      await devtools.send('HeapProfiler.collectGarbage');
      const { usedSize } = await devtools.send('Runtime.getHeapUsage');
      points.push([second / 60, usedSize / 1e6]);
      if (second < HEAP_DURATION_S) await sleep(HEAP_INTERVAL_S * 1000);
    }
    const perSecond = (posts / HEAP_DURATION_S).toFixed(1);
    addRow(
      `Heap over ${HEAP_DURATION_S / 60} min at ${perSecond} readings/s`,
      `${points[0][1].toFixed(1)} MB to ${points.at(-1)[1].toFixed(1)} MB, ${(slope(points) * 1000).toFixed(0)} kB/min`,
    );
  } finally {
    clearInterval(posting);
  }
  await page.context().close();
}

/** Posts 10 readings per second of the last 11 minutes: more than the charts show, so that they are full from the start. */
async function fillHistory(pump) {
  const first = Date.now() - 11 * 60_000;
  for (let from = first; from < Date.now() - 2_000; from += 10_000) {
    const times = Array.from({ length: 100 }, (_, i) => from + i * 100);
    await node.post(times.map((timestamp) => ({ pump_id: pump, timestamp, ...reading() })));
  }
}

function reading() {
  const noise = () => Math.random();
  return { Motor_RPM: 2950 + noise(), [CHANNEL]: 60 + noise(), Vibration_mm_s: 2 + noise(), Flow_Rate_L_min: 850 + noise() };
}

/** The slope of a line through the points, by least squares. */
function slope(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const covariance = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  const variance = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  return covariance / variance;
}
