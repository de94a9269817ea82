// The form of the login. An example: a user with a second factor, who mistypes the password once.
//
//   name, password: 'The name or the password is wrong.', and the password is to be typed again;
//   name, password: the node asks for a code, and the form shows a field for it;
//   name, password, code: logged in.
//
// After too many failures the node names a wait. The form does not send that name again before it is over; other names it does.

import { ApiProblem } from '../../api/client';
import type { Login } from '../../api/types';

export type LoginField = 'name' | 'password' | 'code';

export class LoginForm {
  name = $state('');
  password = $state('');
  code = $state('');
  /** Whether the node has asked for a code of the authenticator app. */
  asksCode = $state(false);
  busy = $state(false);
  /** Why the last attempt failed. */
  error = $state<string | null>(null);
  /** The name that must wait, for how long, and until when. */
  #lockedOut = $state.raw<{ name: string; seconds: number; until: number } | null>(null);

  #send: (login: Login) => Promise<unknown>;

  constructor(send: (login: Login) => Promise<unknown>) {
    this.#send = send;
  }

  /** For how many more seconds the name in the form must wait; 0 if it need not. */
  waitS(now: number): number {
    if (this.#lockedOut === null || this.#lockedOut.name !== normalize(this.name)) return 0;
    const { seconds, until } = this.#lockedOut;
    // The displayed clock may be up to a second behind.
    return Math.min(seconds, Math.max(0, Math.ceil((until - now) / 1000)));
  }

  /** Tries to log in. Returns the field to go on with, or null if the user is logged in or nothing was sent. */
  async submit(now: number): Promise<LoginField | null> {
    if (this.busy || this.waitS(now) > 0) return null;
    const missing = this.#missingField();
    if (missing) {
      this.error = MISSING[missing];
      return missing;
    }
    this.busy = true;
    this.error = null;
    try {
      await this.#send({ name: this.name, password: this.password, ...(this.asksCode ? { code: this.code } : {}) });
      return null;
    } catch (thrown) {
      return this.#onRefused(thrown instanceof ApiProblem ? thrown : new ApiProblem(0, String(thrown)), now);
    } finally {
      this.busy = false;
    }
  }

  /** Leaves the code's field: the user is another one. */
  onNameChanged(): void {
    this.asksCode = false;
    this.code = '';
  }

  #missingField(): LoginField | null {
    if (this.name.trim() === '') return 'name';
    if (this.password === '') return 'password';
    return this.asksCode && this.code.trim() === '' ? 'code' : null;
  }

  #onRefused(problem: ApiProblem, now: number): LoginField {
    if (problem.kind === 'code-needed') {
      this.asksCode = true;
      return 'code';
    }
    this.error = problem.message;
    if (problem.kind === 'locked-out') {
      const seconds = problem.retryAfterS ?? 1;
      this.#lockedOut = { name: normalize(this.name), seconds, until: now + seconds * 1000 };
    }
    this.code = '';
    if (problem.kind === 'invalid-value') return 'name';
    return this.asksCode ? 'code' : 'password';
  }
}

const MISSING: Record<LoginField, string> = {
  name: 'Enter your name.',
  password: 'Enter your password.',
  code: 'Enter the code of your authenticator app.',
};

/** The node takes upper and lower case for one name. */
const normalize = (name: string): string => name.trim().toLowerCase();
