import { render } from 'svelte/server';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiProblem } from '../../api/client';
import type { Session } from '../../api/types';
import { session } from '../../lib/session.svelte';
import { LoginForm } from './loginForm.svelte';
import LoginPage from './LoginPage.svelte';
import SetUpPage from './SetUpPage.svelte';

async function loginAfter(answer: ApiProblem | null) {
  const form = new LoginForm(async () => {
    if (answer) throw answer;
  });
  form.name = 'ada';
  form.password = 'secret';
  await form.submit(Date.now());
  return render(LoginPage, { props: { form } }).body;
}

describe('LoginPage', () => {
  beforeEach(() => void (session.hasEnded = false));

  it('has a label for each field, and no code at first', () => {
    const { body } = render(LoginPage, { props: {} });
    expect(body).toContain('<label for="login-name">Name</label>');
    expect(body).toContain('<label for="login-password">Password</label>');
    expect(body).not.toContain('login-code');
    expect(body).not.toContain('session has ended');
  });

  it('has a field for the code if the node asks for one', async () => {
    const body = await loginAfter(new ApiProblem(401, 'A code is needed.', 'code-needed'));
    expect(body).toContain('<label for="login-code">Code of your authenticator app</label>');
    expect(body).not.toContain('role="alert"');
  });

  it('shows an error and connects it with the fields', async () => {
    const body = await loginAfter(new ApiProblem(401, 'The name or the password is wrong.', 'login-failed'));
    expect(body).toContain('The name or the password is wrong.');
    expect(body).toContain('aria-describedby="login-failed"');
  });

  it('shows the wait of a lock-out', async () => {
    const body = await loginAfter(new ApiProblem(429, 'Too many failed logins; try again in 30 s.', 'locked-out', 30));
    expect(body).toMatch(/disabled[^>]*>[^]*Wait (29|30) s/);
  });

  it('says that the session has ended', () => {
    session.hasEnded = true;
    expect(render(LoginPage, { props: {} }).body).toContain('Your session has ended');
  });
});

describe('LoginPage with an identity provider', () => {
  const loginAt = (provider: Session['single_sign_on'], props = {}) => {
    session.poll.data = { single_sign_on: provider } as Session;
    return render(LoginPage, { props }).body;
  };
  beforeEach(() => void (session.hasEnded = false));
  afterEach(() => void (session.poll.data = null));

  it('leads to the provider and back to the page', () => {
    const body = loginAt({ name: 'Plant <b>', unavailable: false }, { next: '/pumps/P-1' });
    expect(body).toContain('href="/api/oidc/login?next=%2Fpumps%2FP-1"');
    expect(body).toContain('Sign in with Plant &lt;b>');
    expect(body).toContain('<label for="login-name">Name</label>');
    expect(loginAt(null)).not.toContain('Sign in with');
  });

  it('says why nobody was logged in, or that the provider is not reached', () => {
    expect(loginAt({ name: 'Plant', unavailable: false }, { signOn: 'no-role' })).toContain('none of your groups has a role on this node');
    expect(loginAt({ name: 'Plant', unavailable: true })).toContain('could not be reached lately');
  });
});

describe('SetUpPage', () => {
  const setUp = (token: string) => render(SetUpPage, { props: { token, onDone: () => {} } }).body;

  it('shows the rules of the password', () => {
    const body = setUp('vsu_0123_abc');
    expect(body).toContain('<label for="new-password">New password</label>');
    expect(body).toContain('12 characters or more');
    expect(body).toContain('not containing your name');
  });

  it('has no form without the token of a link', () => {
    expect(setUp('')).toContain('Open the whole link');
    expect(setUp('')).not.toContain('<form');
  });
});
