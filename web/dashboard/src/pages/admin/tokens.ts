// What the page of the pump tokens says about them, and what the form of a new one sends. Pure.

import type { NewToken, Token } from '../../api/types';
import { formatAge, formatDuration } from '../../lib/format';

const DAY_MS = 86_400_000;
/** So long before its end, a token is marked: its gateway needs another one. */
const SOON_MS = 14 * DAY_MS;
/** At most this many pumps are named in a sentence. */
const MAX_NAMED = 5;

/** Whether the node accepts the token. */
export type TokenState = 'valid' | 'expires-soon' | 'expired' | 'revoked';

export function tokenState({ revoked_at, expires_at }: Pick<Token, 'revoked_at' | 'expires_at'>, now: number): TokenState {
  if (revoked_at !== null) return 'revoked';
  if (expires_at === null) return 'valid';
  const left = Date.parse(expires_at) - now;
  if (left <= 0) return 'expired';
  return left < SOON_MS ? 'expires-soon' : 'valid';
}

/** The valid tokens and the others, each by name and then newest first. */
export function splitTokens(tokens: readonly Token[], now: number): { valid: Token[]; ended: Token[] } {
  const sorted = [...tokens].sort((a, b) => a.name.localeCompare(b.name) || Date.parse(b.added_at) - Date.parse(a.added_at));
  const isValid = (token: Token) => ['valid', 'expires-soon'].includes(tokenState(token, now));
  return { valid: sorted.filter(isValid), ended: sorted.filter((token) => !isValid(token)) };
}

/** 'never', 'in 12 d 3 h', '2 d ago'. */
export function expiryInWords(expires_at: string | null, now: number): string {
  if (expires_at === null) return 'Never';
  const left = Date.parse(expires_at) - now;
  return left > 0 ? `In ${formatDuration(left)}` : `${formatDuration(-left)} ago`;
}

/** P-1, P-2 and 9 more. */
export function pumpsInWords(pumps: readonly string[]): string {
  const more = pumps.length - MAX_NAMED;
  return more > 1 ? `${pumps.slice(0, MAX_NAMED).join(', ')} and ${more} more` : pumps.join(', ');
}

export function revokeConsequence(token: Token, tokens: readonly Token[], now: number): string {
  const others = splitTokens(tokens, now).valid.filter((one) => one.id !== token.id && one.name === token.name);
  const used = token.used_at === null ? 'It was never used' : `It was last used ${formatAge(now - Date.parse(token.used_at))}`;
  const then = others.length > 0 ? `${token.name} has another valid token` : `${token.name} has no other valid token`;
  return (
    `Posts with this token are refused from now on, also after a restart: readings of ${pumpsInWords(token.pumps)} no longer arrive with it. ` +
    `${used}. ${then}. A revoked token cannot be made valid again.`
  );
}

/** What the form of a new token holds. */
export interface TokenForm {
  name: string;
  /** Ids of pumps that the node knows. */
  known: readonly string[];
  /** Ids of other pumps, one a line. */
  others: string;
  register: boolean;
  /** After how many days it expires; null: never. */
  days: number | null;
}

/** The ids that were typed, one a line, without empty lines. */
export const typedPumps = (text: string): string[] => text.split('\n').map((line) => line.trim()).filter((line) => line !== '');

/** The token to be added, or what is missing. */
export function tokenOf({ name, known, others, register, days }: TokenForm): { token: NewToken } | { missing: string } {
  const pumps = [...new Set([...known, ...typedPumps(others)])];
  if (name.trim() === '') return { missing: 'Enter the name of the gateway or device.' };
  if (pumps.length === 0) return { missing: 'Select one pump or more, or type their ids.' };
  return { token: { name: name.trim(), pumps, register, ...(days === null ? {} : { expires_days: days }) } };
}

/** What to know about the pumps that the form names; null if nothing. */
export function unknownPumpsHint({ others, register }: Pick<TokenForm, 'others' | 'register'>, knownIds: readonly string[]): string | null {
  const unknown = typedPumps(others).filter((id) => !knownIds.includes(id));
  if (unknown.length === 0 || register) return null;
  return `The node does not know ${pumpsInWords(unknown)}. Without the right to register new pumps, posts for them are refused.`;
}
