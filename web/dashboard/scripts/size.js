// Compares the compressed size of a first visit with its budget; fails if it is above. Run after `npm run build`. A first visit loads
// the files that index.html names and their static imports; the pages that load on demand are listed separately.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const BUDGET_KB = { js: 70, css: 20 };
const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');

/** The sizes in kB after gzip, of the first visit and on demand, by file type. */
export function sizes() {
  const html = readFileSync(join(dist, 'index.html'), 'utf8');
  const initial = new Set([...html.matchAll(/(?:src|href)="\/assets\/([^"]+)"/g)].map((match) => match[1]));
  for (const name of initial) {
    if (!name.endsWith('.js')) continue;
    const text = readFileSync(join(dist, 'assets', name), 'utf8');
    for (const match of text.matchAll(/(?:^|[;}\s])(?:import|export)\s*(?:[^"'`;()]*?from\s*)?["']\.\/([^"']+)["']/g)) {
      initial.add(match[1]);
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
  let overBudget = false;
  for (const kind of ['js', 'css']) {
    const [first, later] = [total.initial[kind], total.onDemand[kind]];
    console.log(`${kind}: ${first.toFixed(1)} kB initial of ${BUDGET_KB[kind]} kB, ${later.toFixed(1)} kB on demand (gzip)`);
    overBudget ||= first > BUDGET_KB[kind];
  }
  if (overBudget) {
    console.error('above the budget');
    process.exit(1);
  }
}
