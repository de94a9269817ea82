// The live stream: an EventSource with timeout, backoff and a state. The browser's own reconnect does not detect a silent
// connection and has no backoff. The node sends a `fleet` event every second, so silence means that the connection is lost
// even if TCP has not noticed. An example:
//
//   open; 6 s without an event: state 'lost', and a retry after 250 to 500 ms (500 ms with jitter);
//   the retry fails: the next ones follow after at most 1 s, 2 s, 4 s and then 8 s each;
//   a retry succeeds: state 'open', and `onGap`.
//
// The server replays nothing. After a reconnect, and after the server dropped frames, `onGap` is called: the missing events
// have to be fetched from history. Does not interpret the events.

export type ConnectionState = 'connecting' | 'open' | 'lost';

export interface LiveOptions {
  url: string;
  /** The handler of each event type. */
  on: Record<string, (data: unknown) => void>;
  onState: (state: ConnectionState) => void;
  /** Events were missed; the stream is open again. */
  onGap: () => void;
}

/** The functions of the browser that a stream uses; tests pass a substitute. */
export interface LiveEnvironment {
  open(url: string): EventSourceLike;
  after(ms: number, run: () => void): number;
  cancel(timer: number): void;
  /** 0 to 1. */
  random(): number;
}

/** The part of an EventSource that is used. */
export interface EventSourceLike {
  addEventListener(type: string, listener: (event: MessageEvent) => void): void;
  close(): void;
}

/** A connection without an event for this long is lost. */
export const SILENCE_TIMEOUT_MS = 6_000;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 8_000;

export class LiveStream {
  #options: LiveOptions;
  #environment: LiveEnvironment;
  #source: EventSourceLike | null = null;
  #timer: number | null = null;
  #state: ConnectionState | null = null;
  #failures = 0;
  #hasGap = false;
  #closed = false;

  constructor(options: LiveOptions, environment: LiveEnvironment = browser) {
    this.#options = options;
    this.#environment = environment;
    this.#setState('connecting');
    this.#connect();
  }

  /** Retries at once instead of waiting for the backoff: the network is back, or the user asks for it. */
  retry(): void {
    if (this.#state === 'lost' && !this.#source) this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#disconnect();
  }

  #connect(): void {
    this.#disconnect();
    const source = this.#environment.open(this.#options.url);
    this.#source = source;
    const listen = (type: string, run: (event: MessageEvent) => void) =>
      source.addEventListener(type, (event) => {
        if (source !== this.#source) return;
        this.#restartSilenceTimer();
        run(event);
      });
    listen('open', () => this.#onOpen());
    listen('lagged', () => this.#options.onGap());
    for (const [type, run] of Object.entries(this.#options.on)) listen(type, (event) => run(JSON.parse(event.data)));
    source.addEventListener('error', () => source === this.#source && this.#onLost());
    this.#restartSilenceTimer();
  }

  #onOpen(): void {
    this.#failures = 0;
    this.#setState('open');
    if (this.#hasGap) this.#options.onGap();
    this.#hasGap = false;
  }

  #restartSilenceTimer(): void {
    this.#cancelTimer();
    this.#timer = this.#environment.after(SILENCE_TIMEOUT_MS, () => this.#onLost());
  }

  #onLost(): void {
    this.#disconnect();
    this.#hasGap = true;
    this.#setState('lost');
    const pause = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++);
    // Jitter, so that a plant's browsers do not all reconnect at the same moment.
    const jittered = pause * (0.5 + this.#environment.random() / 2);
    this.#timer = this.#environment.after(jittered, () => this.#connect());
  }

  #disconnect(): void {
    this.#cancelTimer();
    this.#source?.close();
    this.#source = null;
  }

  #cancelTimer(): void {
    if (this.#timer !== null) this.#environment.cancel(this.#timer);
    this.#timer = null;
  }

  #setState(state: ConnectionState): void {
    if (this.#closed || state === this.#state) return;
    this.#state = state;
    this.#options.onState(state);
  }
}

const browser: LiveEnvironment = {
  open: (url) => new EventSource(url),
  after: (ms, run) => setTimeout(run, ms) as unknown as number,
  cancel: (timer) => clearTimeout(timer),
  random: Math.random,
};
