// The steps of a second factor. An example: a user who mistypes the first code.
//
//   off       begin(password): the node returns a secret, once
//   begun     the user adds it to an app; confirm('000000'): 'The code is wrong…', and the secret stays on the page
//   begun     confirm(the app's code): from now on logins need a code
//   on        remove(password): logins need none
//
// A secret that is not confirmed has no effect on logins; leaving the page, or cancel(), forgets it.

import { problemText } from '../../api/client';
import type { SecondFactor } from '../../api/types';

export interface SecondFactorRequests {
  begin: (password: string) => Promise<SecondFactor>;
  confirm: (code: string) => Promise<unknown>;
  remove: (password: string) => Promise<unknown>;
  /** Runs after it is on or off: the session says so. */
  changed: () => Promise<unknown>;
}

export class SecondFactorSteps {
  /** The secret to be added to an app; null unless a second factor is begun. */
  secret = $state.raw<SecondFactor | null>(null);
  busy = $state(false);
  error = $state<string | null>(null);
  /** What has happened, for the user. */
  done = $state('');

  #requests: SecondFactorRequests;

  constructor(requests: SecondFactorRequests) {
    this.#requests = requests;
  }

  begin(password: string): Promise<boolean> {
    if (password === '') return this.#fail('Enter your password.');
    return this.#run(async () => void (this.secret = await this.#requests.begin(password)));
  }

  confirm(code: string): Promise<boolean> {
    const digits = code.replaceAll(/\s/g, '');
    if (!/^\d{6}$/.test(digits)) return this.#fail('Enter the six digits that the app shows.');
    return this.#run(async () => {
      await this.#requests.confirm(digits);
      await this.#requests.changed();
      this.secret = null;
      this.done = 'Your logins need a code of the app from now on.';
    });
  }

  remove(password: string): Promise<boolean> {
    if (password === '') return this.#fail('Enter your password.');
    return this.#run(async () => {
      await this.#requests.remove(password);
      await this.#requests.changed();
      this.done = 'Your logins need no code any more.';
    });
  }

  cancel(): void {
    this.secret = this.error = null;
    this.done = '';
  }

  async #fail(error: string): Promise<false> {
    this.error = error;
    return false;
  }

  /** Returns whether it succeeded. */
  async #run(step: () => Promise<void>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.error = null;
    this.done = '';
    try {
      await step();
    } catch (thrown) {
      this.error = problemText(thrown).replace('name or the password', 'password');
    }
    this.busy = false;
    return this.error === null;
  }
}
