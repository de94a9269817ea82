// The entries of the audit log that the page shows: the newest page, and older ones as the user asks for them.
//
//   load()   the newest entries of the filter replace all that are shown
//   more()   older entries are added below
//
// The response to an earlier filter never replaces that of a later one.

import type { AuditQuery } from '../../api/accessQueries';
import { ApiProblem } from '../../api/client';
import type { AuditEntry } from '../../api/types';

const PAGE_LIMIT = 100;

interface Page {
  items: AuditEntry[];
  next_cursor: string | null;
}

export class AuditLog {
  /** Newest first; null before the first response. */
  data = $state.raw<AuditEntry[] | null>(null);
  /** Why the last request failed. */
  problem = $state.raw<ApiProblem | null>(null);
  /** When the newest entries arrived, by the browser's clock. */
  at = $state<number | null>(null);
  busy = $state(false);
  hasMore = $state(false);

  #fetch: (query: AuditQuery) => Promise<Page>;
  #query: AuditQuery = {};
  #cursor: string | null = null;
  #newest = 0;

  constructor(fetch: (query: AuditQuery) => Promise<Page>) {
    this.#fetch = fetch;
  }

  /** Fetches the newest entries again. A new filter shows nothing of the old one meanwhile. */
  load = async (query: AuditQuery = this.#query): Promise<void> => {
    if (query !== this.#query) this.data = this.at = null;
    this.#query = query;
    await this.#request(null);
  };

  refresh = (): Promise<void> => this.load();

  more = (): Promise<void> => this.#request(this.#cursor);

  async #request(cursor: string | null): Promise<void> {
    const request = ++this.#newest;
    this.busy = true;
    try {
      const page = await this.#fetch({ ...this.#query, limit: PAGE_LIMIT, ...(cursor === null ? {} : { cursor }) });
      if (request !== this.#newest) return;
      this.data = cursor === null ? page.items : [...(this.data ?? []), ...page.items];
      if (cursor === null) this.at = Date.now();
      this.#cursor = page.next_cursor;
      this.hasMore = page.next_cursor !== null;
      this.problem = null;
    } catch (error) {
      if (request !== this.#newest) return;
      this.problem = error instanceof ApiProblem ? error : new ApiProblem(0, String(error));
    }
    this.busy = false;
  }
}
