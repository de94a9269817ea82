// Alarms with a real node: a hot bearing leads the fleet, is acknowledged with a comment, shelved, seen in the history, and its rule is
// tried on stored readings before it is changed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot, waitUntil, waitUntilLive } from './support.js';

const BEARING = 'Bearing_Temperature_C';
const HOT = 'bearing-temperature-c-high-high';
const SIZES = [
  { width: 390, height: 844 },
  { width: 820, height: 1180 },
  { width: 1440, height: 900 },
];

let node, chrome;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

/** The time of each pump's last reading. Readings are at least a second apart, and none is older than 45 s: all are current. */
const times = new Map();

async function post(pump, ...values) {
  const items = values.map((value) => {
    const at = Math.max((times.get(pump) ?? 0) + 1_000, Date.now() - 45_000);
    times.set(pump, at);
    return { pump_id: pump, timestamp: at, [BEARING]: value };
  });
  const { accepted } = await node.post(items);
  assert.equal(accepted, values.length);
}

async function send(method, path, body) {
  const response = await fetch(node.url + path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  assert.ok(response.ok, `${method} ${path} returned ${response.status}: ${await response.clone().text()}`);
  return response.json();
}

/** Gives a pump alarms without delays, so that the test need not wait, and of its profile's only those in `kept`: others may be raised by silence. */
async function arm(pump, alarms, kept = []) {
  const defined = (await node.get(`/api/pumps/${pump}/alarms`)).alarms.map(({ id }) => id);
  const own = alarms.map(({ id }) => id);
  return send('PUT', `/api/pumps/${pump}/alarms`, {
    removed: defined.filter((id) => !own.includes(id) && !kept.includes(id)),
    alarms: alarms.map(({ id, title, priority, limit, help }) => ({
      id, title, priority, help, on_delay_s: 0, off_delay_s: 0, condition: { kind: 'high_high', channel: BEARING, limit },
    })),
  });
}

const hot = { id: HOT, title: `${BEARING} far too high`, priority: 'high', limit: 93, help: 'Check the oil level and the cooling. Stop the pump if it still rises.' };

/** The alarm's present state, by the node. */
const stateOf = async (pump, alarm = HOT) => (await node.get(`/api/alarms?pump_id=${pump}`)).items.find((one) => one.alarm === alarm)?.state;

const row = (page, pump, alarm = HOT) => page.locator(`[data-alarm="${pump} ${alarm}"]`);

async function shots(path, name, prepare = async () => {}) {
  for (const size of SIZES) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await openPage(chrome, node.url + path, { ...size, colorScheme });
      await waitUntilLive(page);
      await prepare(page);
      assert.equal(await horizontalOverflow(page), 0, `${name} at ${size.width}`);
      await screenshot(page, `${name}-${size.width}-${colorScheme}`);
      assert.deepEqual(await axeViolations(page), [], `${name} at ${size.width}, ${colorScheme}`);
      assert.deepEqual(page.errors, []);
      await page.context().close();
    }
  }
}

test('a pump whose limit is exceeded leads the fleet at once, while it is learning', { timeout: 240_000 }, async () => {
  for (const pump of ['P-1', 'P-2', 'P-7']) await post(pump, 70, 70);
  await arm('P-1', []);
  await arm('P-7', [hot], ['bearing-temperature-c-high']);
  await arm('P-2', [{ ...hot, id: 'warm', title: 'Bearing warm', priority: 'low', limit: 80 }]);
  const page = await openPage(chrome, node.url);
  await waitUntilLive(page);
  await page.locator('[data-pump="P-7"]').waitFor();
  await page.locator('header a[data-unacknowledged="0"]').waitFor();
  await post('P-2', 85);
  await page.locator('li:first-child [data-pump="P-2"][data-priority="low"]').waitFor();
  await post('P-7', 95.2);
  const first = page.locator('li:first-child [data-pump="P-7"][data-priority="high"]');
  await first.waitFor();
  await first.getByText('High alarm, 1 unacknowledged').waitFor();
  await page.getByRole('heading', { name: '2 of 3 pumps need attention' }).waitFor();
  await page.getByText('2 unacknowledged alarms, the highest high').first().waitFor();
  await page.locator('header a[data-unacknowledged="2"]').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
  await shots('/', 'alarms-fleet', (other) => other.locator('[data-priority="high"]').waitFor());
});

test('an alarm is acknowledged by its key, with a comment; several at once with one', { timeout: 180_000 }, async () => {
  await shots('/alarms', 'alarms-list', (other) => row(other, 'P-7').getByText('95.2 °C, above 93.0 °C').waitFor());
  const page = await openPage(chrome, node.url);
  await page.locator('header a[data-unacknowledged]').click();
  await page.getByRole('heading', { name: '2 unacknowledged alarms, the highest high' }).waitFor();
  // The warning limit of the profile is exceeded too; the alarm limit explains it.
  const listed = () => page.locator('[data-alarm]').evaluateAll((rows) => rows.filter((one) => !one.closest('details')).map((one) => one.dataset.alarm));
  assert.deepEqual(await listed(), [`P-7 ${HOT}`, 'P-2 warm']);
  await page.getByText('Explains 1 more alarm').waitFor();

  // Low priority: at once.
  await row(page, 'P-2', 'warm').getByRole('link', { name: 'Bearing warm' }).focus();
  await page.keyboard.press('a');
  await page.locator('[data-alarm="P-2 warm"][data-state="acknowledged"]').waitFor();
  assert.equal(await stateOf('P-2', 'warm'), 'acknowledged');
  // High priority: after a confirmation.
  await row(page, 'P-7').getByRole('link', { name: 'Bearing temperature far too high' }).focus();
  await page.keyboard.press('a');
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Comment').fill('on my way');
  assert.equal(await stateOf('P-7'), 'unacknowledged');
  await dialog.getByRole('button', { name: 'Acknowledge' }).click();
  await page.locator(`[data-alarm="P-7 ${HOT}"][data-state="acknowledged"]`).waitFor();
  await page.getByRole('heading', { name: '2 alarms stand, all acknowledged' }).waitFor();
  await page.locator('header a[data-unacknowledged="0"]').waitFor();

  // New occurrences of both; one comment for both.
  await post('P-7', 70, 96);
  await post('P-2', 70, 86);
  await page.getByRole('heading', { name: '2 unacknowledged alarms, the highest high' }).waitFor();
  await page.getByLabel('Priority').selectOption('low');
  await waitUntil('one row is left', async () => (await listed()).join() === 'P-2 warm');
  assert.match(page.url(), /\?priority=low$/);
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByLabel('Select all').check();
  await page.locator('[data-bulk="acknowledge"]').click();
  await dialog.getByLabel('Comment').fill('both seen');
  await dialog.getByRole('button', { name: 'Acknowledge' }).click();
  await page.getByRole('heading', { name: '2 alarms stand, all acknowledged' }).waitFor();
  const comments = await waitUntil('both comments are stored', async () => {
    const { items } = await node.get('/api/alarm-transitions');
    const found = items.filter(({ comment }) => comment === 'both seen');
    return found.length === 2 && found;
  });
  assert.deepEqual(comments.map(({ pump_id }) => pump_id).sort(), ['P-2', 'P-7']);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('an alarm is shelved with a reason on the page of its pump, and its life is told', { timeout: 180_000 }, async () => {
  const page = await openPage(chrome, `${node.url}/pumps/P-7`);
  await waitUntilLive(page);
  await row(page, 'P-7').getByText('96.0 °C, above 93.0 °C').waitFor();
  await row(page, 'P-7').locator('[data-command="shelve"]').click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Shelve' }).click();
  await dialog.getByText('Enter the reason.').first().waitFor();
  await dialog.getByLabel('Reason').fill('new bearing comes at 13:00');
  await dialog.getByLabel('4 hours').check();
  await screenshot(page, 'alarms-shelve');
  assert.deepEqual(await axeViolations(page), []);
  await dialog.getByRole('button', { name: 'Shelve' }).click();
  await page.locator('summary', { hasText: /alarms? shelved, suppressed or out of service/ }).click();
  await row(page, 'P-7').getByText('“new bearing comes at 13:00”').waitFor();
  const { shelved } = (await node.get('/api/alarms?pump_id=P-7')).items[0];
  const hours = (Date.parse(shelved.until) - Date.parse(shelved.since)) / 3_600_000;
  assert.ok(hours > 3.9 && hours < 4.1, `${hours} h`);
  await row(page, 'P-7').locator('[data-command="unshelve"]').click();
  await dialog.getByRole('button', { name: 'Unshelve' }).click();
  await page.locator(`[data-alarm="P-7 ${HOT}"][data-state="unacknowledged"]`).waitFor();

  await row(page, 'P-7').getByRole('link', { name: 'Bearing temperature far too high' }).click();
  await page.getByRole('heading', { name: 'Bearing temperature far too high' }).first().waitFor();
  const life = page.locator('[data-cause]');
  await waitUntil('the whole life is shown', async () => (await life.count()) >= 7);
  const told = (await life.allInnerTexts()).map((text) => text.replace(/\s+/g, ' '));
  const expected = [/Unshelved by somebody at 127\.0\.0\.1; its condition holds, so it is announced again/, /Shelved by .* until .*“new bearing comes at 13:00”/, /Acknowledged by .*“both seen”/, /Raised: 96\.0 °C, above 93\.0 °C/, /Over: 70\.0 °C/, /Acknowledged by .*“on my way”/, /Raised: 95\.2 °C, above 93\.0 °C/];
  expected.forEach((words, index) => assert.match(told[index], words));
  // The same address shows the same again.
  await page.reload();
  await page.getByText('Bearing temperature above 93.0 °C').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();

  await shots('/pumps/P-7', 'alarms-pump', (other) => row(other, 'P-7').getByText('96.0 °C, above 93.0 °C').waitFor());
  await shots(`/alarms/P-7/${HOT}`, 'alarms-life', (other) => other.locator('[data-cause="raised"]').first().waitFor());
  await shots('/alarms?tab=history', 'alarms-history', (other) => other.locator('[data-cause="raised"]').first().waitFor());
  await shots('/alarms?tab=metrics', 'alarms-metrics', (other) => other.getByText('Alarms in 10 minutes, on average').waitFor());
});

test('a rule is tried on history before it can be saved, and mistakes stand at their fields', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, `${node.url}/pumps/P-1`);
  await post('P-1', 88, 88, 70, 70, 89, 70);
  await page.getByRole('button', { name: 'Add an alarm…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Try on history' }).click();
  await dialog.getByText('Enter what is wrong when this alarm is raised.').waitFor();
  await dialog.getByLabel('What is wrong').fill('Bearing warmer than planned');
  await dialog.getByLabel('Channel').selectOption({ label: 'Bearing temperature' });
  await dialog.getByLabel('Limit, in °C').fill('hot');
  await dialog.getByLabel('On-delay, in s').fill('0');
  await dialog.getByLabel('Off-delay, in s').fill('0');
  assert.ok(await dialog.getByRole('button', { name: 'Save' }).isDisabled());
  await dialog.getByRole('button', { name: 'Try on history' }).click();
  await dialog.getByText('Enter a number.').waitFor();
  await dialog.getByLabel('Limit, in °C').fill('85');
  await dialog.getByLabel('On-delay, in s').fill('999999999');
  await dialog.getByRole('button', { name: 'Try on history' }).click();
  // The node's own mistake, at its field.
  await dialog.locator('[aria-invalid="true"]').waitFor();
  await dialog.getByText(/^Allowed: /).waitFor();
  await dialog.getByLabel('On-delay, in s').fill('0');
  await dialog.getByRole('button', { name: 'Try on history' }).click();
  await dialog.getByText(/It would have raised 2 alarms in the last 7 d, the longest \d+ s\./).waitFor();
  await screenshot(page, 'alarms-rule');
  assert.deepEqual(await axeViolations(page), []);
  // Another limit is another rule: it has to be tried again.
  await dialog.getByLabel('Limit, in °C').fill('88.5');
  await dialog.getByText('It has changed since it was tried.').waitFor();
  assert.ok(await dialog.getByRole('button', { name: 'Save' }).isDisabled());
  await dialog.getByRole('button', { name: 'Try on history' }).click();
  await dialog.getByText(/It would have raised 1 alarm in the last 7 d/).waitFor();
  await dialog.getByRole('button', { name: 'Save' }).click();
  const rule = page.locator('[data-rule="bearing-warmer-than-planned"]');
  await rule.getByText('own', { exact: true }).waitFor();
  const { own } = await node.get('/api/pumps/P-1/alarms');
  assert.deepEqual(own, ['bearing-warmer-than-planned']);
  // And it is armed.
  await post('P-1', 90);
  await row(page, 'P-1', 'bearing-warmer-than-planned').getByText('90.0 °C, above 88.5 °C').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('an alarm that somebody else has changed meanwhile is not overwritten', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, `${node.url}/pumps/P-1`);
  const rule = page.locator('[data-rule="bearing-warmer-than-planned"]');
  // What is left to the quantity is shown with its value.
  await rule.getByText('deadband 0.885 (usual)').waitFor();
  await rule.getByRole('button', { name: 'Change…' }).click();
  const dialog = page.getByRole('dialog');
  assert.equal(await dialog.getByLabel('Deadband, in °C').getAttribute('placeholder'), 'as usual, 0.885');
  await dialog.getByLabel('Limit, in °C').fill('89');
  await dialog.getByRole('button', { name: 'Try on history' }).click();
  await dialog.getByText(/It would have raised/).waitFor();
  const now = await node.get('/api/pumps/P-1/alarms');
  const own = now.alarms.filter(({ id }) => now.own.includes(id)).map((alarm) => ({ ...alarm, title: 'Changed by another' }));
  await send('PUT', '/api/pumps/P-1/alarms', { alarms: own, removed: now.removed, version: now.version });
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByText(/has changed this alarm since you opened it/).waitFor();
  await screenshot(page, 'alarms-conflict');
  assert.equal((await node.get('/api/pumps/P-1/alarms')).version, now.version + 1, 'nothing is overwritten');
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('the history of a pump shows what was learned later', { timeout: 240_000 }, async () => {
  await post('P-8', 70);
  const begin = Date.now() - 3_600_000;
  const late = Array.from({ length: 40 }, (_, second) => ({ pump_id: 'P-8', timestamp: begin + second * 1000, [BEARING]: 96 }));
  await node.post(late);
  await waitUntil('it is recorded', async () => (await node.get(`/api/pumps/P-8/past-excursions?alarm=${HOT}`)).items.length === 1);
  const page = await openPage(chrome, `${node.url}/alarms?tab=history&pump=P-8`);
  const past = page.locator(`[data-past="${HOT}"]`);
  await past.getByText(/^Was 96\.0 °C, above 93\.0 °C, from .* to .*, learned at /).waitFor();
  await past.getByText('40 readings; long enough for an alarm').waitFor();
  await screenshot(page, 'alarms-past');
  assert.deepEqual(await axeViolations(page), []);
  await past.getByRole('link').click();
  await page.getByText('40 readings; long enough for an alarm').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('an alarm of the node is in the list, and is acknowledged', { timeout: 240_000 }, async () => {
  // No disk is ever completely free.
  const full = await Node.start([], { env: { VOLUTE__STORE__WARN_FREE_PERCENT: '100' } });
  try {
    const page = await openPage(chrome, `${full.url}/alarms`);
    const alarm = row(page, '', 'node-disk');
    await alarm.getByText('The node’s disk is nearly full').or(alarm.getByText("The node's disk is nearly full")).first().waitFor();
    await alarm.getByText('The node', { exact: true }).waitFor();
    await alarm.getByText(/^Now: the disk is almost full/).waitFor();
    await page.locator('header a[data-unacknowledged="1"]').waitFor();
    await screenshot(page, 'alarms-node');
    assert.deepEqual(await axeViolations(page), []);
    await alarm.locator('[data-command="acknowledge"]').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('The node', { exact: true }).waitFor();
    await dialog.getByRole('button', { name: 'Acknowledge' }).click();
    await page.locator('[data-alarm=" node-disk"][data-state="acknowledged"]').waitFor();
    assert.deepEqual(page.errors, []);
    await page.context().close();
  } finally {
    await full.stop();
  }
});
