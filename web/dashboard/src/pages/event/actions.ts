// What people can do about a maintenance event: which action is offered to whom and why not, what each needs, and what is wrong
// with what was entered. Pure. The status decides (`work.allowed`), then the role, then whose plan it is.
// An example: for a submitted plan, its engineer sees 'Approve' disabled, with 'This is your plan: ...'.

import type { ApiProblem } from '../../api/client';
import type { EventAction, EventActionKind } from '../../api/eventQueries';
import type { MaintenanceEvent, Session } from '../../api/types';
import type { Permission } from '../../lib/access';
import { formatAppointment, inputTime, withTimes } from '../../lib/format';

type Work = MaintenanceEvent['work'];

export interface ActionLook {
  /** The button; an ellipsis follows, because a dialog asks for more. */
  button: string;
  /** What it means, in the dialog. */
  meaning: string;
  needs: Permission;
  /** The label of the comment, if it is required. */
  reason?: string;
}

/** In the order of the buttons. */
export const ACTIONS: Record<EventActionKind, ActionLook> = {
  acknowledge: { button: 'Acknowledge', meaning: 'You have seen it. Others see that somebody takes care of it.', needs: 'acknowledge' },
  approve: { button: 'Approve', meaning: 'The work may be done as it is planned.', needs: 'approve' },
  reject: { button: 'Reject', meaning: 'The plan has to be changed and submitted again.', needs: 'approve', reason: 'Why' },
  submit: { button: 'Submit for approval', meaning: 'Somebody else decides on the plan. If it is changed before, it has to be submitted again.', needs: 'submit' },
  plan: { button: 'Plan', meaning: 'When the work is done, and who is responsible.', needs: 'plan' },
  finish: { button: 'Finish', meaning: 'The work is done, or nothing had to be done. What was found is what the diagnosis learns from.', needs: 'plan' },
  reopen: { button: 'Reopen', meaning: 'It was done, but the fault is there again. The finding before stays in the history.', needs: 'plan' },
};

const ORDER = Object.keys(ACTIONS) as EventActionKind[];

/** An action that the status allows. */
export interface Offer {
  kind: EventActionKind;
  /** Why this user may not; null if it is allowed; empty while that is not known. */
  refusal: string | null;
}

type Who = Pick<Session, 'kind' | 'name' | 'secured'>;

/** What can be done about an event now. */
export function offers(work: Pick<Work, 'allowed' | 'status' | 'history'>, who: Who | null, whyNot: (permission: Permission) => string | null): Offer[] {
  const refusal = (kind: EventActionKind) => whyNot(ACTIONS[kind].needs) ?? ownPlanRefusal(kind, work, who);
  return ORDER.filter((kind) => work.allowed.includes(kind)).map((kind) => ({ kind, refusal: refusal(kind) }));
}

/** Whoever made or submitted a plan does not decide on it. Without users, the node takes all clients of one machine for one person. */
function ownPlanRefusal(kind: EventActionKind, { status, history }: Pick<Work, 'status' | 'history'>, who: Who | null): string | null {
  if (status !== 'submitted' || !['approve', 'reject'].includes(kind)) return null;
  const planned = history.findLast(({ status }) => status === 'planned')?.by;
  const submitted = history.at(-1)?.by;
  if (who === null || submitted === undefined) return '';
  const authors = [submitted, ...(planned === undefined ? [] : [planned])];
  if (who.kind === 'user') return authors.includes(`user ${who.name}`) ? 'This is your plan: somebody else has to decide on it.' : null;
  const isNobody = authors.some((by) => !by.startsWith('user ') && !by.startsWith('uid '));
  return !who.secured && isNobody ? 'The node has no users, so it cannot tell you from whoever made this plan: nobody can decide on it.' : null;
}

/** Whether a submitted plan could never be decided on: all are the same person for a node without users. */
export const nobodyDecides = (who: Who | null): boolean => who !== null && !who.secured;

/** What the dialog asks for. */
export interface Draft {
  comment: string;
  /** As the field for date and time holds it, in the browser's zone. */
  on: string;
  owner: string;
  /** `expected`: the failure mode that the rule points to. */
  found: '' | 'expected' | 'mode' | 'other' | 'nothing';
  mode: string;
}

/** A field of the dialog with what is wrong with it. */
export type Mistakes = Partial<Record<keyof Draft, string>>;

const PLAN_HOUR = 8;

/** What the dialog begins with: the plan in force, or else tomorrow morning by this user. */
export function newDraft({ plan }: Pick<Work, 'plan'>, user: string | null, now: number): Draft {
  const morning = new Date(now);
  morning.setDate(morning.getDate() + 1);
  morning.setHours(PLAN_HOUR, 0, 0, 0);
  return { comment: '', on: inputTime(plan ? Date.parse(plan.on) : morning.getTime()), owner: plan?.owner ?? user ?? '', found: '', mode: '' };
}

/** The name of a failure mode as findings have it: 'Seal leak' is `seal_leak`, so that the same mode has the same name. */
export const modeName = (text: string): string => text.trim().toLowerCase().replace(/[\s_-]+/gu, '_');

/** The action that a draft describes, or what is missing. What is allowed otherwise, the node decides. */
export function actionOf(kind: EventActionKind, draft: Draft, expected: string | null): { action: EventAction } | { mistakes: Mistakes } {
  const comment = draft.comment.trim() === '' ? {} : { comment: draft.comment.trim() };
  const mistakes: Mistakes = {};
  if (kind === 'plan') {
    const on = Date.parse(draft.on);
    if (isNaN(on)) mistakes.on = 'Enter a date and a time.';
    if (draft.owner.trim() === '') mistakes.owner = 'Enter who is responsible.';
    if (Object.keys(mistakes).length > 0) return { mistakes };
    return { action: { kind, body: { on: new Date(on).toISOString(), owner: draft.owner.trim(), ...comment } } };
  }
  if (kind !== 'finish') {
    const { reason } = ACTIONS[kind];
    return reason !== undefined && !comment.comment ? { mistakes: { comment: 'Enter why.' } } : { action: { kind, body: comment } };
  }
  const mode = draft.found === 'expected' ? expected : modeName(draft.mode);
  if (draft.found === '') mistakes.found = 'Choose what was found.';
  if (draft.found === 'mode' && mode === '') mistakes.mode = 'Enter the failure mode.';
  if (draft.found === 'other' && !comment.comment) mistakes.comment = 'Enter what was found.';
  if (Object.keys(mistakes).length > 0) return { mistakes };
  const finding = draft.found === 'other' || draft.found === 'nothing' ? { kind: draft.found } : { kind: 'failure_mode' as const, mode };
  return { action: { kind, body: { finding, ...comment } } };
}

const NODE_FIELDS: Record<string, keyof Draft> = { on: 'on', owner: 'owner', comment: 'comment', finding: 'found', 'finding.kind': 'found', 'finding.mode': 'mode' };

/** The field that a problem of the node names, with what is allowed, times in words; null if it is none of the dialog's. */
export function mistakeOf({ field, allowed, message }: Pick<ApiProblem, 'field' | 'allowed' | 'message'>, now: number): Mistakes | null {
  const own = NODE_FIELDS[field ?? ''];
  if (own === undefined) return null;
  return { [own]: allowed === null ? message : `Allowed: ${withTimes(allowed, (at) => formatAppointment(at, now))}` };
}
