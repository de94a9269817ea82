// The demo: an anomalous pump is found and opened, both pages fit every screen width, and both are accessible.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot, waitUntilLive } from './support.js';

/** The demo's faults develop over minutes. */
const ANOMALY_WITHIN_MS = 300_000;

let node, chrome, anomalousPump;

before(async () => {
  node = await Node.start(['--demo']);
  chrome = await launchBrowser();
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

test('an anomalous pump is found on the fleet page and opened', { timeout: ANOMALY_WITHIN_MS + 60_000 }, async () => {
  const page = await openPage(chrome, node.url);
  await page.getByText('Simulated plant').waitFor();
  const card = page.locator('[data-status="ANOMALY"]').first();
  await card.waitFor({ timeout: ANOMALY_WITHIN_MS });
  anomalousPump = await card.getAttribute('data-pump');
  await page.getByRole('heading', { level: 1, name: /attention/ }).waitFor();
  assert.match(await page.title(), /^▲ (\d+ alarms? \(\w+\), )?\d+ anomal/);

  await page.locator(`[data-pump="${anomalousPump}"]`).click();
  await page.getByRole('heading', { level: 1, name: anomalousPump, exact: true }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/pumps/${anomalousPump}`);
  await page.getByText('Simulated plant').waitFor();
  await page.getByRole('heading', { name: 'Deviation by sensor' }).waitFor();
  await page.getByRole('slider', { name: 'Loss over time' }).waitFor();

  await page.goBack();
  await page.locator(`[data-pump="${anomalousPump}"]`).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a chart is inspected with the keyboard and goes back to live', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, `${node.url}/pumps/${anomalousPump}`);
  const chart = page.getByRole('slider', { name: 'Loss over time' });
  await chart.focus();
  await page.waitForFunction(() => /newest \d/.test(document.activeElement.getAttribute('aria-valuetext')));
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  await page.getByRole('button', { name: /Back to live/ }).waitFor();
  assert.match(await chart.getAttribute('aria-valuetext'), /^[\d.]+ at \d\d:\d\d:\d\d/);
  await page.keyboard.press('Escape');
  await page.getByText('Following the newest').waitFor();
  await page.context().close();
});

for (const width of [390, 820, 1440, 2560]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`both pages fit ${width} px and are accessible, ${colorScheme}`, { timeout: 240_000 }, async () => {
      for (const [name, path] of [['fleet', '/'], ['pump', `/pumps/${anomalousPump}`]]) {
        const page = await openPage(chrome, node.url + path, { width, colorScheme });
        await waitUntilLoaded(page, name);
        assert.ok((await horizontalOverflow(page)) <= 0, `${name}: ${await horizontalOverflow(page)} px too wide`);
        await screenshot(page, `${name}-${width}-${colorScheme}`);
        assert.deepEqual(await axeViolations(page), [], name);
        assert.deepEqual(page.errors, []);
        await page.context().close();
      }
    });
  }
}

/** Waits until a page has loaded its data. */
async function waitUntilLoaded(page, name) {
  if (name === 'fleet') await page.locator('[data-pump]').first().waitFor();
  else await page.locator('.u-wrap').last().waitFor();
  await waitUntilLive(page);
  await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]'));
}
