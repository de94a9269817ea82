import { describe, expect, it } from 'vitest';
import { ApiProblem } from '../../api/client';
import type { AuditEntry } from '../../api/types';
import { actionInWords, changesOf, filterOf, originOf, queryOf, searchOf, whatOf } from './audit';
import { AuditLog } from './auditLog.svelte';

const entry = (more: object = {}): AuditEntry =>
  ({ at: '2026-03-09T10:00:00.000Z', who: 'user ada', action: 'add-user', object: 'bob', outcome: 'done', detail: '', ...more }) as AuditEntry;

describe('what was done', () => {
  it.each<[object, string, string | null]>([
    [{}, 'Add the user', 'bob'],
    [{ action: 'login', object: 'ada' }, 'Log in', null],
    [{ action: 'login', object: 'bob', who: '127.0.0.1:5000' }, 'Log in as', 'bob'],
    [{ action: 'set-password', object: 'ada' }, 'Set the own password', null],
    [{ action: 'set-password', object: 'bob', who: '127.0.0.1:5000' }, 'Set the password of', 'bob'],
    [{ action: 'stop-simulation', object: 'simulation' }, 'Stop the simulation', null],
    [{ action: 'polish-pump', object: 'P-1' }, 'Polish pump', 'P-1'],
  ])('%o', (more, words, object) => expect(whatOf(entry(more))).toEqual({ words, object }));

  it('is named without an object in a list of actions', () => {
    expect([actionInWords('set-role'), actionInWords('add-user'), actionInWords('polish-pump')]).toEqual(['Change the role', 'Add the user', 'Polish pump']);
  });
});

describe('changesOf', () => {
  it.each<[string, object, object[]]>([
    ['nothing', {}, []],
    ['nulls', { before: null, after: null }, []],
    ['plain values', { before: 'viewer', after: 'admin' }, [{ field: '', before: 'viewer', after: 'admin' }]],
    ['objects', { before: { role: 'viewer', disabled: false }, after: { role: 'admin', disabled: false } }, [{ field: 'role', before: 'viewer', after: 'admin' }]],
    ['texts of JSON', { before: '{"hold_s":5}', after: '{"hold_s":null,"on":true}' }, [{ field: 'hold_s', before: '5', after: '–' }, { field: 'on', before: '–', after: 'yes' }]],
    ['something new', { after: { pumps: ['P-1', 'P-2'] } }, [{ field: 'pumps', before: '–', after: 'P-1, P-2' }]],
  ])('of %s', (_, more, changes) => expect(changesOf(entry(more))).toEqual(changes));
});

it('shows the fields that it does not know', () => {
  expect(originOf(entry({ peer: '10.0.0.7:5123', request_id: null, colour: 'red' }))).toEqual([
    { name: 'Address', value: '10.0.0.7:5123' },
    { name: 'Colour', value: 'red' },
  ]);
  expect(originOf(entry({ request: { peer: '10.0.0.7:5123', origin: null, id: '6f1c' } }))).toEqual([
    { name: 'Address', value: '10.0.0.7:5123' },
    { name: 'Request', value: '6f1c' },
  ]);
});

describe('the filter', () => {
  it('is in the address', () => {
    const filter = { action: 'login', from: '2026-03-09T10:00', to: '' };
    expect(searchOf(filter)).toBe('?action=login&from=2026-03-09T10%3A00');
    expect(filterOf(searchOf(filter))).toEqual(filter);
    expect(searchOf(filterOf(''))).toBe('');
  });

  it('becomes a query, without what cannot be read', () => {
    const local = '2026-03-09T10:00';
    expect(queryOf({ action: 'login', from: local, to: 'soon' })).toEqual({ action: 'login', from: new Date(local).toISOString(), to: undefined });
  });
});

describe('AuditLog', () => {
  /** A node with entries in pages of two; each request is noted. */
  function setup(...objects: string[]) {
    const queries: object[] = [];
    let fails = false;
    const log = new AuditLog(async (query) => {
      queries.push(query);
      if (fails) throw new ApiProblem(503, 'The store is not available.');
      const start = Number(query.cursor ?? 0);
      const items = objects.slice(start, start + 2).map((object) => entry({ object }));
      return { items, next_cursor: start + 2 < objects.length ? String(start + 2) : null };
    });
    return { log, queries, fail: (now: boolean) => (fails = now) };
  }
  const shown = (log: AuditLog) => log.data?.map(({ object }) => object);

  it('adds older entries below', async () => {
    const { log, queries } = setup('e', 'd', 'c');
    await log.load({ action: 'restart' });
    expect([shown(log), log.hasMore]).toEqual([['e', 'd'], true]);
    await log.more();
    expect([shown(log), log.hasMore]).toEqual([['e', 'd', 'c'], false]);
    expect(queries).toEqual([{ action: 'restart', limit: 100 }, { action: 'restart', limit: 100, cursor: '2' }]);
  });

  it('keeps what it shows if a request fails, and forgets it for a new filter', async () => {
    const { log, fail } = setup('e');
    await log.load({});
    fail(true);
    await log.refresh();
    expect([shown(log), log.problem?.message, log.busy]).toEqual([['e'], 'The store is not available.', false]);
    await log.load({ action: 'login' });
    expect(log.data).toBeNull();
    fail(false);
    await log.refresh();
    expect([shown(log), log.problem]).toEqual([['e'], null]);
  });

  it('shows the entries of the last filter, whichever response is last', async () => {
    const waiting: ((items: AuditEntry[]) => void)[] = [];
    const log = new AuditLog(() => new Promise((resolve) => waiting.push((items) => resolve({ items, next_cursor: null }))));
    const loads = [log.load({ action: 'login' }), log.load({ action: 'logout' })];
    waiting[1]([entry({ object: 'second' })]);
    waiting[0]([entry({ object: 'first' })]);
    await Promise.all(loads);
    expect(shown(log)).toEqual(['second']);
  });
});
