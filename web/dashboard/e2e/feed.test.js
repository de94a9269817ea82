// How a pump posts: advice with a button that names the consequences, settings of one pump, a wrong clock, runs that are too short, and a
// pump that is stale by its own interval. The last test moves the node's clock, and needs a build with failpoints.

import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot, waitUntil, waitUntilLive } from './support.js';

const VALUES = {
  Motor_RPM: 1480, Bearing_Temperature_C: 52.5, Oil_Pressure_bar: 4.1, Vibration_mm_s: 2.3, Flow_Rate_L_min: 1200,
  Suction_Pressure_bar: 1.2, Discharge_Pressure_bar: 5.8, Motor_Current_A: 42, Casing_Temperature_C: 45, Ambient_Temperature_C: 28,
};
const WIDTHS = [1440, 390];

let node, chrome;

/** `count` readings up to `end`, `intervalMs` apart; `override` returns the fields that the nth changes. */
function items(pump, count, intervalMs, override = () => ({}), end = Date.now()) {
  return Array.from({ length: count }, (_, n) => {
    const timestamp = end - (count - 1 - n) * intervalMs;
    return { pump_id: pump, timestamp, ...VALUES, Vibration_mm_s: 2.3 + Math.sin(n), ...override(n) };
  });
}

async function putSettings(pump, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${node.url}/api/pumps/${pump}/settings`, { method: 'PUT', headers, body: JSON.stringify(body) });
  assert.equal(response.status, 200, await response.text());
}

const feed = async (pump) => (await node.get(`/api/live-data?pump_id=${pump}`)).feed;

/** Opens a pump's page, waits for its content, saves a screenshot, and checks that the page fits and is accessible. */
async function checkPage(pump, wait) {
  for (const width of WIDTHS) {
    const page = await openPage(chrome, `${node.url}/pumps/${pump}`, { width });
    await waitUntilLive(page);
    await wait(page);
    await screenshot(page, `feed-${pump}-${width}`);
    assert.deepEqual(await axeViolations(page), []);
    assert.ok((await horizontalOverflow(page)) <= 0);
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
}

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
  for (let from = 0; from < 3; from++) {
    // Three runs of three minutes, an hour apart; the pump stands in between.
    const end = Date.now() - (2 - from) * 3_600_000;
    await node.post(items('short-runs', 200, 1000, (n) => (n >= 10 && n < 190 ? {} : { Motor_RPM: 0, Motor_Current_A: 0 }), end));
  }
  await node.post(items('sparse', 40, 10_000));
  await node.post(items('sparse-2d', 30, 172_800_000));
  await node.post(items('own', 40, 60_000));
  await node.post(items('clock', 20, 1000));
  await assert.rejects(node.post([{ pump_id: 'clock', timestamp: Date.now() + 540_000, ...VALUES }]), /9 min ahead/);
  await node.post(items('exception', 300, 1000, (n) => (n % 60 === 0 ? {} : { Vibration_mm_s: undefined })));
  await node.post(items('late', 20, 1000));
  await node.post(items('late', 3, 1000, () => ({ Vibration_mm_s: 4 }), Date.now() - 30_500));
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

test('the fleet shows advice, and which pumps have their own interval', { timeout: 240_000 }, async () => {
  await putSettings('own', { interval_ms: 60_000 });
  for (const width of WIDTHS) {
    const page = await openPage(chrome, node.url, { width });
    await page.locator('[data-pump="sparse"]').getByText(/^It reads every 10 s/).waitFor();
    await page.locator('[data-pump="own"]').getByText('interval 1 min').waitFor();
    await screenshot(page, `feed-fleet-${width}`);
    assert.deepEqual(await axeViolations(page), []);
    await page.context().close();
  }
});

test('a button follows the advice after a dialog names the consequences', { timeout: 240_000 }, async () => {
  await waitUntil('advice', async () => (await feed('sparse'))?.advised_interval_ms === 10_000);
  await checkPage('sparse', (page) => page.getByRole('button', { name: 'Set its interval to 10 s…' }).waitFor());
  const page = await openPage(chrome, `${node.url}/pumps/sparse`);
  await page.getByText('It reads every 10 s').waitFor();
  await page.getByRole('button', { name: 'Set its interval to 10 s…' }).click();
  await page.getByText('A baseline holds for one interval only').waitFor();
  await screenshot(page, 'feed-sparse-dialog');
  assert.deepEqual(await axeViolations(page), []);

  // A failed request shows its reason, and the dialog stays open.
  await page.route('**/settings', (route) =>
    route.request().method() === 'PUT'
      ? route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"title":"Unavailable","detail":"the database does not answer"}' })
      : route.continue(),
  );
  await page.getByRole('button', { name: 'Set its interval to 10 s', exact: true }).click();
  await page.getByText('The database does not answer.').waitFor();
  await screenshot(page, 'feed-sparse-failed');
  await page.unroute('**/settings');

  await page.getByRole('button', { name: 'Set its interval to 10 s', exact: true }).click();
  await page.getByRole('button', { name: 'Use its profile’s interval…' }).waitFor();
  assert.equal((await node.get('/api/pumps/sparse/settings')).interval_ms, 10_000);
  await page.getByText('It reads every 10 s').waitFor({ state: 'detached' });
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('an own interval and held values are shown', { timeout: 240_000 }, async () => {
  await putSettings('exception', { channel_hold_s: { Vibration_mm_s: 300 } });
  await node.post(items('exception', 30, 1000, () => ({ Vibration_mm_s: undefined })).slice(1));
  await waitUntil('its own', async () => (await feed('own'))?.own_interval);
  await checkPage('own', (page) => page.getByText('its own: as asked').waitFor());
  await checkPage('exception', (page) => page.getByText('Last value held').first().waitFor());
});

test('a wrong clock, runs that are too short, late readings, and an interval that is too long are shown', { timeout: 240_000 }, async () => {
  // Within a minute of its correct readings only some readings count as ahead; later its clock does.
  await assert.rejects(node.post([{ pump_id: 'clock', timestamp: Date.now() + 540_000, ...VALUES }]), /9 min ahead/);
  await checkPage('clock', (page) => page.getByText(/(its clock is|of its readings came) 9 min ahead/).first().waitFor());
  await checkPage('short-runs', (page) => page.getByText(/runs were all shorter than it takes to settle/).first().waitFor());
  await checkPage('late', (page) => page.getByText('Too late to be scored', { exact: true }).waitFor());
  await checkPage('sparse-2d', (page) => page.getByText(/an interval is at most 24 h/).first().waitFor());
});

test('a pump is stale by its own interval', { timeout: 240_000, skip: process.env.VOLUTE_FAILPOINTS ? false : 'needs a build with failpoints' }, async () => {
  // It is stale after three of its intervals of 1 min: not after 2 min, but after 4 min.
  await node.post(items('own', 1, 1));
  await moveClock(120_000);
  await waitUntil('not stale', async () => (await node.get('/api/live-data?pump_id=own')).status !== 'STALE');
  await moveClock(240_000);
  await checkPage('own', (page) => page.locator('.panel.stale').first().waitFor());
  const page = await openPage(chrome, node.url);
  await page.getByText('Silent for more than 3 min').first().waitFor();
  await page.context().close();
});

function moveClock(ms) {
  return new Promise((resolve, reject) => {
    const socket = createConnection(join(node.dir, 'control.sock'), () => {
      socket.write(`${JSON.stringify({ failpoint: { point: 'clock', action: `return(${ms})` } })}\n`);
    });
    socket.once('data', resolve);
    socket.once('error', reject);
  });
}
