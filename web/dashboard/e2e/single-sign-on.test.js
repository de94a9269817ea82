// Logins at an identity provider on another site, as a browser sees them: the cookies come back where they must, the first page after
// the login is that of the user, and a login that fails is explained. The provider is a server of this test.

import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { axeViolations, horizontalOverflow, launchBrowser, Node, openPage, screenshot } from './support.js';

let node, chrome, provider;

/** A provider under the name localhost, which is another site than 127.0.0.1. It logs in whoever presses its button. */
async function startProvider() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = { ...publicKey.export({ format: 'jwk' }), kid: 'key-1', use: 'sig', alg: 'ES256' };
  const nonces = new Map();
  const started = { groups: ['plant-engineers'], down: false };
  const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const idToken = (nonce) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: started.url, sub: '7f3a', aud: 'volute', exp: now + 300, iat: now, nonce, preferred_username: 'ada', groups: started.groups };
    const message = `${encoded({ alg: 'ES256', kid: 'key-1' })}.${encoded(claims)}`;
    return `${message}.${sign('sha256', Buffer.from(message), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  const server = createServer(async (request, response) => {
    if (started.down) return request.socket.destroy();
    const { pathname, searchParams } = new URL(request.url, started.url);
    const json = (value) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    if (pathname === '/.well-known/openid-configuration') {
      const at = (path) => `${started.url}${path}`;
      json({ issuer: started.url, authorization_endpoint: at('/authorize'), token_endpoint: at('/token'), jwks_uri: at('/keys') });
    } else if (pathname === '/keys') json({ keys: [key] });
    else if (pathname === '/authorize') {
      const code = `code-${nonces.size}`;
      nonces.set(code, searchParams.get('nonce'));
      const back = `${searchParams.get('redirect_uri')}?code=${code}&state=${searchParams.get('state')}`;
      response.setHeader('content-type', 'text/html').end(`<!doctype html><title>Provider</title><a href="${back}">Log in as ada</a>`);
    } else if (pathname === '/token') {
      let body = '';
      for await (const chunk of request) body += chunk;
      json({ id_token: idToken(nonces.get(new URLSearchParams(body).get('code'))), access_token: 'x', token_type: 'Bearer' });
    } else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  started.url = `http://localhost:${server.address().port}`;
  started.stop = () => server.close();
  return started;
}

/** Returns a port that is free. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

before(async () => {
  provider = await startProvider();
  const listen = `127.0.0.1:${await freePort()}`;
  node = await Node.start([], {
    listen,
    env: {
      VOLUTE__SERVER__PUBLIC_URL: `http://${listen}`,
      VOLUTE__ACCESS__OIDC__ISSUER: provider.url,
      VOLUTE__ACCESS__OIDC__CLIENT_ID: 'volute',
      VOLUTE__ACCESS__OIDC__NAME: 'Plant login',
      VOLUTE__ACCESS__OIDC__ROLES: '{"plant-engineers"="engineer"}',
    },
  });
  chrome = await launchBrowser();
  await node.post({ pump_id: 'e2e-1', Bearing_Temperature_C: 61.5 });
});

after(async () => {
  await chrome?.close();
  await node?.stop();
  provider?.stop();
});

const signIn = (page) => page.getByRole('link', { name: 'Sign in with Plant login' });
const atProvider = (page) => page.getByRole('link', { name: 'Log in as ada' });

test('a login leads to the provider and back to the page, and the session is used at once', { timeout: 240_000 }, async () => {
  const page = await openPage(chrome, `${node.url}/pumps/e2e-1`);
  await signIn(page).waitFor();
  assert.deepEqual(await axeViolations(page), []);
  await screenshot(page, 'sign-in');
  await signIn(page).click();
  await atProvider(page).click();
  await page.locator('[data-user="ada"]').waitFor();
  assert.equal(page.url(), `${node.url}/pumps/e2e-1`);
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.map(({ name, sameSite, httpOnly }) => [name, sameSite, httpOnly]), [['volute-session', 'Strict', true]]);
  await page.getByText('engineer').first().waitFor();
  await page.locator('[data-user]').click();
  await page.getByRole('button', { name: 'Log out' }).click();
  await signIn(page).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('who has no role on the node is told so', { timeout: 240_000 }, async () => {
  provider.groups = ['cleaners'];
  const page = await openPage(chrome, `${node.url}/login`, { width: 390, height: 844 });
  await signIn(page).click();
  await atProvider(page).click();
  await page.getByText('none of your groups has a role on this node').waitFor();
  assert.deepEqual(await axeViolations(page), []);
  assert.equal(await horizontalOverflow(page), 0);
  await screenshot(page, 'sign-in-no-role-390');
  assert.deepEqual(await page.context().cookies(), []);
  await page.context().close();
});
