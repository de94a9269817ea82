import { describe, expect, it } from 'vitest';
import { answer, ApiProblem } from './client';

const refused = (status: number, error: unknown, statusText = '') =>
  answer(Promise.resolve({ error, response: new Response(null, { status, statusText }) }));

describe('an answer', () => {
  it('is its data', async () => {
    const response = new Response('[]', { status: 200 });
    await expect(answer(Promise.resolve({ data: [1], response }))).resolves.toEqual([1]);
  });

  it.each<[number, unknown, string]>([
    [404, { title: 'The pump is not known', detail: 'no reading of P-9 is stored' }, 'No reading of P-9 is stored.'],
    [503, { title: 'The node is stopping' }, 'The node is stopping.'],
    [502, '<html>', 'The node answered 502 Bad Gateway.'],
  ])('that is a problem (%d) is a sentence for people', async (status, error, message) => {
    await expect(refused(status, error, 'Bad Gateway')).rejects.toMatchObject({ status, message });
  });

  it('that never comes is one, too', async () => {
    const failed = answer(Promise.reject(new TypeError('fetch failed')));
    await expect(failed).rejects.toEqual(new ApiProblem(0, 'The node does not answer.'));
  });
});
