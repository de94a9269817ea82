// The data that every page uses: the node, the kinds of its pumps, and the state of its store.

import { Poll } from '../api/poll.svelte';
import { fetchKinds, fetchNode, fetchProfile, fetchStore } from '../api/queries';
import type { Node, Store } from '../api/types';
import { clock } from './clock.svelte';

export const node: Poll<Node> = new Poll(async () => {
  const current = await fetchNode();
  // The node was updated or has another profile: this page's code, names and units may be wrong for it.
  const before = node.data;
  if (before && (before.version !== current.version || before.profile !== current.profile)) location.reload();
  clock.sync(Date.parse(current.now));
  return current;
}, 60_000);

/** The profile of pumps that name none. */
export const profile = new Poll(fetchProfile);

/** All kinds of pumps; the user may add more while the page is open. */
export const kinds = new Poll(fetchKinds, 60_000);

export const store: Poll<Store> = new Poll(fetchStore, 10_000);
