// The page of a maintenance event with a real node: what its rule recommends and what it is based on.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot, waitUntil, waitUntilLive } from './support.js';

let node, chrome;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

/** A reading of all channels, `ago` seconds ago. */
const reading = (ago, bearing) => ({
  pump_id: 'P-7', timestamp: Date.now() - ago * 1000, Motor_RPM: 1480, Bearing_Temperature_C: bearing, Oil_Pressure_bar: 4.1,
  Vibration_mm_s: 2, Flow_Rate_L_min: 130, Suction_Pressure_bar: 1.7, Discharge_Pressure_bar: 6, Motor_Current_A: 17.5,
  Casing_Temperature_C: 45, Ambient_Temperature_C: 27,
});
const events = () => node.get('/api/maintenance-events?pump_id=P-7').then(({ items }) => items);

test('an event says what to do, what it costs, and what it is based on', { timeout: 240_000 }, async () => {
  await node.post([reading(50, 90)]);
  await waitUntil('the event is opened', async () => (await events()).length === 1);
  // The alarm limit of 93 °C is exceeded for longer than the alarm's delay: the alarm stands when the event becomes critical.
  await node.post(Array.from({ length: 30 }, (_, second) => reading(40 - second, 96)));
  await waitUntil('the alarm stands', async () => (await node.get('/api/alarms?pump_id=P-7&priority=high')).items.length === 1);
  await node.post([reading(5, 112.5)]);
  await waitUntil('the event is critical', async () => (await events())[0].severity === 'critical');

  const page = await openPage(chrome, `${node.url}/pumps/P-7`);
  await waitUntilLive(page);
  await page.getByRole('link', { name: 'Bearing overheating' }).click();
  await page.getByRole('heading', { name: 'Bearing overheating' }).waitFor();
  await page.getByText('Switch to the standby pump and stop this one.').waitFor();
  await page.getByText('about ₹22,000').waitFor();
  await page.getByText('about ₹90,000').waitFor();
  await page.getByText('From rule bearing-overheating of the profile centrifugal, at severity critical.').waitFor();
  await page.locator('[data-severity="high"]').getByText('Bearing temperature 90.0 °C, above 85.0 °C').waitFor();
  const raised = page.locator('[data-severity="critical"]');
  await raised.getByText('Bearing temperature 112.5 °C, above 110.0 °C').waitFor();
  await raised.getByRole('link', { name: 'Bearing temperature far too high' }).waitFor();
  await raised.locator('summary').click();
  await raised.getByText('1,480 rpm').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
  const [{ id }] = await events();
  for (const width of [390, 1440]) {
    for (const colorScheme of ['light', 'dark']) {
      const other = await openPage(chrome, `${node.url}/events/${encodeURIComponent(id)}`, { width, height: 900, colorScheme });
      await other.getByText('Switch to the standby pump and stop this one.').waitFor();
      await other.locator('[data-severity="critical"]').waitFor();
      await other.getByRole('link', { name: 'Bearing temperature far too high' }).waitFor();
      assert.equal(await horizontalOverflow(other), 0, `at ${width}`);
      await screenshot(other, `event-${width}-${colorScheme}`);
      assert.deepEqual(await axeViolations(other), [], `at ${width}, ${colorScheme}`);
      await other.context().close();
    }
  }
});

test('an event that does not exist is not found', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, `${node.url}/events/${encodeURIComponent('P-7/none/2026-03-09T10:00:00.000Z')}`);
  await page.getByRole('heading', { name: 'There is no such maintenance event' }).waitFor();
  await page.context().close();
});
