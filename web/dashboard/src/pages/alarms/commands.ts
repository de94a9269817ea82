// The commands of alarms: what each is called, who may give it, and what it needs. Pure.

import type { AlarmCommand, CommandKind } from '../../api/alarmQueries';
import type { Alarm, AlarmResult } from '../../api/types';
import type { Permission } from '../../lib/access';
import { NODE, NODE_LABEL } from '../../lib/alarms';
import { formatMoment, plural } from '../../lib/format';

export interface CommandLook {
  /** The button; an ellipsis follows if a dialog asks for more. */
  button: string;
  /** The past participle, for results: 'Acknowledged'. */
  done: string;
  /** What it means for the alarm, in the dialog. */
  meaning: string;
  needs: Permission;
  /** Whether the comment is required: then it is the reason. */
  needsReason: boolean;
}

export const COMMANDS: Record<CommandKind, CommandLook> = {
  acknowledge: { button: 'Acknowledge', done: 'Acknowledged', meaning: 'You have seen it. An occurrence that comes later is announced again.', needs: 'acknowledge', needsReason: false },
  reset: { button: 'Reset', done: 'Reset', meaning: 'Its condition is over; it becomes normal again.', needs: 'acknowledge', needsReason: false },
  shelve: { button: 'Shelve', done: 'Shelved', meaning: 'It is not announced until then. If its condition still holds at the end, it is announced again.', needs: 'shelve', needsReason: true },
  unshelve: { button: 'Unshelve', done: 'Unshelved', meaning: 'If its condition holds, it is announced again at once.', needs: 'shelve', needsReason: false },
  take_out_of_service: { button: 'Take out of service', done: 'Taken out of service', meaning: 'It is not announced until somebody returns it to service.', needs: 'shelve', needsReason: true },
  return_to_service: { button: 'Return to service', done: 'Returned to service', meaning: 'If its condition holds, it is announced again at once.', needs: 'shelve', needsReason: false },
};

const ORDER = Object.keys(COMMANDS) as CommandKind[];

/** The commands that the node allows for an alarm and the user may give, the most usual first. */
export function offered(alarm: Pick<Alarm, 'allowed'>, may: (permission: Permission) => boolean): CommandKind[] {
  return ORDER.filter((kind) => alarm.allowed.includes(kind) && may(COMMANDS[kind].needs));
}

/** The ends of a shelving that are offered; `null` is a time of one's own. */
export const SHELVE_TIMES: readonly { label: string; hours: number | null }[] = [
  { label: '1 hour', hours: 1 },
  { label: '4 hours', hours: 4 },
  { label: 'End of shift, 8 hours', hours: 8 },
  { label: '1 day', hours: 24 },
  { label: 'Another time', hours: null },
];

/** The longest shelving: a week. */
export const MAX_SHELVE_MS = 7 * 86_400_000;

/** Why a shelving cannot end then; null if it can. `text` is what a field for date and time holds. */
export function untilProblem(text: string, now: number): string | null {
  const at = Date.parse(text);
  if (isNaN(at)) return 'Enter a date and a time.';
  if (at <= now) return 'Enter a time in the future.';
  return at > now + MAX_SHELVE_MS ? `At most a week: until ${formatMoment(now + MAX_SHELVE_MS, now)}. For longer, take it out of service.` : null;
}

/** The body of a command. For `acknowledge` it names the occurrence that was seen. */
export function bodyOf(kind: CommandKind, alarms: readonly Alarm[], comment: string, until: number | null): AlarmCommand {
  return {
    alarms: alarms.map(({ pump_id, alarm, occurrence }) => ({ pump_id: pump_id === NODE ? null : pump_id, alarm, ...(kind === 'acknowledge' ? { occurrence } : {}) })),
    ...(comment.trim() === '' ? {} : { comment: comment.trim() }),
    ...(until === null ? {} : { until: new Date(until).toISOString() }),
  };
}

/** Why a command did not take effect for some alarms; null if it did for all. */
export function failureInWords(kind: CommandKind, results: readonly AlarmResult[]): string | null {
  const failed = results.filter(({ done }) => !done);
  if (failed.length === 0) return null;
  const done = results.length - failed.length;
  const named = failed.slice(0, 5).map(({ pump_id, alarm, error }) => `${pump_id ?? NODE_LABEL} ${alarm}: ${error ?? 'not known why'}`);
  const more = failed.length > named.length ? `; and ${plural(failed.length - named.length, 'more alarm')}` : '';
  return `${COMMANDS[kind].done}: ${done} of ${results.length}. Not ${named.join('; ')}${more}.`;
}
