// Stored data: a day of a pump is aggregated, an outage of the store is shown, and incomplete lists say so.

import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot, waitUntilLive } from './support.js';

const PUMP = 'e2e-day';
const HOUR_MS = 3_600_000;
const INTERVAL_MS = 10_000;
const CHANNEL = { name: 'Bearing_Temperature_C', label: 'Bearing temperature' };
const REASON = 'the database does not answer: disk error 5';

let node, chrome;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
  // A day with a pause of two hours and one short peak.
  const now = Date.now();
  for (let hour = 24; hour > 0; hour--) {
    if (hour === 9 || hour === 8) continue;
    const readings = Array.from({ length: HOUR_MS / INTERVAL_MS }, (_, i) => {
      const t = now - hour * HOUR_MS + i * INTERVAL_MS;
      const wave = Math.sin((t / HOUR_MS) * 0.7);
      return {
        pump_id: PUMP,
        timestamp: new Date(t).toISOString(),
        [CHANNEL.name]: hour === 15 && i === 100 ? 79 : 60 + 5 * wave + Math.sin(i * 7.3),
        Vibration_mm_s: 2.5 + 0.4 * wave + 0.3 * Math.cos(i * 3.1),
      };
    });
    assert.equal((await node.post(readings)).accepted, readings.length);
  }
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

/** Changes the node's responses to a path. */
const changeResponse = (path, change) => async (page) => {
  await page.route(
    (url) => url.pathname === path,
    async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: change(await response.json()) });
    },
  );
};

const storeState = (state, problems) => changeResponse('/api/store', (store) => ({ ...store, state, problems }));
const DEGRADED = `The database does not answer: disk error 5. Readings are kept in the journal; history is incomplete.`;

test('a day is aggregated, with its peak and its pause', { timeout: 240_000 }, async () => {
  const requests = [];
  const prepare = (page) => page.on('request', (request) => requests.push(new URL(request.url())));
  const page = await openPage(chrome, `${node.url}/pumps/${PUMP}`, { prepare });
  await waitUntilLive(page);
  await page.locator('.u-wrap').last().waitFor();
  const chart = page.getByRole('slider', { name: `${CHANNEL.label} over time` });
  await page.getByRole('button', { name: '24 h' }).click();
  await page.getByText(/Line: mean of \d+ min; band: lowest to highest/).first().waitFor();
  const overviewRequest = requests.findLast((url) => url.searchParams.has('points'));
  assert.equal(overviewRequest.pathname, '/api/sensor-history');
  assert.ok(Number(overviewRequest.searchParams.get('points')) <= 1000);
  assert.ok(Number(overviewRequest.searchParams.get('to')) - Number(overviewRequest.searchParams.get('from')) >= 24 * HOUR_MS);

  // The peak is a single reading: it is in the band; a mean alone would hide it.
  await page.waitForFunction((label) => {
    const text = document.querySelector(`[aria-label="${label} over time"]`)?.getAttribute('aria-valuetext');
    return /in view [\d.]+ to 79\.0 °C/.test(text ?? '');
  }, CHANNEL.label);
  await chart.focus();
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  assert.match(await chart.getAttribute('aria-valuetext'), /^mean [\d.]+, [\d.]+ to [\d.]+ °C of \d+ readings at /);
  await page.mouse.move(5, 5);
  await screenshot(page, 'pump-day');

  // A short range has single readings.
  for (let i = 0; i < 6; i++) await page.keyboard.press('+');
  await page.waitForFunction((label) => {
    const text = document.querySelector(`[aria-label="${label} over time"]`)?.getAttribute('aria-valuetext');
    return text?.includes('one reading at');
  }, CHANNEL.label);
  // The pump may be stale by now; then the page would show "Waiting for its next reading".
  await node.post({ pump_id: PUMP, [CHANNEL.name]: 60, Vibration_mm_s: 2.5 });
  await page.keyboard.press('Escape');
  await page.getByText('Following the newest').waitFor();
  await page.getByRole('button', { name: '10 min' }).click();
  await page.getByText(/band: lowest to highest/).first().waitFor({ state: 'detached' });
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

for (const range of ['7 d', '30 d', '1 y']) {
  test(`${range} can be shown`, { timeout: 240_000 }, async () => {
    const page = await openPage(chrome, `${node.url}/pumps/${PUMP}`);
    await waitUntilLive(page);
    await page.locator('.u-wrap').last().waitFor();
    await page.getByRole('button', { name: range }).click();
    await page.getByText(/Line: mean of .*; band: lowest to highest/).first().waitFor();
    assert.deepEqual(page.errors, []);
    await page.context().close();
  });
}

test('incomplete history says from which time on it is complete, and why', { timeout: 240_000 }, async () => {
  const since = new Date(Date.now() - HOUR_MS).toISOString();
  const prepare = async (page) => {
    for (const path of ['/api/sensor-history', '/api/maintenance-events', '/api/pumps']) {
      await changeResponse(path, (list) => ({ ...list, incomplete: { since, reason: REASON } }))(page);
    }
  };
  const page = await openPage(chrome, `${node.url}/pumps/${PUMP}`, { prepare });
  await page.getByText(/Complete from \d\d:\d\d:\d\d on\. Readings before that may be missing: the database does not answer/).waitFor();
  await page.getByText(/Events before that may be missing/).waitFor();
  await page.getByRole('button', { name: '24 h' }).click();
  await page.getByText(/band: lowest to highest/).first().waitFor();
  await page.getByText(/Readings before that may be missing/).waitFor();
  await page.goto(node.url);
  await page.getByText(/Pumps before that may be missing/).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('missing history is fetched again once the store reports no outage', { timeout: 240_000 }, async () => {
  let requests = 0;
  const prepare = changeResponse('/api/sensor-history', (list) => (requests++ === 0 ? { ...list, incomplete: { since: null, reason: REASON } } : list));
  const page = await openPage(chrome, `${node.url}/pumps/${PUMP}`, { prepare });
  await page.getByText(/Readings may be missing: the database does not answer/).waitFor();
  await page.locator('[data-incomplete]').first().waitFor({ state: 'detached' });
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a database that does not open is shown, and missing history follows once it opens', { timeout: 240_000 }, async () => {
  const failing = await Node.start();
  const [database, aside] = ['database', 'aside'].map((name) => join(failing.dir, name));
  try {
    await failing.post({ pump_id: 'e2e-out', [CHANNEL.name]: 61.1 });
    await failing.kill();
    renameSync(database, aside);
    writeFileSync(database, 'not a folder');
    await failing.restart();
    await failing.post({ pump_id: 'e2e-out', [CHANNEL.name]: 62.2 });
    const page = await openPage(chrome, `${failing.url}/pumps/e2e-out`);
    await page.locator('[data-outage="degraded"]').waitFor();
    await page.locator(`[data-channel="${CHANNEL.name}"] .value`).getByText('62.2').waitFor();
    await page.getByText(/Complete from .* Readings before that may be missing/).waitFor();
    rmSync(database);
    renameSync(aside, database);
    await page.locator('[data-outage]').waitFor({ state: 'detached', timeout: 120_000 });
    await page.locator('[data-incomplete]').first().waitFor({ state: 'detached', timeout: 30_000 });
    assert.deepEqual(page.errors, []);
    await page.context().close();
  } finally {
    await failing.stop();
  }
});

test('the fleet page shows the free disk space and its growth', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, node.url);
  await page.locator('[data-storage="free-space"]').getByText(/B of .*B free \(/).waitFor();
  assert.equal(await page.locator('[data-storage="growth"]').innerText(), 'Not known yet: measured for less than an hour');
  await page.getByRole('button', { name: 'Where these numbers come from: Storage' }).click();
  await page.getByText('GET /api/store').waitFor();
  // There is a notice only if the disk of this machine is nearly full.
  const { problems } = await (await fetch(`${node.url}/api/store`)).json();
  assert.equal(await page.locator('[data-outage]').count(), problems.length > 0 ? 1 : 0);
  await page.context().close();
});

for (const [state, problems, title] of [
  ['failed', ['The journal failed, and readings are refused until a restart: I/O error.', 'only 2 % of the disk is free'], 'Readings are refused'],
  ['degraded', [DEGRADED], 'History is incomplete'],
  ['ok', ['at the pace of the last day the disk is full in 12 days'], 'At the pace of the last day the disk is full in 12 days.'],
]) {
  for (const width of [390, 820, 1440, 2560]) {
    for (const colorScheme of width === 1440 || width === 390 ? ['light', 'dark'] : ['light']) {
      test(`the problems of a store that is ${state} are shown, ${width} px, ${colorScheme}`, { timeout: 240_000 }, async () => {
        const page = await openPage(chrome, node.url, { width, colorScheme, prepare: storeState(state, problems) });
        await page.locator('[data-pump]').first().waitFor();
        const banner = page.locator('[role="status"] [data-outage]');
        await banner.getByText(title, { exact: true }).waitFor();
        await page.locator('[data-storage="free-space"]').waitFor();
        assert.ok((await horizontalOverflow(page)) <= 0, `${await horizontalOverflow(page)} px too wide`);
        await screenshot(page, `store-${state}-${width}-${colorScheme}`);
        assert.deepEqual(await axeViolations(page), []);
        assert.deepEqual(page.errors, []);
        await page.context().close();
      });
    }
  }
}

test('two banners are stacked: the connection is lost, and the store was degraded before', { timeout: 240_000 }, async () => {
  const prepare = async (page) => {
    await storeState('degraded', [DEGRADED])(page);
    // Without shared workers the page opens its own stream, which can be blocked here.
    await page.addInitScript(() => delete window.SharedWorker);
    await page.route('**/api/stream*', (route) => route.abort());
  };
  const page = await openPage(chrome, node.url, { width: 390, prepare });
  await page.getByText('Connection lost').waitFor();
  await page.getByText('History is incomplete', { exact: true }).waitFor();
  assert.ok((await horizontalOverflow(page)) <= 0);
  const tops = await page.locator('.banners .banner').evaluateAll((all) => all.map((one) => one.getBoundingClientRect()).map(({ top, bottom }) => [top, bottom]));
  assert.equal(tops.length, 2);
  assert.ok(tops[0][1] <= tops[1][0], 'one stands below the other');
  await screenshot(page, 'store-two-banners-390');
  assert.deepEqual(await axeViolations(page), []);
  await page.context().close();
});

for (const width of [390, 820, 1440, 2560]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`a day of a pump fits ${width} px and is accessible, ${colorScheme}`, { timeout: 240_000 }, async () => {
      const page = await openPage(chrome, `${node.url}/pumps/${PUMP}`, { width, colorScheme });
      await waitUntilLive(page);
      await page.locator('.u-wrap').last().waitFor();
      await page.getByRole('button', { name: '24 h' }).click();
      await page.getByText(/band: lowest to highest/).first().waitFor();
      assert.ok((await horizontalOverflow(page)) <= 0, `${await horizontalOverflow(page)} px too wide`);
      await screenshot(page, `pump-day-${width}-${colorScheme}`);
      assert.deepEqual(await axeViolations(page), []);
      assert.deepEqual(page.errors, []);
      await page.context().close();
    });
  }
}
