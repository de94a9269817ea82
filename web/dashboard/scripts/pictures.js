// Takes the pictures of docs/alarms.md again: a real node with posted readings, three users, and a real Chromium.
//
//   npm run build && VOLUTE_BIN=../../target/debug/volute npm run pictures
//
// Each picture is at most MAX_KB: the documentation is read over slow lines.

import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchBrowser, Node, openAs, waitUntil } from '../e2e/support.js';

const MAX_KB = 150;
const SIZE = { width: 1100, height: 760 };
const folder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'docs', 'images');

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A reading of all channels. */
const reading = (pump_id, at, more) => ({
  pump_id, timestamp: at, Motor_RPM: 1480, Bearing_Temperature_C: 64, Oil_Pressure_bar: 4.1, Vibration_mm_s: 1.9, Flow_Rate_L_min: 130,
  Suction_Pressure_bar: 1.7, Discharge_Pressure_bar: 6, Motor_Current_A: 17.5, Casing_Temperature_C: 45, Ambient_Temperature_C: 27, ...more,
});

/** A day of readings, one a minute, in which the bearing was warm three times. */
function yesterday(now) {
  const warm = [[20, 24], [11, 9], [5, 31]];
  return Array.from({ length: 24 * 60 - 5 }, (_, minute) => {
    const ago = 24 * HOUR - minute * MINUTE;
    const isWarm = warm.some(([hours, minutes]) => ago < hours * HOUR && ago > hours * HOUR - minutes * MINUTE);
    return reading('P-7', now - ago, { Bearing_Temperature_C: (isWarm ? 82 : 66) + 2 * Math.sin(minute / 9) });
  });
}

/** The last 40 s, from one second of them to another: the bearing of P-7 is hot, the oil pressure of P-2 is low. */
const present = (now, from, to) =>
  Array.from({ length: to - from }, (_, index) => {
    const second = from + index;
    const at = now - (40 - second) * 1000;
    const hot = second < 4 ? 90 : 96 + second / 12;
    return [reading('P-1', at, {}), reading('P-2', at, { Oil_Pressure_bar: 1.2 - second / 200 }), reading('P-7', at, { Bearing_Temperature_C: hot })];
  }).flat();

/** Sends a request with the session of a page's user. */
async function send(page, method, path, body) {
  const [status, text] = await page.evaluate(
    async ([method, path, body]) => {
      const response = await fetch(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      return [response.status, await response.text()];
    },
    [method, path, body],
  );
  if (status !== 200) throw new Error(`${method} ${path} returned ${status}: ${text}`);
  return JSON.parse(text);
}

/** Saves a picture of a page from its top, `height` px high at most. */
async function picture(page, name, height = SIZE.height) {
  await page.setViewportSize({ width: SIZE.width, height: 600 });
  const whole = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ width: SIZE.width, height: Math.min(height, whole) });
  await page.evaluate(() => document.activeElement?.blur());
  checkSize(name, await page.screenshot({ path: join(folder, `${name}.png`) }));
}

function checkSize(name, { length }) {
  const kb = length / 1000;
  console.log(`${name}.png: ${kb.toFixed(0)} kB`);
  if (kb > MAX_KB) throw new Error(`${name}.png has ${kb.toFixed(0)} kB; allowed: at most ${MAX_KB} kB`);
}

async function take(node, chrome) {
  const now = Date.now();
  await node.post([...yesterday(now), reading('P-1', now - MINUTE, {}), reading('P-2', now - MINUTE, {}), reading('P-7', now - MINUTE, {})]);
  await node.post(present(now, 0, 2));
  const [event] = await waitUntil('the event is opened', async () => {
    const { items } = await node.get('/api/maintenance-events?pump_id=P-7');
    return items.length > 0 && items;
  });
  await node.post(present(now, 2, 36));
  for (const [pump, title] of [['P-7', 'far too high'], ['P-2', 'low']]) {
    await waitUntil(`the alarm of ${pump} stands`, async () => (await node.get(`/api/alarms?pump_id=${pump}`)).items.some((alarm) => alarm.title.includes(title) && alarm.state === 'unacknowledged'));
  }
  const { items: alarms } = await node.get('/api/alarms');
  const hot = alarms.find(({ pump_id, title }) => pump_id === 'P-7' && title.includes('far too high'));

  const asha = await openAs(chrome, node, 'asha', 'engineer', '/alarms', SIZE);
  for (const [pump, name] of [['P-1', 'Feed water 1'], ['P-2', 'Feed water 2'], ['P-7', 'Cooling tower']]) await send(asha, 'PATCH', `/api/pumps/${pump}`, { name });
  const oil = alarms.filter(({ pump_id, state }) => pump_id === 'P-2' && state === 'unacknowledged');
  await send(asha, 'POST', '/api/alarms/acknowledge', { alarms: oil.map(({ pump_id, alarm, occurrence }) => ({ pump_id, alarm, occurrence })), comment: 'Topping up the oil' });
  await asha.reload();
  await asha.locator('[data-state="acknowledged"] .pump', { hasText: 'Feed water 2' }).waitFor();
  await picture(asha, 'alarms-list');

  await send(asha, 'POST', '/api/alarms/acknowledge', { alarms: [{ pump_id: 'P-7', alarm: hot.alarm, occurrence: hot.occurrence }], comment: 'On my way' });
  await asha.goto(`${node.url}/alarms/P-7/${hot.alarm}`);
  await asha.getByText('“On my way”').waitFor();
  await asha.getByText('Raised when').waitFor();
  await picture(asha, 'alarm', 1100);

  await asha.setViewportSize({ width: SIZE.width, height: 1000 });
  await asha.goto(`${node.url}/pumps/P-7`);
  await asha.getByRole('button', { name: /^Show all/ }).click();
  await asha.locator('[data-rule="bearing-temperature-c-high"] button').first().click();
  await asha.getByLabel('Limit').fill('83');
  await asha.getByRole('button', { name: 'Try on history' }).click();
  await asha.getByText(/It would have raised/).waitFor();
  checkSize('rule', await asha.locator('dialog[open]').screenshot({ path: join(folder, 'rule.png') }));

  const path = `/events/${encodeURIComponent(event.id)}`;
  const api = `/api/maintenance-events/${encodeURIComponent(event.id)}`;
  const friday = new Date(now + 4 * 24 * HOUR);
  friday.setHours(8, 0, 0, 0);
  await send(asha, 'POST', `${api}/acknowledge`, { comment: 'Going there' });
  await send(asha, 'POST', `${api}/plan`, { on: friday.toISOString(), owner: 'ravi' });
  await send(asha, 'POST', `${api}/submit`, {});
  const meera = await openAs(chrome, node, 'meera', 'manager', path, SIZE);
  await meera.locator('[data-action="approve"]').waitFor();
  await picture(meera, 'event', 1000);
  await send(meera, 'POST', `${api}/approve`, { comment: 'Fine' });

  const ravi = await openAs(chrome, node, 'ravi', 'engineer', '/handover', SIZE);
  await ravi.getByText('Approve event').waitFor();
  await picture(ravi, 'handover', 1040);
  for (const page of [asha, meera, ravi]) if (page.errors.length > 0) throw new Error(page.errors.join('; '));
}

mkdirSync(folder, { recursive: true });
const node = await Node.start();
const chrome = await launchBrowser();
try {
  await take(node, chrome);
} finally {
  await chrome.close();
  await node.stop();
}
