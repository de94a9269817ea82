// Helpers of the browser tests and the benchmark: a real node from VOLUTE_BIN with its own data folder, and a real Chromium. Everything
// waits for a condition; nothing sleeps for a fixed time.

import { spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));

export const SCREENSHOTS = process.env.E2E_SCREENSHOTS ?? join(here, 'screenshots');

/** The path of the program under test; throws with instructions if there is none. */
function binary() {
  const path = process.env.VOLUTE_BIN;
  if (!path) throw new Error('VOLUTE_BIN is not set: give the path of a built volute, as VOLUTE_BIN=../../target/debug/volute');
  if (!existsSync(path)) throw new Error(`VOLUTE_BIN: there is no file ${path}; build it with cargo build`);
  return path;
}

/** A running node with its own data folder. */
export class Node {
  /** Starts a node, on a free port unless `listen` names one. `flags` are added to `volute serve`, `env` to its environment. */
  static async start(flags = [], { listen = '127.0.0.1:0', env = {} } = {}) {
    const node = new Node();
    node.env = env;
    node.dir = mkdtempSync(join(tmpdir(), 'volute-e2e-'));
    node.flags = flags;
    await node.#launch(listen);
    return node;
  }

  /** Kills the node, like a power failure. */
  async kill() {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await ended;
  }

  /** Starts the node again with the same data and port. */
  async restart() {
    await this.#launch(new URL(this.url).host);
  }

  /** Kills the node and removes its data. */
  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Runs `volute user` with these arguments, and returns what it prints. */
  user(...args) {
    const { status, stdout, stderr } = spawnSync(binary(), ['user', ...args, '--data-dir', this.dir], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`volute user ${args.join(' ')} ended with ${status}: ${stderr}`);
    return stdout;
  }

  /** Posts a reading and waits until it is stored durably. */
  async post(reading) {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${this.url}/api/ingest`, { method: 'POST', headers, body: JSON.stringify(reading) });
    const body = await response.text();
    if (!response.ok) throw new Error(`POST /api/ingest returned ${response.status}: ${body}`);
    return JSON.parse(body);
  }

  async get(path) {
    const response = await fetch(this.url + path);
    if (!response.ok) throw new Error(`GET ${path} returned ${response.status}: ${await response.text()}`);
    return response.json();
  }

  #launch(listen) {
    const flags = ['serve', '--data-dir', this.dir, '--listen', listen, ...this.flags];
    this.process = spawn(binary(), flags, { env: { ...process.env, VOLUTE__STORE__WARN_FREE_PERCENT: '0', ...this.env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    return new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`the node ${why}; its output:\n${output.slice(-3000)}`));
      const onOutput = (chunk) => {
        output += chunk;
        const match = /Volute listens on (http:\/\/\S+)/.exec(output);
        if (!match) return;
        this.url = match[1];
        resolve();
      };
      this.process.stdout.on('data', onOutput);
      this.process.stderr.on('data', onOutput);
      this.process.once('error', (error) => fail(`could not be started (${error.message})`));
      this.process.once('exit', (code) => fail(`ended with ${code} before it listened`));
    });
  }
}

/** Starts a browser without a profile; CHROMIUM names another executable than Debian's. */
export async function launchBrowser(...more) {
  const path = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(path)) {
    throw new Error(`there is no Chromium at ${path}: apt-get install chromium, or name one with CHROMIUM`);
  }
  return chromium.launch({
    executablePath: path,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...more,
    ],
  });
}

/** Opens a page and collects its errors in `page.errors`. `prepare` is called before the page sends any request. */
export async function openPage(chrome, url, { width = 1440, height = 900, colorScheme = 'light', prepare } = {}) {
  const context = await chrome.newContext({ viewport: { width, height }, colorScheme, locale: 'en-GB' });
  const page = await context.newPage();
  // Patience, not a target: on a loaded machine a page takes long.
  page.setDefaultTimeout(90_000);
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error.message));
  await prepare?.(page);
  await page.goto(url);
  return page;
}

const PASSWORD = 'pumps never sleep';

/** Adds a user to a node, and opens a page with the user's session. */
export async function openAs(chrome, node, name, role, path, size) {
  const [, token] = /\/setup#(\S+)/.exec(node.user('add', name, '--role', role));
  const page = await openPage(chrome, `${node.url}/setup#${token}`, size);
  await page.getByLabel('New password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator(`[data-user="${name}"]`).waitFor();
  await page.goto(node.url + path);
  await waitUntilLive(page);
  return page;
}

/** Waits until a page is connected to the node's live stream. */
export const waitUntilLive = (page) => page.locator('[data-connection="open"]').waitFor();

/** The accessibility violations that axe finds on a page, one line each. */
export async function axeViolations(page) {
  // Evaluated by the debugger: the content security policy would refuse a script in the page.
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return result.violations.map(({ id, nodes }) => `${id}: ${nodes.map((one) => one.html).slice(0, 3).join(' | ')}`);
}

/** The code of an authenticator app (RFC 6238: SHA-1, 6 digits, 30 s) for the step `offset` steps from now. */
export function totp(secret, offset) {
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + offset));
  const mac = createHmac('sha1', key).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** How much wider a page's content is than its window, in CSS pixels. */
export const horizontalOverflow = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Saves a screenshot of the whole page. */
export async function screenshot(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** Calls `condition` until it returns a true value, and returns that. `what` names the condition in the error. */
export async function waitUntil(what, condition, timeoutMs = 90_000) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > end) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
