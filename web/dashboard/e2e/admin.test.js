// The pages for access, with a real node: the first user of an open node, users, pump tokens, the audit log, the own account, and what
// each role sees of them. Every page at three widths, light and dark.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot, totp, waitUntilLive } from './support.js';

const PASSWORD = 'pumps never sleep';
const NEW_PASSWORD = 'pumps sleep in winter';

let node, chrome, admin;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
  await node.post(['P-101', 'P-102'].map((pump_id) => ({ pump_id, Bearing_Temperature_C: 61.5 })));
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

const heading = (page, name) => page.getByRole('heading', { level: 1, name });
const row = (page, key) => page.locator(`[data-row="${key}"]`);
const dialog = (page) => page.locator('dialog[open]');
const button = (page, name) => page.getByRole('button', { name });

/** Checks that a page fits the window, is accessible and has no errors. */
async function check(page, name) {
  await screenshot(page, name);
  assert.ok((await horizontalOverflow(page)) <= 0, `${name} is wider than the window`);
  assert.deepEqual(await axeViolations(page), [], name);
  assert.deepEqual(page.errors, [], name);
}

async function setPassword(page, password = PASSWORD) {
  await page.getByLabel('New password').fill(password);
  await page.keyboard.press('Enter');
  await page.locator('[data-user]').waitFor();
}

async function logIn(page, name, password = PASSWORD) {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.keyboard.press('Enter');
}

/** Sends a request from a page, with the session of its user. */
const send = (page, method, path, body) =>
  page.evaluate(async ([method, path, body]) => {
    const response = await fetch(path, { method, headers: { 'content-type': 'application/json' }, body });
    return response.status;
  }, [method, path, JSON.stringify(body)]);

test('an open node gets its first user, an admin, on the page', { timeout: 240_000 }, async () => {
  admin = await openPage(chrome, node.url);
  await button(admin, 'Not secured').click();
  await admin.getByRole('link', { name: 'administration' }).click();
  await heading(admin, 'Users').waitFor();
  await admin.getByText('The node has no users').waitFor();
  await check(admin, 'admin-first-user');
  await button(admin, 'Add a user…').click();
  await admin.keyboard.press('Enter');
  await dialog(admin).getByText('Enter a name.').waitFor();
  await admin.getByLabel('Name', { exact: true }).fill('ada');
  await check(admin, 'admin-first-user-dialog');
  await admin.keyboard.press('Enter');
  await heading(admin, 'Set your password').waitFor();
  await setPassword(admin);
  await admin.waitForURL(`${node.url}/`);
});

test('an admin adds a user, who sets a password by the link and logs in', { timeout: 240_000 }, async () => {
  await admin.locator('[data-user="ada"]').click();
  await check(admin, 'account-menu');
  await admin.getByRole('link', { name: 'Administration' }).click();
  await heading(admin, 'Users').waitFor();
  assert.equal(new URL(admin.url()).pathname, '/admin/users');
  await button(admin, 'Add a user…').click();
  await admin.keyboard.type('bob');
  await dialog(admin).getByText('Engineer', { exact: true }).click();
  await check(admin, 'admin-add-user');
  await button(admin, 'Add the user').click();
  const link = await dialog(admin).locator('code').innerText();
  assert.ok(link.startsWith(`${node.url}/setup#vsu_`), link);
  await admin.keyboard.press('Escape');
  assert.ok(await dialog(admin).isVisible(), 'a link that is shown once does not vanish by a key');
  await check(admin, 'admin-link');
  await button(admin, 'Close').click();
  await row(admin, 'bob').getByText('No password yet').waitFor();

  const bob = await openPage(chrome, link);
  await setPassword(bob);
  await bob.locator('[data-user="bob"]').click();
  assert.equal(await bob.getByRole('link', { name: 'Administration' }).count(), 0);
  for (const path of ['/admin', '/admin/users', '/admin/audit']) {
    await bob.goto(node.url + path);
    await heading(bob, 'Your role may not see this page').waitFor();
    await bob.getByText(/Your role, engineer, may not/).waitFor();
  }
  await check(bob, 'admin-refused');
  await bob.context().close();
});

test('an admin changes a role, disables and enables a user', { timeout: 240_000 }, async () => {
  await admin.reload();
  await row(admin, 'bob').getByRole('button', { name: 'Change role' }).click();
  await dialog(admin).getByText('Plant head').click();
  await dialog(admin).getByText('bob is plant head from the next request on').waitFor();
  await check(admin, 'admin-role');
  await button(admin, 'Change the role').click();
  await row(admin, 'bob').getByText('Plant head').waitFor();

  await row(admin, 'bob').getByRole('button', { name: 'Disable' }).click();
  await dialog(admin).getByText('is logged out everywhere now').waitFor();
  await check(admin, 'admin-disable');
  await button(admin, 'Disable bob').last().click();
  await row(admin, 'bob').getByText('Disabled').waitFor();
  await row(admin, 'bob').getByRole('button', { name: 'Enable' }).click();
  await dialog(admin).getByRole('button', { name: 'Enable bob' }).click();
  const link = await dialog(admin).locator('code').innerText();
  await button(admin, 'Close').click();
  await row(admin, 'bob').getByText('No password yet').waitFor();

  const bob = await openPage(chrome, link);
  await setPassword(bob);
  await bob.goto(`${node.url}/admin`);
  await heading(bob, 'Audit log').waitFor();
  assert.equal(await bob.getByRole('navigation', { name: 'Administration' }).getByRole('link').count(), 1);
  await bob.context().close();
});

/** Runs a command that a page shows, in a shell, as people do; returns the status of the response. */
function runCommand(command) {
  const curl = command.replace('curl -s ', "curl -s -o /dev/null -w '%{http_code}' ");
  const { stdout, stderr } = spawnSync('bash', ['-c', curl], { encoding: 'utf8' });
  assert.equal(stderr, '');
  return stdout;
}

test('an admin adds a token, the displayed command posts with it, and not after the revocation', { timeout: 240_000 }, async () => {
  await admin.getByRole('link', { name: 'Pump tokens' }).click();
  await heading(admin, 'Pump tokens').waitFor();
  await admin.getByText('There is no valid token').waitFor();
  await check(admin, 'admin-no-token');
  await button(admin, 'Add a token…').click();
  await button(admin, 'Add the token').click();
  await dialog(admin).getByText('Enter the name of the gateway or device.').waitFor();
  await admin.getByLabel('Gateway or device').fill('gateway-1');
  await dialog(admin).getByText('P-101').click();
  await admin.getByLabel('Other pumps').fill("P-103's twin");
  await dialog(admin).getByText('The node does not know P-103').waitFor();
  await admin.getByLabel('May register').check();
  await admin.getByLabel('Expires').selectOption('After 7 days');
  await check(admin, 'admin-add-token');
  await button(admin, 'Add the token').click();
  await dialog(admin).locator('code').nth(1).waitFor();
  const [token, command] = await dialog(admin).locator('code').allInnerTexts();
  assert.match(token, /^vpt_/);
  assert.ok(command.includes(`authorization: Bearer ${token}`));
  await check(admin, 'admin-token');
  await button(admin, 'Close').click();
  await row(admin, token.split('_')[1]).getByText('Never used').waitFor();
  await check(admin, 'admin-tokens');

  assert.equal(runCommand(command), '200');
  assert.equal(runCommand(command.replace('"P-101"', `"P-103'\\''s twin"`)), '200', 'a pump that the token may register');
  await admin.reload();
  await row(admin, token.split('_')[1]).getByText('just now').or(row(admin, token.split('_')[1]).getByText(/\d s ago/)).first().waitFor();

  await row(admin, token.split('_')[1]).getByRole('button', { name: 'Revoke' }).click();
  await dialog(admin).getByText('Posts with this token are refused from now on').waitFor();
  await check(admin, 'admin-revoke');
  await button(admin, 'Revoke gateway-1').last().click();
  await dialog(admin).waitFor({ state: 'detached' });
  await admin.getByText('1 token revoked or expired').click();
  await check(admin, 'admin-revoked');
  assert.equal(runCommand(command), '401');
});

test('the audit log shows it, filtered by an address', { timeout: 240_000 }, async () => {
  await admin.getByRole('link', { name: 'Audit log' }).click();
  const entry = (action) => admin.locator(`[data-action="${action}"]`);
  await entry('revoke-token').getByText('user ada').waitFor();
  for (const [action, words] of [['add-token', 'gateway-1'], ['add-user', 'bob'], ['set-role', 'bob'], ['disable-user', 'bob']]) {
    await entry(action).first().getByText(words).first().waitFor();
  }
  await check(admin, 'admin-audit');
  await admin.getByLabel('Action').selectOption('set-role');
  await admin.waitForFunction(() => document.querySelectorAll('[data-action]').length === 1);
  await admin.getByLabel('From').fill('2020-01-01T00:00');
  await admin.getByLabel('Before').fill('2020-01-02T00:00');
  await admin.getByText('No entry is like this').waitFor();
  assert.equal(new URL(admin.url()).search, '?action=set-role&from=2020-01-01T00%3A00&to=2020-01-02T00%3A00');
  await admin.reload();
  await admin.getByText('No entry is like this').waitFor();
  await check(admin, 'admin-audit-none');
  await button(admin, 'Show all').click();
  await entry('revoke-token').waitFor();
});

test('a user changes the own password, and sets up and removes a second factor', { timeout: 240_000 }, async () => {
  await admin.locator('[data-user="ada"]').click();
  await admin.getByRole('link', { name: 'Your account' }).click();
  await heading(admin, 'Your account').waitFor();
  await check(admin, 'account');
  await admin.getByLabel('Current password').fill('wrong');
  await admin.getByLabel('New password', { exact: true }).fill(NEW_PASSWORD);
  await admin.keyboard.press('Enter');
  await admin.getByText('The current password is wrong.').waitFor();
  await admin.waitForFunction(() => document.activeElement?.id === 'current-password');
  await admin.getByLabel('Current password').fill(PASSWORD);
  await admin.keyboard.press('Enter');
  await admin.getByText('Your password is changed.').waitFor();

  await button(admin, 'Set up a second factor…').click();
  await admin.keyboard.type(NEW_PASSWORD);
  await admin.keyboard.press('Enter');
  const code = admin.getByLabel('The code that the app shows');
  await code.waitFor();
  await admin.getByRole('img', { name: 'QR code' }).waitFor();
  const [url, secret] = await admin.locator('form code').allInnerTexts();
  assert.ok(url.startsWith('otpauth://totp/Volute:ada?') && url.includes(secret), url);
  await check(admin, 'account-second-factor');
  await code.fill('000000');
  await admin.keyboard.press('Enter');
  await admin.getByText('The code is wrong').waitFor();
  await code.fill(totp(secret, 0));
  await admin.keyboard.press('Enter');
  await admin.getByText('On: your logins need a code').waitFor();
  await check(admin, 'account-second-factor-on');

  await button(admin, 'Log out here').click();
  await heading(admin, 'Log in').waitFor();
  await logIn(admin, 'ada', NEW_PASSWORD);
  await admin.getByLabel('Code of your authenticator app').fill(totp(secret, 1));
  await admin.keyboard.press('Enter');
  await admin.locator('[data-user="ada"]').waitFor();
  await admin.goto(`${node.url}/account`);
  await button(admin, 'Remove the second factor…').click();
  await admin.keyboard.type(NEW_PASSWORD);
  await admin.keyboard.press('Enter');
  await admin.getByText('Off: your logins need the password only.').waitFor();
  assert.deepEqual(admin.errors, []);
});

test('the menu works by keyboard', { timeout: 240_000 }, async () => {
  await admin.goto(node.url);
  const toggle = admin.locator('[data-user="ada"]');
  await toggle.focus();
  await admin.keyboard.press('Enter');
  assert.equal(await toggle.getAttribute('aria-expanded'), 'true');
  await admin.keyboard.press('Tab');
  await admin.waitForFunction(() => document.activeElement?.textContent === 'Your account');
  await admin.keyboard.press('Escape');
  assert.equal(await toggle.getAttribute('aria-expanded'), 'false');
  await admin.waitForFunction(() => document.activeElement?.hasAttribute('data-user'));
});

test('a page that is open while the session ends leads back after the login', { timeout: 240_000 }, async () => {
  await admin.goto(`${node.url}/admin/audit?action=set-role`);
  await admin.locator('[data-action="set-role"]').waitFor();
  assert.equal(await send(admin, 'POST', '/api/logout', {}), 200);
  await heading(admin, 'Log in').waitFor();
  await logIn(admin, 'ada', NEW_PASSWORD);
  await admin.locator('[data-action="set-role"]').waitFor();
  assert.equal(new URL(admin.url()).search, '?action=set-role');
});

for (const [width, colorScheme] of [[390, 'light'], [390, 'dark'], [820, 'light'], [1440, 'dark']]) {
  test(`the pages fit ${width} px, ${colorScheme}`, { timeout: 240_000 }, async () => {
    await admin.setViewportSize({ width, height: 900 });
    await admin.emulateMedia({ colorScheme });
    for (const [path, name, ready] of [
      ['/admin/users', 'Users', '[data-row="bob"]'],
      ['/admin/tokens', 'Pump tokens', 'details'],
      ['/admin/audit', 'Audit log', '[data-action="revoke-token"]'],
      ['/account', 'Your account', 'form'],
    ]) {
      await admin.goto(node.url + path);
      await heading(admin, name).waitFor();
      await admin.locator(ready).first().waitFor();
      await check(admin, `${path.slice(1).replace('/', '-')}-${width}-${colorScheme}`);
    }
    await admin.goto(`${node.url}/admin/tokens`);
    await button(admin, 'Add a token…').click();
    await check(admin, `admin-add-token-${width}-${colorScheme}`);
    await admin.getByLabel('Gateway or device').fill(`gateway-${width}-${colorScheme}`);
    await dialog(admin).getByText('P-101').click();
    await button(admin, 'Add the token').click();
    await dialog(admin).locator('code').first().waitFor();
    await check(admin, `admin-token-${width}-${colorScheme}`);
    await button(admin, 'Close').click();
    await admin.locator('[data-user="ada"]').click();
    await check(admin, `account-menu-${width}-${colorScheme}`);
  });
}

test('the node does not answer: the pages show what they know, and say so', { timeout: 240_000 }, async () => {
  await admin.setViewportSize({ width: 1440, height: 900 });
  await admin.goto(`${node.url}/admin/audit`);
  await admin.locator('[data-action="revoke-token"]').waitFor();
  await waitUntilLive(admin);
  await node.kill();
  await button(admin, 'Load the newest').click();
  await admin.getByText('The node does not answer.').waitFor();
  await admin.getByText(/Last known/).waitFor();
  await check(admin, 'admin-audit-offline');
  await admin.getByText('Connection lost').waitFor();
  await node.restart();
  await waitUntilLive(admin);
  await button(admin, 'Load the newest').click();
  await admin.getByText(/Last known/).waitFor({ state: 'detached' });
  await admin.context().close();
});

test('an open demo is shown as a role, and says that the node is open', { timeout: 240_000 }, async () => {
  const demo = await Node.start(['--demo']);
  try {
    const page = await openPage(chrome, `${demo.url}/admin/users`);
    await heading(page, 'Users').waitFor();
    await page.getByLabel('Show as').selectOption('viewer');
    await heading(page, 'Your role may not see this page').waitFor();
    await page.getByText('Only the pages change: the node is open').waitFor();
    assert.equal(await button(page, 'Reload data').count(), 0);
    await check(page, 'demo-as-viewer');
    await page.setViewportSize({ width: 390, height: 844 });
    await check(page, 'demo-as-viewer-390');
    await page.reload();
    await heading(page, 'Your role may not see this page').waitFor();
    await page.getByLabel('Show as').selectOption('plant head');
    await page.goto(`${demo.url}/admin`);
    await heading(page, 'Audit log').waitFor();
    await page.getByLabel('Show as').selectOption('everything');
    await page.getByRole('link', { name: 'Users' }).click();
    await heading(page, 'Users').waitFor();
    assert.deepEqual(page.errors, []);
    await page.context().close();
  } finally {
    await demo.stop();
  }
});
