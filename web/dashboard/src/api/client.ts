// Questions to the node, typed by the description it gives of itself. Every failure is an `ApiProblem` with a sentence for
// people. Left out: the live stream (live.ts).

import createClient from 'openapi-fetch';
import { asSentence } from '../lib/format';
import type { paths } from './schema';

/** Why there is no answer: a problem of RFC 9457, or a network that does not reach. */
export class ApiProblem extends Error {
  /** The HTTP status; 0 if there was no answer at all. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiProblem';
    this.status = status;
  }
}

export const api = createClient<paths>({ fetch: (request) => globalThis.fetch(request) });

/** Waits for an answer and takes its data out; throws an `ApiProblem`. */
export async function answer<T>(request: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let result;
  try {
    result = await request;
  } catch {
    throw new ApiProblem(0, 'The node does not answer.');
  }
  if (result.data !== undefined && result.response.ok) return result.data;
  throw new ApiProblem(result.response.status, sentence(result.error, result.response));
}

function sentence(problem: unknown, response: Response): string {
  const { title, detail } = (problem && typeof problem === 'object' ? problem : {}) as Record<string, unknown>;
  const text = [detail, title].find((part) => typeof part === 'string' && part !== '') as string | undefined;
  if (!text) return `The node answered ${response.status} ${response.statusText}`.trim() + '.';
  return asSentence(text);
}
