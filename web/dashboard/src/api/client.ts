// The HTTP client of the node's API, typed by the schema that is generated from openapi.json. Every failure is thrown as an
// `ApiProblem` with a sentence for the user. Does not handle the live stream; see live.ts.

import createClient from 'openapi-fetch';
import { asSentence } from '../lib/format';
import type { paths } from './schema';

/** What a problem says about the field that is wrong. */
interface WrongField {
  field?: string | null;
  allowed?: string | null;
}

/** Why a request failed: an RFC 9457 problem from the node, or no response at all. */
export class ApiProblem extends Error {
  /** The HTTP status; 0 if there was no response. */
  readonly status: number;
  /** The last part of the problem's type, such as `login-failed`; empty if there is none. */
  readonly kind: string;
  /** After how many seconds the request may be repeated, if the node says so. */
  readonly retryAfterS: number | null;
  /** The field that is wrong, as `alarm.condition.limit`; null if the node names none. */
  readonly field: string | null;
  /** What the field may be; null if the node does not say. */
  readonly allowed: string | null;

  constructor(status: number, message: string, kind = '', retryAfterS: number | null = null, wrong: WrongField = {}) {
    super(message);
    this.name = 'ApiProblem';
    this.status = status;
    this.kind = kind;
    this.retryAfterS = retryAfterS;
    this.field = wrong.field ?? null;
    this.allowed = wrong.allowed ?? null;
  }
}

/** The problems that say: the sender is not, or no longer, who the page takes the user for. */
const SESSION_PROBLEMS = ['not-logged-in', 'not-allowed'];

let onSessionProblem: () => void = () => {};

/** Sets what runs after a request is refused because of who sends it. A login that fails is not one of these. */
export function whenRefused(run: () => void): void {
  onSessionProblem = run;
}

// The node takes commands as JSON only, also without a body: pages of other sites cannot send that type unasked.
export const api = createClient<paths>({ headers: { 'Content-Type': 'application/json' }, fetch: (request) => globalThis.fetch(request) });

/** Waits for a response and returns its data; throws an `ApiProblem`. */
export async function unwrap<T>(request: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let result;
  try {
    result = await request;
  } catch {
    throw new ApiProblem(0, 'The node does not answer.');
  }
  if (result.data !== undefined && result.response.ok) return result.data;
  const kind = problemKind(result.error);
  if (SESSION_PROBLEMS.includes(kind)) onSessionProblem();
  throw new ApiProblem(result.response.status, sentence(result.error, result.response), kind, retryAfterS(result.response), wrongField(result.error));
}

/** What went wrong, as a sentence for the user. */
export const problemText = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

function problemKind(problem: unknown): string {
  const { type } = (problem && typeof problem === 'object' ? problem : {}) as Record<string, unknown>;
  return typeof type === 'string' ? type.slice(type.lastIndexOf(':') + 1) : '';
}

function wrongField(problem: unknown): WrongField {
  const { field, allowed } = (problem && typeof problem === 'object' ? problem : {}) as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === 'string' ? value : null);
  return { field: text(field), allowed: text(allowed) };
}

function retryAfterS(response: Response): number | null {
  const seconds = Number(response.headers.get('Retry-After') ?? NaN);
  return Number.isFinite(seconds) ? seconds : null;
}

function sentence(problem: unknown, response: Response): string {
  const { title, detail } = (problem && typeof problem === 'object' ? problem : {}) as Record<string, unknown>;
  const text = [detail, title].find((part) => typeof part === 'string' && part !== '') as string | undefined;
  if (!text) return `The node answered ${response.status} ${response.statusText}`.trim() + '.';
  return asSentence(text);
}
