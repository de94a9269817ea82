// A real pump: its values appear, and the page notices when the node is killed and when it is restarted.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeViolations, launchBrowser, Node, openPage, screenshot, waitUntilLive } from './support.js';

let node, chrome;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

const sensor = (page, channel) => page.locator(`[data-channel="${channel}"] .value`);

test('a node without pumps shows how to post, and then shows the first pump', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, node.url);
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

test('a posted value appears on the pump page', { timeout: 240_000 }, async () => {
  await node.post({ pump_id: 'e2e-1', Bearing_Temperature_C: 61.5, Vibration_mm_s: 2.1 });
  const page = await openPage(chrome, `${node.url}/pumps/e2e-1`);
  await sensor(page, 'Bearing_Temperature_C').getByText('61.5').waitFor();
  await waitUntilLive(page);
  await node.post({ pump_id: 'e2e-1', Bearing_Temperature_C: 88.8, Vibration_mm_s: 500 });
  await sensor(page, 'Bearing_Temperature_C').getByText('88.8').waitFor();
  await page.getByText('Above warning limit 82.0').waitFor();
  await page.getByText('Not plausible').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('an unknown pump has a page that says so', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, `${node.url}/pumps/nobody`);
  await page.getByRole('heading', { name: 'nobody is not known' }).waitFor();
  await page.getByRole('link', { name: 'All pumps' }).last().click();
  await page.locator('[data-pump]').first().waitFor();
  await page.context().close();
});

test('a killed node is noticed, and so is its restart, without gaps or duplicate values', { timeout: 240_000 }, async () => {
  await node.post({ pump_id: 'e2e-2', Bearing_Temperature_C: 61.1 });
  const [fleet, pump] = [await openPage(chrome, node.url), await openPage(chrome, `${node.url}/pumps/e2e-2`)];
  await sensor(pump, 'Bearing_Temperature_C').getByText('61.1').waitFor();
  await fleet.locator('[data-pump="e2e-2"]').waitFor();
  for (const page of [fleet, pump]) await waitUntilLive(page);

  await node.kill();
  for (const page of [fleet, pump]) await page.getByText('Connection lost').waitFor({ timeout: 10_000 });
  await fleet.locator('.card.old').first().waitFor();
  await pump.locator('.panel.stale').first().waitFor();
  await pump.locator('[data-channel="Bearing_Temperature_C"] .age').getByText(/\d+ s ago/).waitFor();
  await screenshot(fleet, 'fleet-lost');
  await screenshot(pump, 'pump-lost');
  for (const page of [fleet, pump]) assert.deepEqual(await axeViolations(page), []);

  await node.restart();
  // Posted before the browser has reconnected: these values have to come from history.
  for (const value of [63.1, 63.2]) await node.post({ pump_id: 'e2e-2', Bearing_Temperature_C: value });
  for (const page of [fleet, pump]) await page.getByText('Connection lost').waitFor({ state: 'detached', timeout: 30_000 });
  await node.post({ pump_id: 'e2e-2', Bearing_Temperature_C: 62.2 });
  await sensor(pump, 'Bearing_Temperature_C').getByText('62.2').waitFor();
  await pump.locator('[data-channel="Bearing_Temperature_C"] .age').getByText('just now').waitFor();
  await pump.waitForFunction(() => !document.querySelector('.panel.stale'));
  await fleet.locator('[data-pump="e2e-2"]:not(.old)').waitFor();
  const expected = ['62.2', '63.2', '63.1', '61.1', '61.1'];
  let values = [];
  for (const end = Date.now() + 20_000; Date.now() < end && values.join() !== expected.join(); ) {
    values = await newestFirst(pump, 'Bearing temperature', 5);
  }
  assert.deepEqual(values, expected);
  for (const page of [fleet, pump]) {
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
});

/** Reads a chart's values with the arrow keys, the newest first; repeats the oldest if there is no older one. */
async function newestFirst(page, label, count) {
  const chart = page.getByRole('slider', { name: `${label} over time` });
  await chart.focus();
  const values = [];
  for (let i = 0; i < count; i++) {
    await page.keyboard.press('ArrowLeft');
    values.push(/^[\d.]+/.exec(await chart.getAttribute('aria-valuetext'))[0]);
  }
  return values;
}

test('eight tabs of one browser are all live', { timeout: 240_000 }, async () => {
  const pumps = Array.from({ length: 6 }, (_, n) => `tab-${n}`);
  for (const pump_id of pumps) await node.post({ pump_id, Bearing_Temperature_C: 60.1 });
  const context = await chrome.newContext();
  const tabs = await Promise.all(['/', '/', ...pumps.map((pump) => `/pumps/${pump}`)].map(async (path) => {
    const page = await context.newPage();
    await page.goto(node.url + path);
    return page;
  }));
  for (const page of tabs) await waitUntilLive(page);
  for (const pump_id of pumps) await node.post({ pump_id, Bearing_Temperature_C: 71.7 });
  for (const page of tabs.slice(2)) await sensor(page, 'Bearing_Temperature_C').getByText('71.7').waitFor();
  for (const page of tabs.slice(0, 2)) await page.locator(`[data-pump="${pumps[5]}"]`).waitFor();
  // A closed tab frees its stream for another one.
  await tabs[2].close();
  await node.post({ pump_id: pumps[5], Bearing_Temperature_C: 72.7 });
  await sensor(tabs[7], 'Bearing_Temperature_C').getByText('72.7').waitFor();
  await context.close();
});
