// What the browser tests and the benchmark stand on: a real node from VOLUTE_BIN with a data folder of its own, and a real Chromium.
// Nothing here sleeps; everything waits for a condition.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));

export const SCREENSHOTS = process.env.E2E_SCREENSHOTS ?? join(here, 'screenshots');

/** The program under test; says what to do where there is none. */
function binary() {
  const path = process.env.VOLUTE_BIN;
  if (!path) throw new Error('VOLUTE_BIN is not set: give the path of a built volute, as VOLUTE_BIN=../../target/debug/volute');
  if (!existsSync(path)) throw new Error(`VOLUTE_BIN: there is no file ${path}; build it with cargo build`);
  return path;
}

/** A running node with its own data folder. */
export class Node {
  /** Starts one on a free port. `flags` come after `serve`. */
  static async start(flags = []) {
    const node = new Node();
    node.dir = mkdtempSync(join(tmpdir(), 'volute-e2e-'));
    node.flags = flags;
    await node.#launch('127.0.0.1:0');
    return node;
  }

  /** Ends it at once, as a power failure would. */
  async kill() {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await ended;
  }

  /** Starts it again with the same data on the same port. */
  async restart() {
    await this.#launch(new URL(this.url).host);
  }

  /** Ends it and removes its data. */
  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Posts a reading and waits until it is durable. */
  async post(reading) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${this.url}/api/ingest`, { method: 'POST', headers, body: JSON.stringify(reading) });
    const body = await answer.text();
    if (!answer.ok) throw new Error(`a post was answered ${answer.status}: ${body}`);
    return JSON.parse(body);
  }

  async get(path) {
    const answer = await fetch(this.url + path);
    if (!answer.ok) throw new Error(`${path} was answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }

  #launch(listen) {
    const flags = ['serve', '--data-dir', this.dir, '--listen', listen, ...this.flags];
    this.process = spawn(binary(), flags, { env: { ...process.env, VOLUTE__STORE__WARN_FREE_PERCENT: '0' }, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    return new Promise((resolve, reject) => {
      const failed = (why) => reject(new Error(`the node ${why}; it said:\n${said.slice(-3000)}`));
      const listenTo = (chunk) => {
        said += chunk;
        const found = /Volute listens on (http:\/\/\S+)/.exec(said);
        if (!found) return;
        this.url = found[1];
        resolve();
      };
      this.process.stdout.on('data', listenTo);
      this.process.stderr.on('data', listenTo);
      this.process.once('error', (error) => failed(`could not be started (${error.message})`));
      this.process.once('exit', (code) => failed(`ended with ${code} before it listened`));
    });
  }
}

/** A browser without anything of its own; CHROMIUM names another than Debian's. */
export async function browser(...more) {
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

/** A page that fails the test with the first error it reports. `prepare` sees it before it asks for anything. */
export async function open(chrome, url, { width = 1440, height = 900, colorScheme = 'light', prepare } = {}) {
  const context = await chrome.newContext({ viewport: { width, height }, colorScheme, locale: 'en-GB' });
  const page = await context.newPage();
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error.message));
  await prepare?.(page);
  await page.goto(url);
  return page;
}

/** Waits until a page hears the node. */
export const isLive = (page) => page.locator('[data-link="open"]').waitFor();

/** What axe finds wrong with a page, one line each. */
export async function violations(page) {
  // By the debugger and not as a script in the page, which the content security policy would refuse.
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((one) => one.html).slice(0, 3).join(' | ')}`);
}

/** What a page has to the right of its window, in CSS pixels. */
export const overhang = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Keeps what a page looks like. */
export async function screenshot(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** Waits until a question has the wanted answer. */
export async function until(what, ask, timeoutMs = 30_000) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
