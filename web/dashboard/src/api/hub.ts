// Shares one browser's live streams among all of its tabs. A browser opens at most six connections to a node; six streams
// would leave none for anything else. An example with two tabs on the fleet page and one tab on each of five pumps:
//
//   the two fleet tabs share one stream;
//   the first three pumps have one stream each: MAX_STREAMS are open;
//   the tabs of the other two pumps get a 'gap' message every POLL_MS and fetch what is new over HTTP; they get the next
//   stream that becomes free.
//
// A tab repeats its subscription every HEARTBEAT_MS. A tab that sends nothing for TAB_TIMEOUT_MS is removed. Does not connect
// tabs with the hub (see stream.worker.ts), nor keep a stream open (see live.ts).

import type { ConnectionState } from './live';

export const MAX_STREAMS = 4;
export const HEARTBEAT_MS = 4_000;
export const TAB_TIMEOUT_MS = 15_000;
export const POLL_MS = 5_000;

/** A request from a tab. A repeated `subscribe` is the tab's heartbeat. */
export type HubRequest = { subscribe: string; types: string[] } | 'retry' | 'unsubscribe';

/** A message to a tab. `gap`: events may be missing, and the tab has to fetch them over HTTP. */
export type HubMessage = { state: ConnectionState } | { type: string; data: unknown } | 'gap';

export interface Stream {
  retry(): void;
  close(): void;
}

export interface Listener {
  onEvent: (type: string, data: unknown) => void;
  onState: (state: ConnectionState) => void;
  onGap: () => void;
}

export type OpenStream = (url: string, types: string[], listener: Listener) => Stream;

/** Sends a message to a tab; also identifies the tab. */
type Tab = (message: HubMessage) => void;

/** A stream's URL and the tabs that subscribe to it. */
interface Topic {
  types: string[];
  /** The tabs, and when each sent its last heartbeat. */
  tabs: Map<Tab, number>;
  /** Null while MAX_STREAMS other streams are open. */
  stream: Stream | null;
  state: ConnectionState;
}

export class Hub {
  #open: OpenStream;
  #topics = new Map<string, Topic>();

  constructor(open: OpenStream) {
    this.#open = open;
  }

  /** Handles a request that a tab sent at `now`. */
  handle(tab: Tab, request: HubRequest, now: number): void {
    if (request === 'unsubscribe') this.#unsubscribe(tab);
    else if (request === 'retry') this.#topicOf(tab)?.stream?.retry();
    else this.#subscribe(tab, request.subscribe, request.types, now);
    this.#assignStreams();
  }

  /** Must be called every POLL_MS: removes tabs that have timed out, and has tabs without a stream fetch what is new. */
  tick(now: number): void {
    for (const topic of this.#topics.values()) {
      for (const [tab, heartbeatAt] of topic.tabs) if (now - heartbeatAt > TAB_TIMEOUT_MS) topic.tabs.delete(tab);
    }
    this.#assignStreams();
    for (const topic of this.#topics.values()) if (!topic.stream) broadcast(topic, 'gap');
  }

  #subscribe(tab: Tab, url: string, types: string[], now: number): void {
    const subscribed = this.#topics.get(url)?.tabs.has(tab);
    if (subscribed) return void this.#topics.get(url)?.tabs.set(tab, now);
    this.#unsubscribe(tab);
    const topic = this.#topics.get(url) ?? { types, tabs: new Map(), stream: null, state: 'connecting' as ConnectionState };
    this.#topics.set(url, topic);
    topic.tabs.set(tab, now);
    tab({ state: topic.state });
    // Makes the tab fetch the events from before its subscription.
    tab('gap');
  }

  #unsubscribe(tab: Tab): void {
    for (const topic of this.#topics.values()) topic.tabs.delete(tab);
  }

  #topicOf(tab: Tab): Topic | undefined {
    return [...this.#topics.values()].find((topic) => topic.tabs.has(tab));
  }

  /** Closes streams without tabs, then opens streams up to MAX_STREAMS, in the order of subscription. */
  #assignStreams(): void {
    for (const [url, topic] of this.#topics) {
      if (topic.tabs.size > 0) continue;
      topic.stream?.close();
      this.#topics.delete(url);
    }
    let open = [...this.#topics.values()].filter((topic) => topic.stream).length;
    for (const [url, topic] of this.#topics) {
      if (topic.stream) continue;
      if (open >= MAX_STREAMS) {
        // The tab polls, so its data is at most POLL_MS old: that does not count as a lost connection.
        setState(topic, 'open');
        continue;
      }
      open += 1;
      topic.stream = this.#open(url, topic.types, {
        onEvent: (type, data) => broadcast(topic, { type, data }),
        onState: (state) => setState(topic, state),
        onGap: () => broadcast(topic, 'gap'),
      });
    }
  }
}

function setState(topic: Topic, state: ConnectionState): void {
  if (topic.state === state) return;
  topic.state = state;
  broadcast(topic, { state });
}

function broadcast(topic: Topic, message: HubMessage): void {
  for (const tab of topic.tabs.keys()) tab(message);
}
