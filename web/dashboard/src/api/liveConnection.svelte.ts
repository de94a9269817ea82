// The page's one live stream and its state. The shell's banner and the stale panels follow that state.

import type { AlarmsEvent } from './types';
import { clock } from '../lib/clock.svelte';
import type { ConnectionState } from './live';
import { subscribe, type Subscription } from './sharedStream';

class LiveConnection {
  state = $state<ConnectionState>('connecting');
  /** When the last event was received, by the node's clock; updated when the stream is lost. */
  lastEventAt = $state<number | null>(null);

  #receivedAt: number | null = null;
  #stream: Subscription | null = null;
  #onAlarms = new Set<() => void>();

  get lost(): boolean {
    return this.state === 'lost';
  }

  /** The time up to which the page's data is known: the node's time, or the last event's while the stream is lost. */
  get now(): number {
    return this.lost ? (this.lastEventAt ?? clock.now) : clock.now;
  }

  /** Follows a stream until the returned function is called. Only one page is shown at a time, so there is one stream. */
  follow(url: string, on: Record<string, (data: never) => void>, onGap: () => void): () => void {
    const alarms = (event: AlarmsEvent) => {
      (on.alarms as ((event: AlarmsEvent) => void) | undefined)?.(event);
      this.#onAlarms.forEach((run) => run());
    };
    const handlers = { ...on, alarms } as Record<string, (data: never) => void>;
    const stream = subscribe({
      url,
      on: Object.fromEntries(Object.entries(handlers).map(([type, run]) => [type, this.#noteReceipt(run)])),
      onState: (state) => this.#setState(state),
      onGap: () => {
        onGap();
        this.#onAlarms.forEach((run) => run());
      },
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

  /** Calls `run` after each change of alarms that the page's stream reports, until the returned function is called. */
  onAlarms(run: () => void): () => void {
    this.#onAlarms.add(run);
    return () => this.#onAlarms.delete(run);
  }

  /** Follows the fleet's stream only for its state: the header and the banners of a page without live values show it. */
  watch = (): (() => void) => this.follow('/api/stream?events=fleet', { fleet: () => {} }, () => {});

  retry = (): void => this.#stream?.retry();

  /** Wraps an event handler so that the time of receipt is noted. */
  #noteReceipt(run: (data: never) => void) {
    return (data: unknown) => {
      this.#receivedAt = clock.exact();
      run(data as never);
    };
  }

  #setState(state: ConnectionState): void {
    // A page that is opened during an outage shows 'lost' until the stream opens.
    if (state === 'connecting' && this.state === 'lost') return;
    if (state === 'lost') this.lastEventAt = this.#receivedAt;
    this.state = state;
  }
}

export const liveConnection = new LiveConnection();
