// What a first visit loads, compressed, against its budget. Run after `npm run build`; fails above the budget.
// "Initial" is what index.html names and what that imports statically; pages that load on demand are listed apart.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const BUDGET_KB = { js: 70, css: 20 };
const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');

/** Sizes in kB after gzip: initial and on demand, by kind. */
export function sizes() {
  const html = readFileSync(join(dist, 'index.html'), 'utf8');
  const initial = new Set([...html.matchAll(/(?:src|href)="\/assets\/([^"]+)"/g)].map((found) => found[1]));
  for (const name of initial) {
    if (!name.endsWith('.js')) continue;
    const text = readFileSync(join(dist, 'assets', name), 'utf8');
    for (const found of text.matchAll(/(?:^|[;}\s])(?:import|export)\s*(?:[^"'`;()]*?from\s*)?["']\.\/([^"']+)["']/g)) {
      initial.add(found[1]);
    }
  }
  const total = { initial: { js: 0, css: 0 }, onDemand: { js: 0, css: 0 } };
  for (const name of readdirSync(join(dist, 'assets'))) {
    const kind = name.endsWith('.js') ? 'js' : name.endsWith('.css') ? 'css' : null;
    if (!kind) continue;
    const kb = gzipSync(readFileSync(join(dist, 'assets', name))).length / 1000;
    total[initial.has(name) ? 'initial' : 'onDemand'][kind] += kb;
  }
  return total;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const total = sizes();
  let over = false;
  for (const kind of ['js', 'css']) {
    const [first, later] = [total.initial[kind], total.onDemand[kind]];
    console.log(`${kind}: ${first.toFixed(1)} kB initial of ${BUDGET_KB[kind]} kB, ${later.toFixed(1)} kB on demand (gzip)`);
    over ||= first > BUDGET_KB[kind];
  }
  if (over) {
    console.error('above the budget');
    process.exit(1);
  }
}
