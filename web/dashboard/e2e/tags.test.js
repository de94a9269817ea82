// Pump ids (tags) as plants use them: the page opens by a link, by a reload and by an address typed on another system; pumps are given
// display names; the longest ids and names fit.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot, waitUntilLive } from './support.js';

const TAGS = ['P-101A/B', 'Förderpumpe 3', '10 PAC20 AP001', '=10.PAC20.AP001-M01', '100%', '%2F', 'a?b#c', 'משאבה 5'];
const LONG = '冷却水循环泵'.repeat(11).slice(0, 64);
const WIDE = 'W'.repeat(64);

let node, chrome;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
  await node.post([...TAGS, LONG, WIDE].map((pump_id) => ({ pump_id, Bearing_Temperature_C: 61.5 })));
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

const card = (page, id) => page.locator(`[data-pump="${id}"]`);
const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true });
const value = (page) => page.locator('[data-channel="Bearing_Temperature_C"] .value');

test('every id opens its page from the fleet and by a reload', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, node.url);
  for (const id of TAGS) {
    await card(page, id).click();
    await heading(page, id).waitFor();
    await value(page).getByText('61.5').waitFor();
    assert.equal(new URL(page.url()).pathname, `/pumps/${encodeURIComponent(id)}`);
    await page.reload();
    await heading(page, id).waitFor();
    await value(page).getByText('61.5').waitFor();
    await page.getByRole('link', { name: 'All pumps', exact: true }).click();
  }
  // Typed on a system with decomposed letters (NFD), and with a no-break space.
  await page.goto(`${node.url}/pumps/${encodeURIComponent('Fo\u0308rderpumpe\u00a03')}`);
  await heading(page, 'Förderpumpe 3').waitFor();
  await waitUntilLive(page);
  await node.post({ pump_id: 'Förderpumpe 3', Bearing_Temperature_C: 63.5 });
  await value(page).getByText('63.5').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a display name is set, shown on every page, and removed', { timeout: 240_000 }, async () => {
  const [fleet, page] = [await openPage(chrome, node.url), await openPage(chrome, `${node.url}/pumps/P-101A%2FB`)];
  for (const one of [fleet, page]) await waitUntilLive(one);
  const field = page.getByLabel('Name for people');
  await page.getByRole('button', { name: 'Add a name' }).click();
  assert.deepEqual(await axeViolations(page), []);
  await field.press('Escape');
  await page.getByRole('button', { name: 'Add a name' }).click();

  await field.fill('a\u202eb');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('U+202E').waitFor();
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  assert.deepEqual(await axeViolations(page), []);

  await field.fill('Kühlwasser 3');
  await field.press('Enter');
  await heading(page, 'Kühlwasser 3').waitFor();
  await page.getByText('P-101A/B', { exact: true }).waitFor();
  await card(fleet, 'P-101A/B').getByText('Kühlwasser 3').waitFor();
  assert.ok((await card(fleet, 'P-101A/B').innerText()).includes('P-101A/B'), 'the id is shown beside the name');
  for (const wanted of ['kühlwasser', 'p-101a/']) {
    await fleet.getByLabel('Find a pump').fill(wanted);
    await fleet.waitForFunction(() => document.querySelectorAll('[data-pump]').length === 1);
    await card(fleet, 'P-101A/B').waitFor();
  }
  assert.deepEqual(await axeViolations(fleet), []);

  await page.reload();
  await heading(page, 'Kühlwasser 3').waitFor();
  await page.getByRole('button', { name: 'Rename' }).click();
  await field.fill('');
  await field.press('Enter');
  await heading(page, 'P-101A/B').waitFor();
  await card(fleet, 'P-101A/B').getByText('Kühlwasser 3').waitFor({ state: 'detached' });
  for (const one of [fleet, page]) {
    assert.deepEqual(one.errors, []);
    await one.context().close();
  }
});

test('the longest ids and names fit every page', { timeout: 240_000 }, async () => {
  const headers = { 'content-type': 'application/json' };
  const name = `${'Ω'.repeat(40)} ${'W'.repeat(39)}`;
  const named = await fetch(`${node.url}/api/pumps/${WIDE}`, { method: 'PATCH', headers, body: JSON.stringify({ name }) });
  assert.equal(named.status, 200);
  // More than 12 pumps are rows on a wide screen.
  await node.post(['A', 'B', 'C', 'D'].map((pump_id) => ({ pump_id, Bearing_Temperature_C: 61.5 })));
  for (const width of [1440, 390]) {
    for (const [what, path] of [['fleet', '/'], ['long', `/pumps/${encodeURIComponent(LONG)}`], ['named', `/pumps/${WIDE}`]]) {
      const page = await openPage(chrome, node.url + path, { width });
      await waitUntilLive(page);
      await (path === '/' ? card(page, LONG) : value(page)).waitFor();
      await screenshot(page, `tags-${what}-${width}`);
      if (path === '/') {
        const tall = await card(page, WIDE).evaluate((one) => one.getBoundingClientRect().height);
        assert.ok(tall < (width === 1440 ? 80 : 400), `${tall} px at ${width}`);
        assert.ok(await card(page, WIDE).getByText(WIDE).isVisible(), 'the id is shown beside the name');
      }
      assert.ok((await horizontalOverflow(page)) <= 0, `${what} at ${width}`);
      assert.deepEqual(await axeViolations(page), []);
      assert.deepEqual(page.errors, []);
      await page.context().close();
    }
  }
});
