// One browser's live streams, shared by all of its tabs and windows: a browser opens six connections to a node and no more,
// and six streams would leave none for anything else. An example with two windows on the fleet and five on a pump each:
//
//   the fleet's two windows share a stream;
//   the first three pumps have one each: MAX_STREAMS are open;
//   the other two pumps are told every POLL_MS to fetch what is new, and take the next stream that becomes free.
//
// A window says every HERE_MS that it is there; one that says nothing for GONE_MS has gone without a word. Left out: how the
// windows reach it (the worker's, stream.worker.ts), and how a stream is kept open (live.ts).

import type { LinkState } from './live';

export const MAX_STREAMS = 4;
export const HERE_MS = 4_000;
export const GONE_MS = 15_000;
export const POLL_MS = 5_000;

/** What a window asks of the hub. `follow` is said again and again: it also means that the window is there. */
export type Asked = { follow: string; types: string[] } | 'retry' | 'leave';

/** What a window is told. */
export type Told = { state: LinkState } | { type: string; data: unknown } | 'gap';

export interface Stream {
  retry(): void;
  close(): void;
}

export interface Listener {
  onEvent: (type: string, data: unknown) => void;
  onState: (state: LinkState) => void;
  onGap: () => void;
}

export type OpenStream = (url: string, types: string[], listener: Listener) => Stream;

type Tell = (told: Told) => void;

interface Topic {
  types: string[];
  /** The windows, and when each was last heard. */
  windows: Map<Tell, number>;
  /** None while there is no room for another one. */
  stream: Stream | null;
  state: LinkState;
}

export class Hub {
  #open: OpenStream;
  #topics = new Map<string, Topic>();

  constructor(open: OpenStream) {
    this.#open = open;
  }

  /** A window asks for something at `now`. */
  ask(window: Tell, asked: Asked, now: number): void {
    if (asked === 'leave') this.#leave(window);
    else if (asked === 'retry') this.#of(window)?.stream?.retry();
    else this.#follow(window, asked.follow, asked.types, now);
    this.#fill();
  }

  /** To be called every POLL_MS: windows that have gone are forgotten, and those without a stream fetch what is new. */
  tick(now: number): void {
    for (const topic of this.#topics.values()) {
      for (const [window, heard] of topic.windows) if (now - heard > GONE_MS) topic.windows.delete(window);
    }
    this.#fill();
    for (const topic of this.#topics.values()) if (!topic.stream) tellAll(topic, 'gap');
  }

  #follow(window: Tell, url: string, types: string[], now: number): void {
    const known = this.#topics.get(url)?.windows.has(window);
    if (known) return void this.#topics.get(url)?.windows.set(window, now);
    this.#leave(window);
    const topic = this.#topics.get(url) ?? { types, windows: new Map(), stream: null, state: 'connecting' as LinkState };
    this.#topics.set(url, topic);
    topic.windows.set(window, now);
    // What it missed before it came here.
    window({ state: topic.state });
    window('gap');
  }

  #leave(window: Tell): void {
    for (const topic of this.#topics.values()) topic.windows.delete(window);
  }

  #of(window: Tell): Topic | undefined {
    return [...this.#topics.values()].find((topic) => topic.windows.has(window));
  }

  /** Closes what nobody listens to, and opens what there is room for, first come, first served. */
  #fill(): void {
    for (const [url, topic] of this.#topics) {
      if (topic.windows.size > 0) continue;
      topic.stream?.close();
      this.#topics.delete(url);
    }
    let open = [...this.#topics.values()].filter((topic) => topic.stream).length;
    for (const [url, topic] of this.#topics) {
      if (topic.stream) continue;
      if (open >= MAX_STREAMS) {
        // What is fetched is no older than POLL_MS: that is not lost.
        turn(topic, 'open');
        continue;
      }
      open += 1;
      topic.stream = this.#open(url, topic.types, {
        onEvent: (type, data) => tellAll(topic, { type, data }),
        onState: (state) => turn(topic, state),
        onGap: () => tellAll(topic, 'gap'),
      });
    }
  }
}

function turn(topic: Topic, state: LinkState): void {
  if (topic.state === state) return;
  topic.state = state;
  tellAll(topic, { state });
}

function tellAll(topic: Topic, told: Told): void {
  for (const window of topic.windows.keys()) window(told);
}
