// Who is logged in on this browser, and what this user may do. The node decides with each request; this is what the page shows.
// Fetched at the start, after a login, and whenever there is reason to doubt it: a request is refused, the live stream is lost.

import { whenRefused } from '../api/client';
import { Poll } from '../api/poll.svelte';
import { fetchSession } from '../api/queries';
import type { Session } from '../api/types';
import { needsLogin, whyNot, type Permission } from './access';

class CurrentSession {
  /** The user was logged in, and is no longer. */
  hasEnded = $state(false);

  readonly poll: Poll<Session> = new Poll(async () => {
    const current = await fetchSession();
    const before = this.poll.data;
    if (!needsLogin(current)) this.hasEnded = false;
    else if (before?.kind === 'user') this.hasEnded = true;
    return current;
  });

  #checking: Promise<void> | null = null;

  /** Fetches the session again. Several refused requests at once cause one request. */
  check = (): Promise<void> => {
    this.#checking ??= this.poll.refresh().finally(() => (this.#checking = null));
    return this.#checking;
  };

  may(permission: Permission): boolean {
    return this.whyNot(permission) === null;
  }

  /** Why the user may not do something; null if it is allowed. */
  whyNot(permission: Permission): string | null {
    return whyNot(permission, this.poll.data);
  }
}

export const session = new CurrentSession();
whenRefused(session.check);
