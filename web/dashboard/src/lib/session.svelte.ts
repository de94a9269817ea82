// Who is logged in on this browser, and what this user may do. The node decides with each request; this is what the page shows.
// Fetched at the start, after a login, and whenever there is reason to doubt it: a request is refused, the live stream is lost.

import { whenRefused } from '../api/client';
import { Poll } from '../api/poll.svelte';
import { fetchSession } from '../api/queries';
import type { Role, Session } from '../api/types';
import { ADMIN_SECTIONS, isOpenDemo, needsLogin, whyNot, type Permission } from './access';

const STORED_AS = 'volute.shown-role';

/** The role that was selected in this tab before. Read at once: the first page already depends on it. */
function storedRole(): Role | null {
  try {
    const role = JSON.parse(sessionStorage.getItem(STORED_AS) ?? 'null') as Role | null;
    return typeof role?.role === 'string' && Array.isArray(role.permissions) ? role : null;
  } catch {
    return null;
  }
}

class CurrentSession {
  /** The user was logged in, and is no longer. */
  hasEnded = $state(false);

  /** In an open demo, the role for which the pages are shown; null: whatever the node allows. The node does not know of it. */
  shownRole = $state.raw<Role | null>(storedRole());

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

  /** Shows the pages for a role, also after a reload of this tab; null: for whatever the node allows. */
  showAs(role: Role | null): void {
    this.shownRole = role;
    try {
      sessionStorage.setItem(STORED_AS, JSON.stringify(role));
    } catch {
      // The browser keeps nothing for this page.
    }
  }

  may(permission: Permission): boolean {
    return this.whyNot(permission) === null;
  }

  /** Why the user may not do something; null if it is allowed. */
  whyNot(permission: Permission): string | null {
    return whyNot(permission, this.isShownAsRole ? this.shownRole : this.poll.data);
  }

  /** The pages show what `shownRole` may do, not what the node allows. */
  get isShownAsRole(): boolean {
    return this.shownRole !== null && this.poll.data !== null && isOpenDemo(this.poll.data);
  }

  /** The sections of the administration that the user may see. */
  get adminSections() {
    return ADMIN_SECTIONS.filter(({ needs }) => this.may(needs));
  }
}

export const session = new CurrentSession();
whenRefused(session.check);
