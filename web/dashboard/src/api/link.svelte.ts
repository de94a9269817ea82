// The page's one live stream, and how it is: what the shell's banner and every panel's "stale" follow.

import { clock } from '../lib/clock.svelte';
import type { LinkState } from './live';
import { subscribe, type Subscription } from './shared';

class Link {
  state = $state<LinkState>('connecting');
  /** When something was last heard, by the node's clock; set when the stream is lost. */
  lastHeard = $state<number | null>(null);

  #heard: number | null = null;
  #stream: Subscription | null = null;

  get lost(): boolean {
    return this.state === 'lost';
  }

  /** The newest time of which anything is known: while the stream is lost nothing goes on that could be counted. */
  get now(): number {
    return this.lost ? (this.lastHeard ?? clock.now) : clock.now;
  }

  /** Follows a stream until the result is called. Only one page is shown, so there is only one. */
  follow(url: string, on: Record<string, (data: never) => void>, onGap: () => void): () => void {
    const stream = subscribe({
      url,
      on: Object.fromEntries(Object.entries(on).map(([type, run]) => [type, this.#noting(run)])),
      onState: (state) => this.#turn(state),
      onGap,
    });
    this.#stream = stream;
    const retry = () => stream.retry();
    window.addEventListener('online', retry);
    return () => {
      window.removeEventListener('online', retry);
      stream.close();
      if (this.#stream === stream) this.#stream = null;
    };
  }

  retry = (): void => this.#stream?.retry();

  #noting(run: (data: never) => void) {
    return (data: unknown) => {
      this.#heard = clock.exact();
      run(data as never);
    };
  }

  #turn(state: LinkState): void {
    // A page that opens while the node is gone goes on being lost until it is not.
    if (state === 'connecting' && this.state === 'lost') return;
    if (state === 'lost') this.lastHeard = this.#heard;
    this.state = state;
  }
}

export const link = new Link();
