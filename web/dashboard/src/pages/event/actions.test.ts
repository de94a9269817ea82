import { describe, expect, it } from 'vitest';
import type { EventActionKind } from '../../api/eventQueries';
import type { MaintenanceEvent } from '../../api/types';
import { whyNot } from '../../lib/access';
import { actionOf, mistakeOf, modeName, newDraft, nobodyDecides, offers, type Draft } from './actions';
import { changeInWords, workInWords } from './wording';

type Work = MaintenanceEvent['work'];
type Change = Work['history'][number];

const NOW = new Date('2026-03-09T10:00:00').getTime();
const PLAN = { on: new Date('2026-03-13T08:00:00').toISOString(), owner: 'ravi' };
const change = (status: string, by = 'user asha', more: Partial<Change> = {}): Change => ({
  at: new Date('2026-03-09T09:30:00').toISOString(), by, status, comment: null, plan: null, finding: null, ...more,
});
const work = (status: string, allowed: EventActionKind[], ...history: Change[]): Work => ({
  status, allowed, plan: null, finding: null, changes: history.length, history,
});
const user = (name: string, permissions: string[]) => ({ kind: 'user', name, secured: true, role: 'engineer', permissions });
const ENGINEER = ['view', 'acknowledge', 'plan', 'submit'];
const submitted = work('submitted', ['approve', 'reject'], change('submitted'));

const offered = (of: Work, who: ReturnType<typeof user> | { kind: string; name: null; secured: boolean; role: null; permissions: string[] }) =>
  Object.fromEntries(offers(of, who, (permission) => whyNot(permission, who)).map(({ kind, refusal }) => [kind, refusal]));

describe('the actions on an event', () => {
  it('are those that its status allows, whoever looks', () => {
    expect(offered(work('open', ['acknowledge', 'plan', 'finish']), user('asha', ENGINEER))).toEqual({ acknowledge: null, plan: null, finish: null });
    expect(offered(work('done', ['reopen']), user('asha', ENGINEER))).toEqual({ reopen: null });
  });

  it('are refused with the reason where the role may not', () => {
    expect(offered(work('open', ['acknowledge', 'plan']), { ...user('meera', ['view', 'approve']), role: 'manager' })).toEqual({
      acknowledge: 'Your role, manager, may not acknowledge alarms or events.',
      plan: 'Your role, manager, may not plan maintenance.',
    });
    expect(offers(submitted, null, () => '').map(({ refusal }) => refusal)).toEqual(['', '']);
  });

  it('do not include a decision on the own plan', () => {
    const both = [...ENGINEER, 'approve'];
    const own = 'This is your plan: somebody else has to decide on it.';
    expect(offered(submitted, user('asha', both))).toEqual({ approve: own, reject: own });
    expect(offered(submitted, user('meera', both))).toEqual({ approve: null, reject: null });
    const planned = work('submitted', ['approve'], change('planned', 'user meera'), change('submitted'));
    expect(offered(planned, user('meera', both)).approve).toBe(own);
    expect(offered(submitted, user('asha', ENGINEER)).approve).toBe('Your role, engineer, may not approve or reject maintenance.');
  });

  it('do not include any decision on a node without users', () => {
    const nobody = { kind: 'anonymous', name: null, secured: false, role: null, permissions: [...ENGINEER, 'approve'] };
    expect(offered(work('submitted', ['approve'], change('submitted', '127.0.0.1')), nobody).approve).toContain('The node has no users');
    expect(nobodyDecides(nobody)).toBe(true);
    // Submitted by a user whom the node no longer has.
    expect(offered(submitted, nobody).approve).toBeNull();
  });
});

describe('what the dialog sends', () => {
  const draft = (more: Partial<Draft> = {}): Draft => ({ ...newDraft({ plan: null }, 'asha', NOW), ...more });

  it('begins with tomorrow morning, or the plan in force', () => {
    expect(draft()).toMatchObject({ on: '2026-03-10T08:00', owner: 'asha' });
    expect(newDraft({ plan: PLAN }, 'asha', NOW)).toMatchObject({ on: '2026-03-13T08:00', owner: 'ravi' });
  });

  it('has what was entered, and no empty comment', () => {
    expect(actionOf('acknowledge', draft({ comment: '  ' }), null)).toEqual({ action: { kind: 'acknowledge', body: {} } });
    const plan = actionOf('plan', draft({ on: '2026-03-13T08:00', owner: ' ravi ', comment: 'soon' }), null);
    expect(plan).toEqual({ action: { kind: 'plan', body: { ...PLAN, comment: 'soon' } } });
  });

  it.each([
    ['plan', { on: '', owner: ' ' }, { on: 'Enter a date and a time.', owner: 'Enter who is responsible.' }],
    ['reject', { comment: ' ' }, { comment: 'Enter why.' }],
    ['finish', {}, { found: 'Choose what was found.' }],
    ['finish', { found: 'mode' }, { mode: 'Enter the failure mode.' }],
    ['finish', { found: 'other' }, { comment: 'Enter what was found.' }],
  ] as const)('is missing something: %s %j', (kind, more, mistakes) => {
    expect(actionOf(kind, draft(more), null)).toEqual({ mistakes });
  });

  it.each([
    [{ found: 'expected' }, { kind: 'failure_mode', mode: 'bearing_wear' }],
    [{ found: 'mode', mode: ' Seal  leak' }, { kind: 'failure_mode', mode: 'seal_leak' }],
    [{ found: 'nothing', mode: 'left over' }, { kind: 'nothing' }],
    [{ found: 'other', comment: 'a rag' }, { kind: 'other' }],
  ] as const)('has the finding %j', (more, finding) => {
    expect(actionOf('finish', draft(more), 'bearing_wear')).toMatchObject({ action: { body: { finding } } });
  });

  it('names the same failure mode in the same way', () => {
    expect(['Seal leak', 'seal_leak', ' SEAL-LEAK '].map(modeName)).toEqual(['seal_leak', 'seal_leak', 'seal_leak']);
  });

  it('shows the objection of the node at its field, times in words', () => {
    const allowed = `${new Date('2026-03-02T10:00:00').toISOString()} to ${new Date('2031-03-10T10:00:00').toISOString()}`;
    expect(mistakeOf({ field: 'on', allowed, message: 'no' }, NOW)?.on).toMatch(/^Allowed: .*2.*10:00 to .*2031.*10:00$/);
    expect(mistakeOf({ field: 'finding.mode', allowed: null, message: 'No.' }, NOW)).toEqual({ mode: 'No.' });
    expect(mistakeOf({ field: 'limits.x', allowed: null, message: 'No.' }, NOW)).toBeNull();
  });
});

describe('the work in words', () => {
  const said = (status: string, last?: Change, plan: Work['plan'] = PLAN) => workInWords({ status, plan, history: last ? [last] : [] }, NOW);

  it('says who did what, when, and what comes next', () => {
    expect(said('open')).toBe('Nobody has reacted yet.');
    expect(said('acknowledged', change('acknowledged', 'user asha', { comment: 'going there' }))).toMatch(/^Asha has seen it \(.*30.*\): “going there”\.$/);
    expect(said('planned', change('planned'))).toMatch(/^Planned for Fri .*8:00, ravi\. Not submitted for approval yet\.$/);
    expect(said('submitted', change('submitted'))).toMatch(/waits for approval\. Asha submitted it \(/);
    expect(said('rejected', change('rejected', 'user meera', { comment: 'too late' }))).toMatch(/^Meera rejected the plan \(Fri .*\): “too late”\.$/);
    expect(said('done', change('done', '127.0.0.1', { finding: { kind: 'nothing', mode: null } }))).toMatch(/^Done\. Somebody at 127\.0\.0\.1 finished it, found: nothing was wrong/);
    expect(said('reopened', change('reopened'))).toContain('Nobody has reacted since');
    expect(said('later', change('later'))).toContain('set it to later');
  });

  it('says what one change was', () => {
    expect(changeInWords(change('planned', 'user asha', { plan: PLAN }), NOW)).toMatch(/^Asha planned it for Fri .*, ravi$/);
    expect(changeInWords(change('done', 'user ravi', { finding: { kind: 'failure_mode', mode: 'bearing_wear' } }), NOW)).toBe('Ravi finished it, found: bearing wear');
  });
});
