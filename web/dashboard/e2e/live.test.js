// A real pump: what it posts appears, and a node that dies and comes back is noticed both times.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browser, isLive, Node, open, screenshot, violations } from './support.js';

let node, chrome;

before(async () => {
  node = await Node.start();
  chrome = await browser();
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

const sensor = (page, channel) => page.locator(`[data-channel="${channel}"] .value`);

test('a node without pumps says how to post, and shows the first one that does', { timeout: 60_000 }, async () => {
  const page = await open(chrome, node.url);
  await page.getByText('Post a first reading').waitFor();
  const command = await page.locator('pre').innerText();
  assert.ok(command.includes(`${node.url}/api/ingest`), command);
  await screenshot(page, 'fleet-empty');
  const body = JSON.parse(/-d '(.*)'/s.exec(command)[1]);
  assert.equal((await node.post(body)).accepted, 1);
  await page.locator(`[data-pump="${body.pump_id}"]`).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a posted value appears on the pump page', { timeout: 60_000 }, async () => {
  await node.post({ pump_id: 'e2e-1', Bearing_Temperature_C: 61.5, Vibration_mm_s: 2.1 });
  const page = await open(chrome, `${node.url}/pumps/e2e-1`);
  await sensor(page, 'Bearing_Temperature_C').getByText('61.5').waitFor();
  await isLive(page);
  await node.post({ pump_id: 'e2e-1', Bearing_Temperature_C: 88.8, Vibration_mm_s: 500 });
  await sensor(page, 'Bearing_Temperature_C').getByText('88.8').waitFor();
  await page.getByText('Above warning limit 82.0').waitFor();
  await page.getByText('Not plausible').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a pump that was never heard of is said to be unknown', { timeout: 60_000 }, async () => {
  const page = await open(chrome, `${node.url}/pumps/nobody`);
  await page.getByRole('heading', { name: 'nobody is not known' }).waitFor();
  await page.getByRole('link', { name: 'All pumps' }).last().click();
  await page.locator('[data-pump]').first().waitFor();
  await page.context().close();
});

test('a node that dies is noticed, and so is its return, without a hole and without doubles', { timeout: 120_000 }, async () => {
  await node.post({ pump_id: 'e2e-2', Bearing_Temperature_C: 61.1 });
  const [fleet, pump] = [await open(chrome, node.url), await open(chrome, `${node.url}/pumps/e2e-2`)];
  await sensor(pump, 'Bearing_Temperature_C').getByText('61.1').waitFor();
  await fleet.locator('[data-pump="e2e-2"]').waitFor();
  for (const page of [fleet, pump]) await isLive(page);

  await node.kill();
  for (const page of [fleet, pump]) await page.getByText('Connection lost').waitFor({ timeout: 10_000 });
  await fleet.locator('.card.old').first().waitFor();
  await pump.locator('.panel.stale').first().waitFor();
  await pump.locator('[data-channel="Bearing_Temperature_C"] .age').getByText(/\d+ s ago/).waitFor();
  await screenshot(fleet, 'fleet-lost');
  await screenshot(pump, 'pump-lost');
  for (const page of [fleet, pump]) assert.deepEqual(await violations(page), []);

  await node.restart();
  // Before the browser is back: what it missed has to come from history.
  for (const value of [63.1, 63.2]) await node.post({ pump_id: 'e2e-2', Bearing_Temperature_C: value });
  for (const page of [fleet, pump]) await page.getByText('Connection lost').waitFor({ state: 'detached', timeout: 30_000 });
  await node.post({ pump_id: 'e2e-2', Bearing_Temperature_C: 62.2 });
  await sensor(pump, 'Bearing_Temperature_C').getByText('62.2').waitFor();
  await pump.locator('[data-channel="Bearing_Temperature_C"] .age').getByText('just now').waitFor();
  await pump.waitForFunction(() => !document.querySelector('.panel.stale'));
  await fleet.locator('[data-pump="e2e-2"]:not(.old)').waitFor();
  const whole = ['62.2', '63.2', '63.1', '61.1', '61.1'];
  let values = [];
  for (const until = Date.now() + 20_000; Date.now() < until && values.join() !== whole.join(); ) {
    values = await backwards(pump, 'Bearing temperature', 5);
  }
  assert.deepEqual(values, whole);
  for (const page of [fleet, pump]) {
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
});

/** The newest values of a chart, as the arrow keys say them, the newest first; the oldest again where there is no older one. */
async function backwards(page, label, count) {
  const chart = page.getByRole('slider', { name: `${label} over time` });
  await chart.focus();
  const values = [];
  for (let i = 0; i < count; i++) {
    await page.keyboard.press('ArrowLeft');
    values.push(/^[\d.]+/.exec(await chart.getAttribute('aria-valuetext'))[0]);
  }
  return values;
}

test('eight windows of a browser are all live, whatever each of them shows', { timeout: 120_000 }, async () => {
  const pumps = Array.from({ length: 6 }, (_, n) => `window-${n}`);
  for (const pump_id of pumps) await node.post({ pump_id, Bearing_Temperature_C: 60.1 });
  const context = await chrome.newContext();
  const windows = await Promise.all(['/', '/', ...pumps.map((pump) => `/pumps/${pump}`)].map(async (path) => {
    const page = await context.newPage();
    await page.goto(node.url + path);
    return page;
  }));
  for (const page of windows) await isLive(page);
  for (const pump_id of pumps) await node.post({ pump_id, Bearing_Temperature_C: 71.7 });
  for (const page of windows.slice(2)) await sensor(page, 'Bearing_Temperature_C').getByText('71.7').waitFor();
  for (const page of windows.slice(0, 2)) await page.locator(`[data-pump="${pumps[5]}"]`).waitFor();
  // One that is closed makes room for another.
  await windows[2].close();
  await node.post({ pump_id: pumps[5], Bearing_Temperature_C: 72.7 });
  await sensor(windows[7], 'Bearing_Temperature_C').getByText('72.7').waitFor();
  await context.close();
});
