// The HTTP client of the node's API, typed by the schema that is generated from openapi.json. Every failure is thrown as an
// `ApiProblem` with a sentence for the user. Does not handle the live stream; see live.ts.

import createClient from 'openapi-fetch';
import { asSentence } from '../lib/format';
import type { paths } from './schema';

/** Why a request failed: an RFC 9457 problem from the node, or no response at all. */
export class ApiProblem extends Error {
  /** The HTTP status; 0 if there was no response. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiProblem';
    this.status = status;
  }
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
  throw new ApiProblem(result.response.status, problemText(result.error, result.response));
}

function problemText(problem: unknown, response: Response): string {
  const { title, detail } = (problem && typeof problem === 'object' ? problem : {}) as Record<string, unknown>;
  const text = [detail, title].find((part) => typeof part === 'string' && part !== '') as string | undefined;
  if (!text) return `The node answered ${response.status} ${response.statusText}`.trim() + '.';
  return asSentence(text);
}
