// A list that is loaded page by page: the newest page, and older ones as the user asks for them.
//
//   load(query)   the newest items of the query replace all that are shown
//   more()        older items are added below
//
// The response to an earlier query never replaces that of a later one.

import { ApiProblem } from '../api/client';
import type { Incomplete } from '../api/types';

interface Page<T> {
  items: T[];
  next_cursor: string | null;
  incomplete?: Incomplete | null;
}

export class PagedList<Q extends object, T> {
  /** Newest first; null before the first response. */
  data = $state.raw<T[] | null>(null);
  /** Why the last request failed. */
  problem = $state.raw<ApiProblem | null>(null);
  /** Why items may be missing. */
  incomplete = $state.raw<Incomplete | null>(null);
  /** When the newest items arrived, by the browser's clock. */
  at = $state<number | null>(null);
  busy = $state(false);
  hasMore = $state(false);

  #fetch: (query: Q, cursor: string | undefined) => Promise<Page<T>>;
  #query: Q | null = null;
  #cursor: string | null = null;
  #newest = 0;

  constructor(fetch: (query: Q, cursor: string | undefined) => Promise<Page<T>>) {
    this.#fetch = fetch;
  }

  /** Fetches the newest items. Another query shows nothing of the old one meanwhile. */
  load = async (query: Q): Promise<void> => {
    if (JSON.stringify(query) !== JSON.stringify(this.#query)) this.data = this.at = null;
    this.#query = query;
    await this.#request(null);
  };

  refresh = async (): Promise<void> => {
    if (this.#query !== null) await this.#request(null);
  };

  more = async (): Promise<void> => {
    if (this.#cursor !== null) await this.#request(this.#cursor);
  };

  async #request(cursor: string | null): Promise<void> {
    const request = ++this.#newest;
    this.busy = true;
    try {
      const page = await this.#fetch(this.#query!, cursor ?? undefined);
      if (request !== this.#newest) return;
      this.data = cursor === null ? page.items : [...(this.data ?? []), ...page.items];
      if (cursor === null) this.at = Date.now();
      this.#cursor = page.next_cursor;
      this.hasMore = page.next_cursor !== null;
      this.incomplete = page.incomplete ?? null;
      this.problem = null;
    } catch (error) {
      if (request !== this.#newest) return;
      this.problem = error instanceof ApiProblem ? error : new ApiProblem(0, String(error));
    }
    this.busy = false;
  }
}
