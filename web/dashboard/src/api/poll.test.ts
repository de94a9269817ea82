import { expect, it } from 'vitest';
import { Poll } from './poll.svelte';

it('ignores a response that is older than a result that replaced it', async () => {
  let respond = (_: string) => {};
  const poll = new Poll(() => new Promise<string>((resolve) => (respond = resolve)));
  const asked = poll.refresh();
  poll.replace('planned');
  respond('open');
  await asked;
  expect(poll.data).toBe('planned');
});
