// What holds for the whole page: the node and its profile.

import { Poll } from '../api/poll.svelte';
import { askNode, askProfile } from '../api/queries';
import { clock } from './clock.svelte';

export const node = new Poll(async () => {
  const answer = await askNode();
  clock.sync(Date.parse(answer.now));
  return answer;
}, 60_000);

export const profile = new Poll(askProfile);
