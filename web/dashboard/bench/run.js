// Measures the dashboard against a real node and prints a table in Markdown: from a post to the drawn value, what a first visit
// loads, long tasks, and the heap over minutes. VOLUTE_BIN names the node's program; BENCH_HEAP_S shortens the last one.

import { sizes } from '../scripts/size.js';
import { browser, isLive, Node, open, until } from '../e2e/support.js';

const SAMPLES = 200;
const WARM_UP_MS = 15_000;
const STEADY_MS = 60_000;
const HEAP_S = Number(process.env.BENCH_HEAP_S ?? 360);
const HEAP_EVERY_S = 15;
const CHANNEL = 'Bearing_Temperature_C';

const now = () => performance.timeOrigin + performance.now();
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const rows = [];
const say = (what, value) => rows.push(`| ${what} | ${value} |`);

const node = await Node.start(['--demo']);
const chrome = await browser('--js-flags=--expose-gc', '--enable-precise-memory-info');
try {
  bundle();
  await postToPixel();
  await longTasks('fleet page', '/');
  await longTasks('pump page', `/pumps/${(await node.get('/api/pumps')).items[0].pump_id}`);
  await heap();
} finally {
  await chrome.close();
  await node.stop();
}
console.log(['| measured | result |', '| --- | --- |', ...rows].join('\n'));

function bundle() {
  const { initial, onDemand } = sizes();
  say('JavaScript at the first visit, gzip', `${initial.js.toFixed(1)} kB (pump page: ${onDemand.js.toFixed(1)} kB more)`);
  say('CSS at the first visit, gzip', `${initial.css.toFixed(1)} kB (pump page: ${onDemand.css.toFixed(1)} kB more)`);
}

/** From just before a post until the chart has drawn its value. */
async function postToPixel() {
  await node.post({ pump_id: 'bench', [CHANNEL]: 50 });
  const page = await open(chrome, 'about:blank', { width: 1440, height: 2200 });
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
    await page.waitForFunction((wanted) => window.drawnAt.has(wanted), value, { polling: 50 });
    // So that posts fall anywhere in the node's frames.
    await pause(50 + Math.random() * 200);
  }
  const drawn = new Map(await page.evaluate(() => [...window.drawnAt]));
  const ms = posted.map(([value, at]) => drawn.get(value) - at).sort((a, b) => a - b);
  const quantile = (q) => ms[Math.min(ms.length - 1, Math.floor(q * ms.length))].toFixed(0);
  say(`Post to pixel, ${SAMPLES} samples`, `p50 ${quantile(0.5)} ms, p95 ${quantile(0.95)} ms, max ${quantile(1)} ms`);
  await page.context().close();
}

async function longTasks(name, path) {
  const page = await open(chrome, node.url + path);
  await isLive(page);
  await pause(WARM_UP_MS);
  await page.evaluate(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
  });
  await pause(STEADY_MS);
  const tasks = await page.evaluate(() => window.longTasks);
  const worst = tasks.length > 0 ? `, the longest ${Math.max(...tasks).toFixed(0)} ms` : '';
  say(`Tasks over 50 ms in ${STEADY_MS / 1000} s, ${name}`, `${tasks.length}${worst}`);
  await page.context().close();
}

/** The heap after a forced collection, while a pump posts ten readings a second. */
async function heap() {
  const page = await open(chrome, 'about:blank');
  await node.post({ pump_id: 'bench-heap', [CHANNEL]: 50 });
  await page.goto(`${node.url}/pumps/bench-heap`);
  await isLive(page);
  const devtools = await page.context().newCDPSession(page);
  let posts = 0;
  const posting = setInterval(() => {
    const noise = () => Math.random();
    const reading = { Motor_RPM: 2950 + noise(), [CHANNEL]: 60 + noise(), Vibration_mm_s: 2 + noise(), Flow_Rate_L_min: 850 + noise() };
    node.post({ pump_id: 'bench-heap', ...reading }).then(() => posts++, () => {});
  }, 100);
  try {
    await until('the pump posts', () => posts > 50);
    const points = [];
    for (let second = 0; second <= HEAP_S; second += HEAP_EVERY_S) {
      await devtools.send('HeapProfiler.collectGarbage');
      const { usedSize } = await devtools.send('Runtime.getHeapUsage');
      points.push([second / 60, usedSize / 1e6]);
      if (second < HEAP_S) await pause(HEAP_EVERY_S * 1000);
    }
    const perSecond = (posts / HEAP_S).toFixed(1);
    say(
      `Heap over ${HEAP_S / 60} min at ${perSecond} readings/s`,
      `${points[0][1].toFixed(1)} MB to ${points.at(-1)[1].toFixed(1)} MB, ${(slope(points) * 1000).toFixed(0)} kB/min`,
    );
  } finally {
    clearInterval(posting);
  }
  await page.context().close();
}

/** Least squares. */
function slope(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const over = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  const under = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  return over / under;
}
