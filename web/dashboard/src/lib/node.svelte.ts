// What holds for the whole page: the node, the kinds of its pumps, and how its store is.

import { Poll } from '../api/poll.svelte';
import { askKinds, askNode, askProfile, askStore } from '../api/queries';
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

/** The profile of pumps that name none. */
export const profile = new Poll(askProfile);

/** All kinds of pumps; more may be added while the page is open. */
export const kinds = new Poll(askKinds, 60_000);

export const store: Poll<Store> = new Poll(askStore, 10_000);
