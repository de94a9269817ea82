// The login: the first user is added on the command line, sets a password with the link, logs in and out. The pages ask for a login
// when the session ends elsewhere. What a viewer may not do is not offered.

import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot, totp, waitUntilLive } from './support.js';

const PASSWORD = 'pumps never sleep';
const PUMP = '/pumps/e2e-1';

let node, chrome;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser();
  await node.post({ pump_id: 'e2e-1', Bearing_Temperature_C: 61.5 });
});

after(async () => {
  await chrome?.close();
  await node?.stop();
});

/** Adds or resets a user, and returns the set-up link. */
const setUpLink = (...args) => /(http\S+\/setup#\S+)/.exec(node.user(...args))[1];

/** Sets the password with a link, in a browser of its own. */
async function setPassword(link) {
  const page = await openPage(chrome, link);
  await page.getByLabel('New password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('[data-user]').waitFor();
  return page;
}

async function logIn(page, name, password) {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.keyboard.press('Enter');
}

const pathOf = (page) => new URL(page.url()).pathname;
const loginHeading = (page) => page.getByRole('heading', { level: 1, name: 'Log in' });

async function logOut(page) {
  await page.locator('[data-user]').click();
  await page.getByRole('button', { name: 'Log out' }).click();
  await loginHeading(page).waitFor();
}

const loggedIn = (page, name) => page.locator(`[data-user="${name}"]`);

/** A way to the node on another port that notes each request: a browser does not report those of a shared worker. */
async function countingProxy() {
  const requests = [];
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(node.url).port), '127.0.0.1');
    client.on('data', (bytes) => requests.push(...[...bytes.toString('latin1').matchAll(/^[A-Z]+ (\S+) HTTP/gm)].map((match) => match[1])));
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => [client, upstream].forEach((one) => one.destroy()));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, requests, close: () => server.close() };
}

test('an open node says that it is not secured, and how to change that', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, node.url);
  await page.getByRole('button', { name: 'Not secured' }).click();
  await page.getByText('volute user add NAME --role admin').waitFor();
  assert.deepEqual(await axeViolations(page), []);
  await screenshot(page, 'not-secured');
  await page.getByRole('button', { name: 'Close' }).click();
  await page.setViewportSize({ width: 390, height: 844 });
  assert.equal(await horizontalOverflow(page), 0);
  await screenshot(page, 'not-secured-390');
  await page.goto(`${node.url}/login`);
  await page.waitForURL(`${node.url}/`);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('the first user sets a password by the link, and an open page asks for a login', { timeout: 240_000 }, async () => {
  const open = await openPage(chrome, node.url + PUMP);
  await waitUntilLive(open);
  const link = setUpLink('add', 'ada', '--role', 'admin');
  await loginHeading(open).waitFor();
  await open.context().close();

  const page = await openPage(chrome, link, { width: 390, height: 844 });
  await page.getByLabel('New password').waitFor();
  assert.deepEqual(await axeViolations(page), []);
  assert.equal(await horizontalOverflow(page), 0);
  await page.keyboard.type('pumps');
  await page.keyboard.press('Enter');
  await page.getByText('The password needs 12 characters or more.').waitFor();
  await screenshot(page, 'setup-390');
  await page.getByLabel('New password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Set the password and log in' }).click();
  await page.waitForURL(`${node.url}/`);
  await page.locator('[data-pump="e2e-1"]').waitFor();
  await loggedIn(page, 'ada').waitFor();
  assert.equal(await horizontalOverflow(page), 0);
  await screenshot(page, 'logged-in-390');

  await page.goto(link);
  await page.reload();
  await page.getByLabel('New password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByText('was used already').waitFor();
  await screenshot(page, 'setup-used-390');
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

for (const [width, colorScheme] of [[390, 'light'], [390, 'dark'], [1440, 'light'], [1440, 'dark']]) {
  test(`the login fits ${width} px and is accessible, ${colorScheme}`, { timeout: 240_000 }, async () => {
    const page = await openPage(chrome, node.url, { width, colorScheme });
    await loginHeading(page).waitFor();
    assert.deepEqual(await axeViolations(page), []);
    assert.equal(await horizontalOverflow(page), 0);
    await logIn(page, 'nobody', 'a wrong password');
    await page.getByRole('alert').waitFor();
    assert.deepEqual(await axeViolations(page), []);
    await screenshot(page, `login-${width}-${colorScheme}`);
    await page.context().close();
  });
}

test('a user logs in to the page that asked for it, by keyboard, and logs out', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, node.url + PUMP);
  await loginHeading(page).waitFor();
  assert.equal(page.url(), `${node.url}/login?next=%2Fpumps%2Fe2e-1`);
  await page.waitForFunction(() => document.activeElement?.id === 'login-name');
  await page.keyboard.type('Ada');
  await page.keyboard.press('Tab');
  await page.keyboard.type('pumps always sleep');
  await page.keyboard.press('Enter');
  await page.getByText('The name or the password is wrong.').waitFor();
  await page.waitForFunction(() => document.activeElement?.id === 'login-password');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'e2e-1' }).waitFor();
  assert.equal(pathOf(page), PUMP);
  await waitUntilLive(page);
  await loggedIn(page, 'ada').waitFor();
  await page.getByRole('button', { name: 'Add a name' }).waitFor();
  assert.deepEqual(await axeViolations(page), []);
  await screenshot(page, 'logged-in');

  await logOut(page);
  assert.equal(pathOf(page), '/login');
  assert.equal(await page.getByText('Your session has ended').count(), 0);
  await page.goto(node.url + PUMP);
  await loginHeading(page).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a session that ends elsewhere leads to the login, and nothing is asked for again and again', { timeout: 240_000 }, async () => {
  const proxy = await countingProxy();
  const page = await setPassword(setUpLink('add', 'vera', '--role', 'viewer'));
  await page.goto(proxy.url + PUMP);
  await waitUntilLive(page);
  const second = await page.context().newPage();
  await second.goto(proxy.url);
  await waitUntilLive(second);
  assert.ok(proxy.requests.some((path) => path.startsWith('/api/stream')), 'the streams are seen');
  const link = setUpLink('reset', 'vera');
  for (const one of [page, second]) {
    await loginHeading(one).waitFor();
    await one.getByText('Your session has ended').waitFor();
  }
  assert.equal(new URL(page.url()).searchParams.get('next'), PUMP);
  await screenshot(page, 'session-ended');
  const count = proxy.requests.length;
  const other = await setPassword(link);
  await other.context().close();
  assert.deepEqual(proxy.requests.slice(count), [], 'nothing was tried again meanwhile');
  await logIn(page, 'vera', PASSWORD);
  await page.getByRole('heading', { level: 1, name: 'e2e-1' }).waitFor();
  assert.equal(pathOf(page), PUMP);
  await waitUntilLive(page);
  assert.deepEqual(page.errors, []);
  await page.context().close();
  proxy.close();
});

test('a viewer is offered nothing that a viewer may not do', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, node.url + PUMP);
  await logIn(page, 'vera', PASSWORD);
  await loggedIn(page, 'vera').waitFor();
  await waitUntilLive(page);
  await page.getByRole('heading', { name: 'What is normal for this pump' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Add a name' }).count(), 0);
  await screenshot(page, 'viewer');
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a user with an authenticator app is asked for its code', { timeout: 240_000 }, async () => {
  const page = await setPassword(setUpLink('add', 'grace', '--role', 'engineer'));
  const send = (path, body) =>
    page.evaluate(async ([path, body]) => {
      const response = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return response.json();
    }, [path, body]);
  const { secret } = await send('/api/second-factor', { password: PASSWORD });
  await send('/api/second-factor/confirm', { code: totp(secret, 0) });
  await logOut(page);
  await logIn(page, 'grace', PASSWORD);
  await page.waitForFunction(() => document.activeElement?.id === 'login-code');
  assert.deepEqual(await axeViolations(page), []);
  await page.keyboard.type('000000');
  await page.keyboard.press('Enter');
  await page.getByText('The code is wrong, or was used already.').waitFor();
  await screenshot(page, 'login-code');
  await page.keyboard.type(totp(secret, 1));
  await page.keyboard.press('Enter');
  await loggedIn(page, 'grace').waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('after many failed logins the page says how long to wait', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, `${node.url}/login`);
  await page.getByLabel('Name').fill('vera');
  const wait = page.getByRole('button', { name: /^Wait \d+ s$/ });
  for (let attempt = 0; attempt < 10 && (await wait.count()) === 0; attempt += 1) {
    const answer = page.waitForResponse('**/api/login');
    await page.getByLabel('Password').fill(`wrong ${attempt}`);
    await page.keyboard.press('Enter');
    await answer;
    await page.getByRole('alert').waitFor();
  }
  await wait.waitFor();
  assert.ok(await wait.isDisabled());
  await page.getByText(/Too many failed logins; try again in \d+ s\./).waitFor();
  assert.deepEqual(await axeViolations(page), []);
  await screenshot(page, 'locked-out');
  await page.getByLabel('Name').fill('ada');
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});
