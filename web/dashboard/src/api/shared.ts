// A page's part of the shared stream (hub.ts). A page that is hidden leaves it, and comes back when it is looked at. A browser
// without shared workers has a stream of its own for each page, which is closed likewise while it is hidden.

import { HERE_MS, type Asked, type Told } from './hub';
import { LiveStream, type LiveOptions } from './live';

export interface Subscription {
  retry(): void;
  close(): void;
}

/** So long after it was hidden a page leaves: who looks at another tab for a moment misses nothing. */
export const LEAVE_MS = 10_000;

/** Follows a stream while the page can be seen. */
export function subscribe(options: LiveOptions): Subscription {
  const open = typeof SharedWorker === 'undefined' ? () => new LiveStream(options) : () => new SharedStream(options);
  let stream: Subscription | null = document.hidden ? null : open();
  let leaving: number | null = null;
  const look = () => {
    if (leaving !== null) clearTimeout(leaving);
    leaving = null;
    if (document.hidden) {
      leaving = window.setTimeout(() => {
        stream?.close();
        stream = null;
      }, LEAVE_MS);
    } else if (!stream) {
      stream = open();
      // With a stream of its own nobody else says that something was missed.
      options.onGap();
    } else {
      stream.retry();
    }
  };
  document.addEventListener('visibilitychange', look);
  return {
    retry: () => stream?.retry(),
    close: () => {
      document.removeEventListener('visibilitychange', look);
      if (leaving !== null) clearTimeout(leaving);
      stream?.close();
    },
  };
}

let worker: SharedWorker | null = null;

/** This page's way to the worker: one for the page's life. */
function port(): MessagePort {
  worker ??= new SharedWorker(new URL('./stream.worker.ts', import.meta.url), { type: 'module', name: 'volute-streams' });
  return worker.port;
}

class SharedStream implements Subscription {
  #options: LiveOptions;
  #port = port();
  #joined = false;
  #here: number;

  constructor(options: LiveOptions) {
    this.#options = options;
    options.onState('connecting');
    this.#follow();
    this.#here = window.setInterval(() => this.#stay(), HERE_MS);
    window.addEventListener('pagehide', this.#leave);
  }

  retry(): void {
    this.#ask('retry');
  }

  close(): void {
    window.clearInterval(this.#here);
    window.removeEventListener('pagehide', this.#leave);
    this.#port.onmessage = null;
    this.#leave();
  }

  #follow(): void {
    this.#port.onmessage = ({ data }: MessageEvent<Told>) => this.#hear(data);
    this.#ask({ follow: this.#options.url, types: Object.keys(this.#options.on) });
  }

  /** Says that this page is there. A worker that never said a word was not loaded: another one may be. */
  #stay(): void {
    if (!this.#joined) {
      this.#options.onState('lost');
      worker = null;
      this.#port = port();
    }
    this.#follow();
  }

  #hear(told: Told): void {
    if (told === 'gap') {
      // A page that has just been loaded has missed nothing.
      if (this.#joined) this.#options.onGap();
      this.#joined = true;
    } else if ('state' in told) this.#options.onState(told.state);
    else this.#options.on[told.type]?.(told.data);
  }

  #leave = (): void => this.#ask('leave');

  #ask(asked: Asked): void {
    this.#port.postMessage(asked);
  }
}
