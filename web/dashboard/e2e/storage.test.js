// What is stored: a day of a pump comes summed up, an outage of the store is said, and lists that are not whole say so.

import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, isLive, Node, open, overhang, screenshot, violations } from './support.js';

const PUMP = 'e2e-day';
const HOUR_MS = 3_600_000;
const EVERY_MS = 10_000;
const CHANNEL = { name: 'Bearing_Temperature_C', label: 'Bearing temperature' };
const WHY = 'the database does not answer: disk error 5';

let node, chrome;

before(async () => {
  node = await Node.start();
  chrome = await browser();
  // A day, with a pause of two hours in it and one short peak.
  const now = Date.now();
  for (let hour = 24; hour > 0; hour--) {
    if (hour === 9 || hour === 8) continue;
    const readings = Array.from({ length: HOUR_MS / EVERY_MS }, (_, i) => {
      const t = now - hour * HOUR_MS + i * EVERY_MS;
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

/** Answers a route with what the node says, changed. */
const changed = (path, change) => async (page) => {
  await page.route(
    (url) => url.pathname === path,
    async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: change(await answer.json()) });
    },
  );
};

const outage = (state, problems) => changed('/api/store', (store) => ({ ...store, state, problems }));
const DEGRADED = `The database does not answer: disk error 5. Readings are kept in the journal; history is not whole.`;

test('a day comes summed up, with its peak and its pause', { timeout: 60_000 }, async () => {
  const asked = [];
  const prepare = (page) => page.on('request', (request) => asked.push(new URL(request.url())));
  const page = await open(chrome, `${node.url}/pumps/${PUMP}`, { prepare });
  await isLive(page);
  await page.locator('.u-wrap').last().waitFor();
  const chart = page.getByRole('slider', { name: `${CHANNEL.label} over time` });
  await page.getByRole('button', { name: '24 h' }).click();
  await page.getByText(/Line: mean of \d+ min; band: lowest to highest/).first().waitFor();
  const question = asked.findLast((url) => url.searchParams.has('points'));
  assert.equal(question.pathname, '/api/sensor-history');
  assert.ok(Number(question.searchParams.get('points')) <= 1000);
  assert.ok(Number(question.searchParams.get('to')) - Number(question.searchParams.get('from')) >= 24 * HOUR_MS);

  // The peak is one reading of thousands: the band has it, a mean alone would not.
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

  // Closer in there are readings one by one, and verdicts of that time would be fetched.
  for (let i = 0; i < 6; i++) await page.keyboard.press('+');
  await page.waitForFunction((label) => {
    const text = document.querySelector(`[aria-label="${label} over time"]`)?.getAttribute('aria-valuetext');
    return text?.includes('one reading at');
  }, CHANNEL.label);
  // By now the pump may be stale: then its next reading would be waited for, and not the newest followed.
  await node.post({ pump_id: PUMP, [CHANNEL.name]: 60, Vibration_mm_s: 2.5 });
  await page.keyboard.press('Escape');
  await page.getByText('Following the newest').waitFor();
  await page.getByRole('button', { name: '10 min' }).click();
  await page.getByText(/band: lowest to highest/).first().waitFor({ state: 'detached' });
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

for (const range of ['7 d', '30 d', '1 y']) {
  test(`${range} can be shown`, { timeout: 60_000 }, async () => {
    const page = await open(chrome, `${node.url}/pumps/${PUMP}`);
    await isLive(page);
    await page.locator('.u-wrap').last().waitFor();
    await page.getByRole('button', { name: range }).click();
    await page.getByText(/Line: mean of .*; band: lowest to highest/).first().waitFor();
    assert.deepEqual(page.errors, []);
    await page.context().close();
  });
}

test('history that is not whole says from when on it is, and why', { timeout: 60_000 }, async () => {
  const since = new Date(Date.now() - HOUR_MS).toISOString();
  const prepare = async (page) => {
    for (const path of ['/api/sensor-history', '/api/maintenance-events', '/api/pumps']) {
      await changed(path, (list) => ({ ...list, incomplete: { since, reason: WHY } }))(page);
    }
  };
  const page = await open(chrome, `${node.url}/pumps/${PUMP}`, { prepare });
  await page.getByText(/Whole from \d\d:\d\d:\d\d on\. Readings from before may be missing: the database does not answer/).waitFor();
  await page.getByText(/Events from before may be missing/).waitFor();
  await page.getByRole('button', { name: '24 h' }).click();
  await page.getByText(/band: lowest to highest/).first().waitFor();
  await page.getByText(/Readings from before may be missing/).waitFor();
  await page.goto(node.url);
  await page.getByText(/Pumps from before may be missing/).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('what was missing once comes with the next look at a store that is well', { timeout: 60_000 }, async () => {
  let asked = 0;
  const prepare = changed('/api/sensor-history', (list) => (asked++ === 0 ? { ...list, incomplete: { since: null, reason: WHY } } : list));
  const page = await open(chrome, `${node.url}/pumps/${PUMP}`, { prepare });
  await page.getByText(/Readings may be missing: the database does not answer/).waitFor();
  await page.locator('[data-incomplete]').first().waitFor({ state: 'detached' });
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a database that does not open is said, and what was missing comes when it does', { timeout: 240_000 }, async () => {
  const sick = await Node.start();
  const [database, aside] = ['database', 'aside'].map((name) => join(sick.dir, name));
  try {
    await sick.post({ pump_id: 'e2e-out', [CHANNEL.name]: 61.1 });
    await sick.kill();
    renameSync(database, aside);
    writeFileSync(database, 'not a folder');
    await sick.restart();
    await sick.post({ pump_id: 'e2e-out', [CHANNEL.name]: 62.2 });
    const page = await open(chrome, `${sick.url}/pumps/e2e-out`);
    await page.locator('[data-outage="degraded"]').waitFor();
    await page.locator(`[data-channel="${CHANNEL.name}"] .value`).getByText('62.2').waitFor();
    await page.getByText(/Whole from .* Readings from before may be missing/).waitFor();
    rmSync(database);
    renameSync(aside, database);
    await page.locator('[data-outage]').waitFor({ state: 'detached', timeout: 120_000 });
    await page.locator('[data-incomplete]').first().waitFor({ state: 'detached', timeout: 30_000 });
    assert.deepEqual(page.errors, []);
    await page.context().close();
  } finally {
    await sick.stop();
  }
});

test('the fleet page says what is stored and how long the disk lasts', { timeout: 60_000 }, async () => {
  const page = await open(chrome, node.url);
  await page.locator('[data-storage="room"]').getByText(/B of .*B free \(/).waitFor();
  assert.equal(await page.locator('[data-storage="growth"]').innerText(), 'Not known yet: watched for less than an hour');
  await page.getByRole('button', { name: 'Where these numbers come from: Storage' }).click();
  await page.getByText('GET /api/store').waitFor();
  // The disk of this machine may be nearly full: then, and only then, there is a notice.
  const { problems } = await (await fetch(`${node.url}/api/store`)).json();
  assert.equal(await page.locator('[data-outage]').count(), problems.length > 0 ? 1 : 0);
  await page.context().close();
});

for (const [state, problems, title] of [
  ['failed', ['The journal failed, and readings are refused until a restart: I/O error.', 'only 2 % of the disk is free'], 'Readings are refused'],
  ['degraded', [DEGRADED], 'History is not whole'],
  ['ok', ['at the pace of the last day the disk is full in 12 days'], 'At the pace of the last day the disk is full in 12 days.'],
]) {
  for (const width of [390, 820, 1440, 2560]) {
    for (const colorScheme of width === 1440 || width === 390 ? ['light', 'dark'] : ['light']) {
      test(`a store that is ${state} and has problems is said, ${width} px, ${colorScheme}`, { timeout: 60_000 }, async () => {
        const page = await open(chrome, node.url, { width, colorScheme, prepare: outage(state, problems) });
        await page.locator('[data-pump]').first().waitFor();
        const banner = page.locator('[role="status"] [data-outage]');
        await banner.getByText(title, { exact: true }).waitFor();
        await page.locator('[data-storage="room"]').waitFor();
        assert.ok((await overhang(page)) <= 0, `${await overhang(page)} px too wide`);
        await screenshot(page, `store-${state}-${width}-${colorScheme}`);
        assert.deepEqual(await violations(page), []);
        assert.deepEqual(page.errors, []);
        await page.context().close();
      });
    }
  }
}

test('two banners stack: the node is gone, and was not well before', { timeout: 60_000 }, async () => {
  const prepare = async (page) => {
    await outage('degraded', [DEGRADED])(page);
    // A browser without shared workers: the page's own stream can be cut here.
    await page.addInitScript(() => delete window.SharedWorker);
    await page.route('**/api/stream*', (route) => route.abort());
  };
  const page = await open(chrome, node.url, { width: 390, prepare });
  await page.getByText('Connection lost').waitFor();
  await page.getByText('History is not whole', { exact: true }).waitFor();
  assert.ok((await overhang(page)) <= 0);
  const tops = await page.locator('.banners .banner').evaluateAll((all) => all.map((one) => one.getBoundingClientRect()).map(({ top, bottom }) => [top, bottom]));
  assert.equal(tops.length, 2);
  assert.ok(tops[0][1] <= tops[1][0], 'one stands below the other');
  await screenshot(page, 'store-two-banners-390');
  assert.deepEqual(await violations(page), []);
  await page.context().close();
});

for (const width of [390, 820, 1440, 2560]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`a day of a pump fits ${width} px and is accessible, ${colorScheme}`, { timeout: 60_000 }, async () => {
      const page = await open(chrome, `${node.url}/pumps/${PUMP}`, { width, colorScheme });
      await isLive(page);
      await page.locator('.u-wrap').last().waitFor();
      await page.getByRole('button', { name: '24 h' }).click();
      await page.getByText(/band: lowest to highest/).first().waitFor();
      assert.ok((await overhang(page)) <= 0, `${await overhang(page)} px too wide`);
      await screenshot(page, `pump-day-${width}-${colorScheme}`);
      assert.deepEqual(await violations(page), []);
      assert.deepEqual(page.errors, []);
      await page.context().close();
    });
  }
}
