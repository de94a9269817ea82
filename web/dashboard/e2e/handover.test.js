// The shift handover with a real node: an alarm was raised and acknowledged, is handed over once, and is printed without the frame.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot, waitUntilLive } from './support.js';

const BEARING = 'Bearing_Temperature_C';
const OIL = 'Oil_Pressure_bar';
const HOT = 'bearing-temperature-c-high-high';

let node, chrome;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

async function send(method, path, body) {
  const response = await fetch(node.url + path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  assert.ok(response.ok, `${method} ${path} returned ${response.status}: ${await response.clone().text()}`);
}

const part = (page, name) => page.locator(`[data-part="${name}"]`);

test('what happened is handed over once, and can be printed', { timeout: 240_000 }, async () => {
  await node.post([{ pump_id: 'P-1', timestamp: Date.now() - 5_000, [BEARING]: 60 }]);
  await send('PUT', '/api/pumps/P-1/alarms', {
    removed: [],
    alarms: [
      { id: HOT, title: 'Bearing far too hot', priority: 'high', help: '', on_delay_s: 0, off_delay_s: 0, condition: { kind: 'high_high', channel: BEARING, limit: 93 } },
      { id: 'oil', title: `${OIL} too low`, priority: 'medium', help: '', on_delay_s: 0, off_delay_s: 0, condition: { kind: 'low', channel: OIL, limit: 2 } },
    ],
  });
  await node.post([{ pump_id: 'P-1', timestamp: Date.now() - 3_000, [BEARING]: 95, [OIL]: 1.5 }]);
  await node.post([{ pump_id: 'P-1', timestamp: Date.now() - 2_000, [BEARING]: 95, [OIL]: 4 }]);
  await send('POST', '/api/alarms/acknowledge', { alarms: [{ pump_id: 'P-1', alarm: HOT, occurrence: 1 }], comment: 'on my way' });

  const page = await openPage(chrome, `${node.url}/alarms`);
  await waitUntilLive(page);
  await page.getByRole('link', { name: /^Shift handover/ }).click();
  await page.getByRole('heading', { level: 1, name: 'Shift handover' }).waitFor();
  await part(page, 'alarms_raised').getByText('Bearing far too hot, high: 95 °C, limit 93 °C', { exact: true }).waitFor();
  await part(page, 'alarms_raised').getByText('Oil pressure too low, ').waitFor();
  await part(page, 'alarms_returned').getByText('Oil pressure too low: 4 bar').waitFor();
  await part(page, 'alarms_standing').getByRole('link', { name: 'P-1' }).first().waitFor();
  await part(page, 'commands').getByText('Acknowledge alarm "Bearing far too hot": on my way — Somebody at 127.0.0.1').waitFor();
  assert.equal(await part(page, 'commands').getByText(HOT).count(), 0, 'no alarm is named by its id');
  await part(page, 'commands').getByRole('link', { name: 'P-1' }).first().waitFor();
  await part(page, 'events_resolved').getByText('No pump recovered from a maintenance event.').waitFor();
  await page.getByText('you have not looked before').waitFor();
  for (const width of [390, 820, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    assert.equal(await horizontalOverflow(page), 0, `${width}`);
    await screenshot(page, `handover-${width}`);
  }
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await axeViolations(page), [], colorScheme);
  }
  await page.emulateMedia({ media: 'print' });
  assert.ok(await page.locator('header .bar').isHidden(), 'the frame is not printed');
  assert.ok(await page.getByRole('button', { name: 'Print' }).isHidden());
  assert.ok(await part(page, 'alarms_raised').isVisible());
  await screenshot(page, 'handover-print');
  await page.emulateMedia({ media: 'screen' });

  await page.getByRole('button', { name: 'I have seen it' }).click();
  await page.getByText(/^Recorded: your next handover begins at/).waitFor();
  await page.reload();
  await part(page, 'alarms_raised').getByText('No alarm was raised.').waitFor();
  await part(page, 'alarms_standing').getByRole('link', { name: 'P-1' }).first().waitFor();
  await page.locator('[data-span]').getByText('since you last looked').waitFor();
  await page.getByLabel('Time').selectOption('The last 8 hours');
  await part(page, 'alarms_raised').getByText('Bearing far too hot, high: 95').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});
