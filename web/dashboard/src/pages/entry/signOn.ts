// Logins at the plant's identity provider: the way there, and what the node says about one that failed. The node sends the browser
// back to `/login#sign-on=WORD`; web/src/routes/oidc.rs has the words. Pure.

const REASONS: Record<string, string> = {
  unavailable: 'The identity provider cannot be reached at the moment. Try again later, or log in with a password of this node.',
  'not-begun': 'The login took longer than ten minutes, or was begun in another window. Begin it again.',
  denied: 'The identity provider refused the login.',
  'not-confirmed': 'The identity provider did not confirm the login. The log of the node says why.',
  'no-role': 'You are logged in at the identity provider, but none of your groups has a role on this node. An admin of this node can change that.',
  'no-name': 'The identity provider sent no name that a user of this node may have. The log of the node says more.',
  'name-taken': 'Another user of this node has your name already. An admin of this node can help.',
  disabled: 'Your account is disabled on this node. An admin of this node can enable it.',
  'too-many-users': 'This node has as many users as it can have.',
  'not-stored': 'The node could not store the login. Try again.',
};

/** The word after `#sign-on=`; null if there is none. */
export const signOnWord = (hash: string): string | null => /^#sign-on=([a-z-]+)$/.exec(hash)?.[1] ?? null;

/** Why the login at the identity provider failed, as a sentence. */
export const whyNotSignedOn = (word: string): string => REASONS[word] ?? 'The login at the identity provider failed.';

/** The address that begins a login, which leads back to the page `next`. */
export const signOnPath = (next: string): string =>
  next === '/' ? '/api/oidc/login' : `/api/oidc/login?next=${encodeURIComponent(next)}`;
