// A page's subscription to the shared live streams (hub.ts). A page that stays hidden unsubscribes, and subscribes again when
// it is shown. In a browser without shared workers each page opens its own stream, and closes it while the page is hidden.

import { HEARTBEAT_MS, type HubMessage, type HubRequest } from './hub';
import { LiveStream, type LiveOptions } from './live';

export interface Subscription {
  retry(): void;
  close(): void;
}

/** How long a page stays subscribed after it was hidden: a short switch to another tab loses no events. */
export const HIDDEN_GRACE_MS = 10_000;

/** Follows a stream while the page is visible. */
export function subscribe(options: LiveOptions): Subscription {
  const open = typeof SharedWorker === 'undefined' ? () => new LiveStream(options) : () => new SharedStream(options);
  let stream: Subscription | null = document.hidden ? null : open();
  let closeTimer: number | null = null;
  const onVisibilityChange = () => {
    if (closeTimer !== null) clearTimeout(closeTimer);
    closeTimer = null;
    if (document.hidden) {
      closeTimer = window.setTimeout(() => {
        stream?.close();
        stream = null;
      }, HIDDEN_GRACE_MS);
    } else if (!stream) {
      stream = open();
      // A new `LiveStream` reports no gap for the time while the page was hidden.
      options.onGap();
    } else {
      stream.retry();
    }
  };
  document.addEventListener('visibilitychange', onVisibilityChange);
  return {
    retry: () => stream?.retry(),
    close: () => {
      document.removeEventListener('visibilitychange', onVisibilityChange);
      if (closeTimer !== null) clearTimeout(closeTimer);
      stream?.close();
    },
  };
}

let worker: SharedWorker | null = null;

/** This page's port to the worker; all streams of the page use the same one. */
function port(): MessagePort {
  worker ??= new SharedWorker(new URL('./stream.worker.ts', import.meta.url), { type: 'module', name: 'volute-streams' });
  return worker.port;
}

class SharedStream implements Subscription {
  #options: LiveOptions;
  #port = port();
  /** Whether the worker has replied. */
  #connected = false;
  #heartbeat: number;

  constructor(options: LiveOptions) {
    this.#options = options;
    options.onState('connecting');
    this.#subscribe();
    this.#heartbeat = window.setInterval(() => this.#sendHeartbeat(), HEARTBEAT_MS);
    window.addEventListener('pagehide', this.#unsubscribe);
  }

  retry(): void {
    this.#send('retry');
  }

  close(): void {
    window.clearInterval(this.#heartbeat);
    window.removeEventListener('pagehide', this.#unsubscribe);
    this.#port.onmessage = null;
    this.#unsubscribe();
  }

  #subscribe(): void {
    this.#port.onmessage = ({ data }: MessageEvent<HubMessage>) => this.#receive(data);
    this.#send({ subscribe: this.#options.url, types: Object.keys(this.#options.on) });
  }

  /** Repeats the subscription. Starts another worker if this one has never replied, because it was not loaded. */
  #sendHeartbeat(): void {
    if (!this.#connected) {
      this.#options.onState('lost');
      worker = null;
      this.#port = port();
    }
    this.#subscribe();
  }

  #receive(message: HubMessage): void {
    if (message === 'gap') {
      // The first gap message is the reply to the subscription: a page that was just loaded has missed nothing.
      if (this.#connected) this.#options.onGap();
      this.#connected = true;
    } else if ('state' in message) this.#options.onState(message.state);
    else this.#options.on[message.type]?.(message.data);
  }

  #unsubscribe = (): void => this.#send('unsubscribe');

  #send(request: HubRequest): void {
    this.#port.postMessage(request);
  }
}
