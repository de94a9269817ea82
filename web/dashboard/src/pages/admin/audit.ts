// What the page of the audit log says about an entry, and what its filters ask for. Pure. An entry may have more fields than
// the page knows, and an action may be new: both are shown by their names.

import type { AuditQuery } from '../../api/accessQueries';
import type { AuditEntry } from '../../api/types';
import { capitalized } from '../../lib/format';

/** Each action as a command, which may be done or refused; its object follows. */
export const ACTION_WORDS: Record<string, string> = {
  login: 'Log in as',
  logout: 'Log out',
  'set-password': 'Set the password of',
  'set-second-factor': 'Change the second factor of',
  'add-user': 'Add the user',
  'set-role': 'Change the role of',
  'disable-user': 'Disable the user',
  'reset-user': 'Reset the user',
  'add-token': 'Add a token for',
  'revoke-token': 'Revoke the token',
  restart: 'Restart',
  commission: 'Learn a new baseline of',
  'activate-baseline': 'Select a baseline of',
  'remove-pump': 'Remove the pump',
  'set-pump': 'Change the settings of',
  'name-pump': 'Name the pump',
  'add-profile': 'Add the profile',
  'remove-profile': 'Remove the profile',
  'assign-profile': 'Assign a profile to',
  'start-simulation': 'Start the simulation',
  'stop-simulation': 'Stop the simulation',
  backup: 'Make a backup',
  export: 'Export',
  'confirm-clock': 'Confirm the clock',
  request: 'Send the request',
};

/** What users do to themselves; the entry's object is the sender. */
const OWN_WORDS: Record<string, string> = {
  login: 'Log in',
  logout: 'Log out',
  'set-password': 'Set the own password',
  'set-second-factor': 'Change the own second factor',
};

const wordsOf = (action: string): string => ACTION_WORDS[action] ?? capitalized(action.replaceAll('-', ' '));

/** An action without its object, for a list of actions. */
export const actionInWords = (action: string): string => wordsOf(action).replace(/ (of|as|for|to)$/, '');

/** What was done, and its object; null if the words say it. */
export function whatOf({ action, object, who }: Pick<AuditEntry, 'action' | 'object' | 'who'>): { words: string; object: string | null } {
  if (OWN_WORDS[action] && who === `user ${object}`) return { words: OWN_WORDS[action], object: null };
  return object === '' || object === 'simulation' ? { words: actionInWords(action), object: null } : { words: wordsOf(action), object };
}

export const isRefused = ({ outcome }: Pick<AuditEntry, 'outcome'>): boolean => outcome !== 'done';

/** A field of what was changed. */
export interface FieldChange {
  /** Empty if the value has no fields. */
  field: string;
  before: string;
  after: string;
}

/** What an entry says about the values before and after; fields that are the same are left out. */
export function changesOf(entry: AuditEntry): FieldChange[] {
  const { before, after } = flat(entry);
  const [old, now] = [fieldsOf(before), fieldsOf(after)];
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  const changes = names.map((field) => ({ field, before: inWords(old[field]), after: inWords(now[field]) }));
  return changes.filter((change) => change.before !== change.after);
}

/** What the list shows of an entry. All other fields say where the command came from. */
const SHOWN = new Set(['at', 'who', 'action', 'object', 'outcome', 'detail', 'before', 'after']);

const NAMES: Record<string, string> = { peer: 'Address', origin: 'Page', id: 'Request', request_id: 'Request' };

export function originOf(entry: AuditEntry): { name: string; value: string }[] {
  const others = Object.entries(flat(entry)).filter(([name, value]) => !SHOWN.has(name) && value !== null && value !== '');
  return others.map(([name, value]) => ({ name: NAMES[name] ?? capitalized(name.replaceAll('_', ' ')), value: inWords(value) }));
}

/** The fields of an entry, and those of the objects in it. */
function flat(entry: AuditEntry): Record<string, unknown> {
  const parts = Object.entries(entry as Record<string, unknown>).map(([name, value]) =>
    isObject(value) && !SHOWN.has(name) ? value : { [name]: value },
  );
  return Object.assign({}, ...parts);
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The fields of a value; a value without fields is one field without a name. Texts may be JSON. */
function fieldsOf(value: unknown): Record<string, unknown> {
  if (value === undefined || value === null || value === '') return {};
  const parsed = typeof value === 'string' ? parsedOrText(value) : value;
  return isObject(parsed) ? parsed : { '': parsed };
}

function parsedOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function inWords(value: unknown): string {
  if (value === undefined || value === null || value === '') return '–';
  if (value === true) return 'yes';
  if (value === false) return 'no';
  if (Array.isArray(value)) return value.length === 0 ? '–' : value.map(inWords).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** The filters, as the form holds them; empty: all. Times are local, as `YYYY-MM-DDTHH:MM`. */
export interface AuditFilter {
  action: string;
  from: string;
  to: string;
}

export const NO_FILTER: AuditFilter = { action: '', from: '', to: '' };

/** The query of a filter. A time that cannot be read is left out. */
export function queryOf({ action, from, to }: AuditFilter): AuditQuery {
  const time = (local: string) => (Number.isNaN(Date.parse(local)) ? undefined : new Date(local).toISOString());
  return { ...(action === '' ? {} : { action }), from: time(from), to: time(to) };
}

/** The filter of a page's address, and the address of a filter. */
export function filterOf(search: string): AuditFilter {
  const parameters = new URLSearchParams(search);
  return { action: parameters.get('action') ?? '', from: parameters.get('from') ?? '', to: parameters.get('to') ?? '' };
}

export function searchOf(filter: AuditFilter): string {
  const given = Object.entries(filter).filter(([, value]) => value !== '');
  return given.length === 0 ? '' : `?${new URLSearchParams(given as [string, string][])}`;
}
