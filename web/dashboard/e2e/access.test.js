// Pages of other origins, in a real browser: they change nothing, read nothing, and a name that is rebound to the node's address
// reads nothing either. Also with the cookie of a user who has logged in.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launchBrowser, Node } from './support.js';

const PASSWORD = 'pumps never sleep';

let node, chrome, context, evil, orders, reads;

before(async () => {
  node = await Node.start();
  chrome = await launchBrowser('--host-resolver-rules=MAP evil.example 127.0.0.1');
  context = await chrome.newContext();
  evil = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>evil</title>'));
  await new Promise((resolve) => evil.listen(0, '127.0.0.1', resolve));
  const { paths } = await node.get('/api/openapi.json');
  const rows = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => [method.toUpperCase(), path]));
  const filled = rows.map(([method, path]) => [method, path.replace('{id}', 'recorder').replace('{name}', 'ada').replace('{version}', '1')]);
  orders = filled.filter(([method]) => method !== 'GET');
  reads = filled.filter(([method, path]) => method === 'GET' && path !== '/api/stream');
});

after(async () => {
  evil?.close();
  await chrome?.close();
  await node?.stop();
});

/** Opens a page of the other origin: of another site, or of the node's host with another port. */
async function evilPage(host) {
  const page = await context.newPage();
  await page.goto(`http://${host}:${evil.address().port}/`);
  return page;
}

/** Sends each request from the page in each way that a script has, and returns those whose response it could read. */
const attack = (page, requests) =>
  page.evaluate(
    async ([url, requests]) => {
      const read = [];
      for (const [method, path] of requests) {
        const attempts = [{ mode: 'cors', headers: { 'content-type': 'application/json' } }, { mode: 'no-cors' }];
        for (const attempt of attempts) {
          const body = method === 'GET' ? undefined : '{}';
          try {
            const response = await fetch(url + path, { method, body, credentials: 'include', ...attempt });
            if (response.type !== 'opaque') read.push(`${method} ${path} ${response.status}`);
          } catch {
            // Refused by the browser.
          }
        }
        if (method === 'POST') {
          const frame = document.body.appendChild(Object.assign(document.createElement('iframe'), { name: 'target' }));
          const form = Object.assign(document.createElement('form'), { method, action: url + path, target: 'target', enctype: 'text/plain' });
          document.body.appendChild(form).appendChild(Object.assign(document.createElement('input'), { name: '{"a":"', value: '"}' }));
          const loaded = new Promise((resolve) => frame.addEventListener('load', resolve));
          form.submit();
          await loaded;
          frame.remove();
          form.remove();
        }
      }
      return read;
    },
    [node.url, requests],
  );

for (const host of ['evil.example', '127.0.0.1']) {
  test(`a page of ${host} on another port changes and reads nothing of an open node`, { timeout: 240_000 }, async () => {
    assert.ok(orders.length > 20 && reads.length > 15, `${orders.length} and ${reads.length} routes`);
    const page = await evilPage(host);
    assert.deepEqual(await attack(page, orders), []);
    assert.deepEqual(await attack(page, reads), []);
    for (const list of ['/api/users', '/api/tokens', '/api/pumps']) {
      assert.deepEqual((await node.get(list)).items, [], list);
    }
    // Refused requests are in the log, and nothing else.
    const log = (await node.get('/api/audit-log?limit=1000')).items;
    assert.ok(log.length > 0);
    assert.deepEqual(log.filter(({ action, outcome }) => action !== 'request' || !outcome.startsWith('403')), []);
    await page.close();
  });
}

test('a name that is rebound to the node reads nothing', { timeout: 240_000 }, async () => {
  const page = await context.newPage();
  const { port } = new URL(node.url);
  assert.equal((await page.goto(`http://evil.example:${port}/`)).status(), 421);
  for (const [, path] of reads) assert.equal((await page.goto(`http://evil.example:${port}${path}`)).status(), 421, path);
  await page.close();
});

test('a page of another origin cannot use the session of a user', { timeout: 240_000 }, async () => {
  const args = ['user', 'add', 'ada', '--role', 'admin', '--data-dir', node.dir];
  const link = /\/setup#(\S+)/.exec(spawnSync(process.env.VOLUTE_BIN, args, { encoding: 'utf8' }).stdout)[1];
  const own = await context.newPage();
  await own.goto(node.url);
  const status = await own.evaluate(
    async ([token, password]) => {
      const send = (path, body) => fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      await send('/api/setup', { token, password });
      return (await fetch('/api/users')).status;
    },
    [link, PASSWORD],
  );
  assert.equal(status, 200, 'the user is logged in');
  const log = () =>
    own.evaluate(async () => (await (await fetch('/api/audit-log?limit=1000')).json()).items.filter(({ action }) => action !== 'request').length);
  const before = await log();
  for (const host of ['evil.example', '127.0.0.1']) {
    const page = await evilPage(host);
    assert.deepEqual(await attack(page, [...orders, ...reads]), [], host);
    await page.close();
  }
  assert.equal(await log(), before, 'no order was carried out or refused');
});
