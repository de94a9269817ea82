import { describe, expect, it, vi } from 'vitest';
import { ApiProblem } from '../../api/client';
import { LoginForm } from './loginForm.svelte';

const refusal = (kind: string, message: string, status = 401, retryAfterS: number | null = null) => new ApiProblem(status, message, kind, retryAfterS);
const wrong = refusal('login-failed', 'The name or the password is wrong.');

/** A filled form, and the node's answers to its attempts in turn: an error, or null for a login. */
function setup(...answers: (Error | null)[]) {
  const send = vi.fn(async () => {
    const answer = answers.shift();
    if (answer) throw answer;
  });
  const form = new LoginForm(send);
  form.name = 'Ada';
  form.password = 'pumps never sleep';
  return { form, send };
}

describe('LoginForm', () => {
  it('sends name and password', async () => {
    const { form, send } = setup(null);
    expect(await form.submit(0)).toBeNull();
    expect(send).toHaveBeenCalledWith({ name: 'Ada', password: 'pumps never sleep' });
    expect([form.error, form.busy]).toEqual([null, false]);
  });

  it('goes on with the field that is empty, and sends nothing', async () => {
    const { form, send } = setup();
    form.password = '';
    expect([await form.submit(0), form.error]).toEqual(['password', 'Enter your password.']);
    form.name = ' ';
    expect([await form.submit(0), form.error]).toEqual(['name', 'Enter your name.']);
    expect(send).not.toHaveBeenCalled();
  });

  it('shows the reason of a refused login, until the next attempt', async () => {
    const { form } = setup(wrong, null);
    expect([await form.submit(0), form.error]).toEqual(['password', 'The name or the password is wrong.']);
    expect([await form.submit(0), form.error]).toEqual([null, null]);
  });

  it('asks for a code when the node does, and sends it', async () => {
    const { form, send } = setup(refusal('code-needed', 'A code of the authenticator app is needed.'), refusal('login-failed', 'The code is wrong, or was used already.'), null);
    expect([await form.submit(0), form.asksCode, form.error]).toEqual(['code', true, null]);
    expect([await form.submit(0), form.error]).toEqual(['code', 'Enter the code of your authenticator app.']);
    form.code = '111111';
    expect([await form.submit(0), form.code, form.error]).toEqual(['code', '', 'The code is wrong, or was used already.']);
    form.code = '287082';
    expect(await form.submit(0)).toBeNull();
    expect(send).toHaveBeenLastCalledWith({ name: 'Ada', password: 'pumps never sleep', code: '287082' });
  });

  it('asks another user for no code', async () => {
    const { form } = setup(refusal('code-needed', 'A code is needed.'));
    await form.submit(0);
    form.onNameChanged();
    expect(form.asksCode).toBe(false);
  });

  it('waits as long as the node says, for that name only', async () => {
    const { form, send } = setup(refusal('locked-out', 'Too many failed logins; try again in 30 s.', 429, 30), null);
    await form.submit(1_000);
    expect([form.error, form.waitS(1_000), form.waitS(30_001), form.waitS(31_000)]).toEqual(['Too many failed logins; try again in 30 s.', 30, 1, 0]);
    form.name = ' ADA';
    expect(form.waitS(1_000)).toBe(30);
    expect(await form.submit(30_999)).toBeNull();
    expect(send).toHaveBeenCalledTimes(1);
    form.name = 'grace';
    expect(form.waitS(1_000)).toBe(0);
    await form.submit(1_000);
    expect(send).toHaveBeenCalledTimes(2);
  });

  it('says that the node does not answer', async () => {
    const { form } = setup(new ApiProblem(0, 'The node does not answer.'));
    await form.submit(0);
    expect([form.error, form.busy]).toEqual(['The node does not answer.', false]);
  });
});
