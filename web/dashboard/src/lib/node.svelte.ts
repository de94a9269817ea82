// What holds for the whole page: the node, its profile, and how its store is.

import { Poll } from '../api/poll.svelte';
import { askNode, askProfile, askStore } from '../api/queries';
import type { Node, Store } from '../api/types';
import { clock } from './clock.svelte';

export const node: Poll<Node> = new Poll(async () => {
  const answer = await askNode();
  // A node that came back as another one: this page's code, names and units may be wrong for it.
  const before = node.data;
  if (before && (before.version !== answer.version || before.profile !== answer.profile)) location.reload();
  clock.sync(Date.parse(answer.now));
  return answer;
}, 60_000);

export const profile = new Poll(askProfile);

export const store: Poll<Store> = new Poll(askStore, 10_000);
