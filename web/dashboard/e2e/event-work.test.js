// What people do about a maintenance event, with a real node and three users: acknowledged, planned, submitted, rejected, planned again,
// approved by somebody else, done with a finding, reopened. Each dialog at three widths.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openAs, screenshot, waitUntil } from './support.js';

let node, chrome, path;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
  await node.post([
    {
      pump_id: 'P-7', timestamp: Date.now() - 5_000, Motor_RPM: 1480, Bearing_Temperature_C: 90, Oil_Pressure_bar: 4.1, Vibration_mm_s: 2,
      Flow_Rate_L_min: 130, Suction_Pressure_bar: 1.7, Discharge_Pressure_bar: 6, Motor_Current_A: 17.5, Casing_Temperature_C: 45, Ambient_Temperature_C: 27,
    },
  ]);
  const [event] = await waitUntil('the event is opened', async () => {
    const { items } = await node.get('/api/maintenance-events');
    return items.length > 0 && items;
  });
  path = `/events/${encodeURIComponent(event.id)}`;
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

const open = (name, role) => openAs(chrome, node, name, role, path);
const status = (page, name) => page.locator(`[data-work="${name}"]`);
const button = (page, action) => page.locator(`[data-action="${action}"]`);
const dialog = (page) => page.locator('dialog[open]');
const confirm = (page) => dialog(page).locator('button.primary').click();

/** Opens the dialog of an action; the page is loaded again first, so that it shows what others have done. */
async function ask(page, action) {
  await page.reload();
  await button(page, action).click();
  await dialog(page).waitFor();
}

async function check(page, name) {
  for (const width of [390, 820, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    assert.equal(await horizontalOverflow(page), 0, `${name} at ${width}`);
    await screenshot(page, `${name}-${width}`);
  }
  assert.deepEqual(await axeViolations(page), [], name);
}

test('an event goes its way from hand to hand', { timeout: 240_000 }, async () => {
  const [asha, kiran, meera] = [await open('asha', 'engineer'), await open('kiran', 'plant-head'), await open('meera', 'manager')];

  // A manager may only approve, and is told so before the click.
  await status(meera, 'open').getByText('Nobody has reacted yet.').waitFor();
  assert.ok(await button(meera, 'acknowledge').isDisabled());
  await meera.getByText('Your role, manager, may not plan maintenance.').waitFor();
  await check(meera, 'event-work-refused');

  // With the keyboard alone. The focus comes to the new state.
  await button(asha, 'acknowledge').focus();
  await asha.keyboard.press('Enter');
  await dialog(asha).waitFor();
  await check(asha, 'event-work-acknowledge');
  await dialog(asha).getByLabel('Comment').focus();
  await asha.keyboard.type('going there');
  await asha.keyboard.press('Tab');
  await asha.keyboard.press('Tab');
  await asha.keyboard.press('Enter');
  await status(asha, 'acknowledged').getByText('“going there”').waitFor();
  await asha.waitForFunction(() => document.activeElement?.hasAttribute('data-work'));

  // Somebody else is faster: the node refuses what kiran has not seen, and the page shows what happened.
  await ask(kiran, 'plan');
  const answers = [];
  kiran.on('response', (response) => response.request().method() === 'POST' && response.url().includes('/api/maintenance-events/') && answers.push(response.status()));
  await ask(asha, 'plan');
  await dialog(asha).getByLabel('When').fill('2050-01-01T08:00');
  await dialog(asha).getByLabel('Who is responsible').fill('');
  await confirm(asha);
  await dialog(asha).getByText('Enter who is responsible.').waitFor();
  assert.equal(await asha.evaluate(() => document.activeElement.labels[0].textContent), 'Who is responsible');
  await dialog(asha).getByLabel('Who is responsible').fill('ravi');
  await confirm(asha);
  await dialog(asha).getByText(/^Allowed: .* to /).waitFor();
  await check(asha, 'event-work-plan');
  const friday = new Date(Date.now() + 4 * 86_400_000).toISOString().slice(0, 10);
  await dialog(asha).getByLabel('When').fill(`${friday}T08:00`);
  await confirm(asha);
  await status(asha, 'planned').getByText(/ravi/).waitFor();
  await confirm(kiran);
  await kiran.getByRole('alert').getByText(/Not done. Somebody else has changed this event since you saw it: Asha planned it for/).waitFor();
  await status(kiran, 'planned').getByText(/ravi/).waitFor();
  assert.deepEqual(answers, [409]);
  await check(kiran, 'event-work-conflict');

  // A plant head may approve, but not the own plan.
  await ask(kiran, 'submit');
  await confirm(kiran);
  await status(kiran, 'submitted').waitFor();
  for (const action of ['approve', 'reject']) assert.ok(await button(kiran, action).isDisabled(), action);
  await kiran.getByText('This is your plan: somebody else has to decide on it.').waitFor();
  await check(kiran, 'event-work-own-plan');

  await ask(meera, 'reject');
  await confirm(meera);
  await dialog(meera).getByText('Enter why.').waitFor();
  await dialog(meera).getByLabel('Why').fill('too late');
  assert.equal(await dialog(meera).getByText('Enter why.').count(), 0, 'a mistake that was corrected is no longer named');
  await check(meera, 'event-work-reject');
  await confirm(meera);
  await status(meera, 'rejected').getByText('“too late”').waitFor();

  await ask(asha, 'plan');
  assert.equal(await dialog(asha).getByLabel('Who is responsible').inputValue(), 'ravi');
  await confirm(asha);
  await status(asha, 'planned').waitFor();
  await button(asha, 'submit').click();
  await confirm(asha);
  await status(asha, 'submitted').waitFor();
  await asha.getByText('Your role, engineer, may not approve or reject maintenance.').waitFor();
  await ask(meera, 'approve');
  await dialog(meera).getByLabel('Comment').fill('fine');
  await confirm(meera);
  await status(meera, 'approved').getByText('Meera approved the plan').waitFor();

  await ask(asha, 'finish');
  await confirm(asha);
  await dialog(asha).getByText('Choose what was found.').waitFor();
  await dialog(asha).getByLabel('Another failure mode').check();
  await dialog(asha).getByLabel('Failure mode', { exact: true }).fill('Seal leak');
  await check(asha, 'event-work-finish');
  await confirm(asha);
  await status(asha, 'done').getByText('found: seal leak').waitFor();
  await button(asha, 'reopen').click();
  await dialog(asha).getByLabel('Comment').fill('hot again');
  await confirm(asha);
  await status(asha, 'reopened').getByText('Asha reopened it').waitFor();
  await check(asha, 'event-work-reopened');

  const history = await asha.evaluate(async (id) => (await (await fetch(`/api/maintenance-events/${id}`)).json()).work.history, path.replace('/events/', ''));
  assert.deepEqual(
    history.map(({ by, status, finding }) => [by, status, finding?.mode ?? null]),
    [
      ['user asha', 'acknowledged', null], ['user asha', 'planned', null], ['user kiran', 'submitted', null], ['user meera', 'rejected', null],
      ['user asha', 'planned', null], ['user asha', 'submitted', null], ['user meera', 'approved', null], ['user asha', 'done', 'seal_leak'],
      ['user asha', 'reopened', null],
    ],
  );
  for (const page of [asha, kiran, meera]) assert.deepEqual(page.errors, []);
});
