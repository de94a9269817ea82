import { describe, expect, it } from 'vitest';
import { ApiProblem, unwrap } from './client';

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

  it('throws a readable sentence if no response comes', async () => {
    const failed = unwrap(Promise.reject(new TypeError('fetch failed')));
    await expect(failed).rejects.toEqual(new ApiProblem(0, 'The node does not answer.'));
  });
});
