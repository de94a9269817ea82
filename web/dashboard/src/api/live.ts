// The live stream: one EventSource with a state of its own, for the browser's neither says when a connection has gone
// silent nor backs off. Whoever listens to `fleet` hears something every second, so silence means that the connection
// is gone even where TCP has not noticed. Nothing is replayed by the server: after a reconnect, and where the server
// dropped frames, `onGap` says that the gap has to be fetched from history. Left out: what the events mean.

export type LinkState = 'connecting' | 'open' | 'lost';

export interface LiveOptions {
  url: string;
  /** What to do with each kind of event; its name is the stream's. */
  on: Record<string, (data: unknown) => void>;
  onState: (state: LinkState) => void;
  /** Something was missed, and the stream is open again. */
  onGap: () => void;
}

/** What it needs of the browser; tests bring their own. */
export interface LiveEnvironment {
  open(url: string): Source;
  after(ms: number, run: () => void): number;
  cancel(timer: number): void;
  /** 0 to 1. */
  random(): number;
}

/** The part of an EventSource that is used. */
export interface Source {
  addEventListener(type: string, listener: (event: MessageEvent) => void): void;
  close(): void;
}

/** A connection that says nothing for so long is lost. */
export const SILENCE_MS = 6_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;

export class LiveStream {
  #options: LiveOptions;
  #environment: LiveEnvironment;
  #source: Source | null = null;
  #timer: number | null = null;
  #state: LinkState | null = null;
  #failures = 0;
  #missed = false;
  #closed = false;

  constructor(options: LiveOptions, environment: LiveEnvironment = browser) {
    this.#options = options;
    this.#environment = environment;
    this.#turn('connecting');
    this.#connect();
  }

  /** Tries at once instead of waiting for the pause to end: the network is back, or a person asks. */
  retry(): void {
    if (this.#state === 'lost' && !this.#source) this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #connect(): void {
    this.#drop();
    const source = this.#environment.open(this.#options.url);
    this.#source = source;
    const listen = (type: string, run: (event: MessageEvent) => void) =>
      source.addEventListener(type, (event) => {
        if (source !== this.#source) return;
        this.#listenOn();
        run(event);
      });
    listen('open', () => this.#opened());
    listen('lagged', () => this.#options.onGap());
    for (const [type, run] of Object.entries(this.#options.on)) listen(type, (event) => run(JSON.parse(event.data)));
    source.addEventListener('error', () => source === this.#source && this.#lost());
    this.#listenOn();
  }

  #opened(): void {
    this.#failures = 0;
    this.#turn('open');
    if (this.#missed) this.#options.onGap();
    this.#missed = false;
  }

  /** Something was heard: the silence begins anew. */
  #listenOn(): void {
    this.#cancel();
    this.#timer = this.#environment.after(SILENCE_MS, () => this.#lost());
  }

  #lost(): void {
    this.#drop();
    this.#missed = true;
    this.#turn('lost');
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures++);
    // Jitter, so that a plant's browsers do not all come back in the same moment.
    const jittered = pause * (0.5 + this.#environment.random() / 2);
    this.#timer = this.#environment.after(jittered, () => this.#connect());
  }

  #drop(): void {
    this.#cancel();
    this.#source?.close();
    this.#source = null;
  }

  #cancel(): void {
    if (this.#timer !== null) this.#environment.cancel(this.#timer);
    this.#timer = null;
  }

  #turn(state: LinkState): void {
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
