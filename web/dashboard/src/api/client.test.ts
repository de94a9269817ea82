import { describe, expect, it, vi } from 'vitest';
import { ApiProblem, unwrap, whenRefused } from './client';

const refused = (status: number, error: unknown, statusText = '') =>
  unwrap(Promise.resolve({ error, response: new Response(null, { status, statusText }) }));

describe('unwrap', () => {
  it('returns the data of a response', async () => {
    const response = new Response('[]', { status: 200 });
    await expect(unwrap(Promise.resolve({ data: [1], response }))).resolves.toEqual([1]);
  });

  it.each<[number, unknown, string]>([
    [404, { title: 'The pump is not known', detail: 'no reading of P-9 is stored' }, 'No reading of P-9 is stored.'],
    [503, { title: 'The node is stopping' }, 'The node is stopping.'],
    [502, '<html>', 'The node answered 502 Bad Gateway.'],
  ])('throws a readable sentence for status %d', async (status, error, message) => {
    await expect(refused(status, error, 'Bad Gateway')).rejects.toMatchObject({ status, message });
  });

  it('keeps the kind of the problem, and the wait that the node names', async () => {
    const response = new Response(null, { status: 429, headers: { 'Retry-After': '30' } });
    const error = { type: 'urn:volute:problem:locked-out', detail: 'too many failed logins; try again in 30 s' };
    await expect(unwrap(Promise.resolve({ error, response }))).rejects.toMatchObject({ kind: 'locked-out', retryAfterS: 30 });
    await expect(refused(502, '<html>')).rejects.toMatchObject({ kind: '', retryAfterS: null });
  });

  it('reports a request that is refused because of who sends it, but not a failed login', async () => {
    const run = vi.fn();
    whenRefused(run);
    for (const kind of ['login-failed', 'code-needed', 'invalid-link']) {
      await expect(refused(401, { type: `urn:volute:problem:${kind}`, detail: 'no' })).rejects.toThrow();
    }
    expect(run).not.toHaveBeenCalled();
    await expect(refused(401, { type: 'urn:volute:problem:not-logged-in', detail: 'no' })).rejects.toThrow();
    await expect(refused(403, { type: 'urn:volute:problem:not-allowed', detail: 'no' })).rejects.toThrow();
    expect(run).toHaveBeenCalledTimes(2);
    whenRefused(() => {});
  });

  it('throws a readable sentence if no response comes', async () => {
    const failed = unwrap(Promise.reject(new TypeError('fetch failed')));
    await expect(failed).rejects.toEqual(new ApiProblem(0, 'The node does not answer.'));
  });
});
