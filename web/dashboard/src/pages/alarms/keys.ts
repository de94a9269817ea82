// The key `a` acknowledges the alarm that has the focus: at once, or after a confirmation if its priority is high or critical.

import type { CommandKind } from '../../api/alarmQueries';
import type { Alarm } from '../../api/types';
import { isUrgent } from '../../lib/alarms';
import { keyOf } from './list';

export interface AcknowledgeDialog {
  open(kind: CommandKind, alarms: readonly Alarm[]): void;
  runAtOnce(kind: CommandKind, alarms: readonly Alarm[]): unknown;
}

type Key = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'defaultPrevented' | 'target'>;

/** Whether a key is the shortcut, and not a letter of a text. */
export function isShortcut({ key, ctrlKey, metaKey, altKey, defaultPrevented, target }: Key): boolean {
  const field = (target as Element | null)?.closest?.('input:not([type="checkbox"]), textarea, select, [contenteditable], dialog');
  return key === 'a' && !ctrlKey && !metaKey && !altKey && !defaultPrevented && !field;
}

/** Acknowledges an alarm by its key. Returns whether it could. */
export function acknowledgeByKey(alarm: Alarm | undefined, dialog: AcknowledgeDialog | undefined, mayAcknowledge: boolean): boolean {
  if (!alarm || !dialog || !mayAcknowledge || !alarm.allowed.includes('acknowledge')) return false;
  if (isUrgent(alarm.priority)) dialog.open('acknowledge', [alarm]);
  else void dialog.runAtOnce('acknowledge', [alarm]);
  return true;
}

/** The alarm whose row has the focus. */
export function focusedAlarm(target: EventTarget | null, alarms: readonly Alarm[]): Alarm | undefined {
  const key = (target as Element | null)?.closest?.<HTMLElement>('[data-alarm]')?.dataset.alarm;
  return alarms.find((alarm) => keyOf(alarm) === key);
}
