import { describe, expect, it } from 'vitest';
import { LiveStream, SILENCE_TIMEOUT_MS, type ConnectionState, type EventSourceLike, type LiveEnvironment } from './live';

class FakeSource implements EventSourceLike {
  closed = false;
  listeners = new Map<string, ((event: MessageEvent) => void)[]>();
  addEventListener(type: string, listener: (event: MessageEvent) => void) {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }
  close() {
    this.closed = true;
  }
  emit(type: string, data: unknown = null) {
    for (const listener of this.listeners.get(type) ?? []) listener({ data: JSON.stringify(data) } as MessageEvent);
  }
}

/** A stream whose time the test advances. */
function setup() {
  let now = 0;
  let next = 1;
  const timers = new Map<number, { at: number; run: () => void }>();
  const sources: FakeSource[] = [];
  const environment: LiveEnvironment = {
    open: () => {
      sources.push(new FakeSource());
      return sources[sources.length - 1];
    },
    after: (ms, run) => (timers.set(next, { at: now + ms, run }), next++),
    cancel: (timer) => void timers.delete(timer),
    random: () => 1,
  };
  const states: ConnectionState[] = [];
  const received: unknown[] = [];
  const log = { gaps: 0 };
  const stream = new LiveStream(
    { url: '/x', on: { fleet: (data) => received.push(data) }, onState: (s) => states.push(s), onGap: () => log.gaps++ },
    environment,
  );
  const advance = (ms: number) => {
    const until = now + ms;
    for (;;) {
      const due = [...timers].filter(([, timer]) => timer.at <= until).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      timers.delete(due[0]);
      now = due[1].at;
      due[1].run();
    }
    now = until;
  };
  return { stream, sources, states, received, log, advance, timers };
}

describe('LiveStream', () => {
  it('delivers events, and reports no gap at the first connection', () => {
    const { sources, states, received, log } = setup();
    sources[0].emit('open');
    sources[0].emit('fleet', { now: 1 });
    expect(states).toEqual(['connecting', 'open']);
    expect(received).toEqual([{ now: 1 }]);
    expect(log.gaps).toBe(0);
  });

  it('reconnects after an error, and then reports a gap', () => {
    const { sources, states, log, advance } = setup();
    sources[0].emit('open');
    sources[0].emit('error');
    expect(sources[0].closed).toBe(true);
    advance(500);
    expect(sources.length).toBe(2);
    expect(log.gaps).toBe(0);
    sources[1].emit('open');
    expect(states).toEqual(['connecting', 'open', 'lost', 'open']);
    expect(log.gaps).toBe(1);
  });

  it('is lost after silence; any event restarts the timeout', () => {
    const { sources, states, advance } = setup();
    sources[0].emit('open');
    advance(SILENCE_TIMEOUT_MS - 1);
    sources[0].emit('fleet', {});
    advance(SILENCE_TIMEOUT_MS - 1);
    expect(states.at(-1)).toBe('open');
    advance(1);
    expect(states.at(-1)).toBe('lost');
  });

  it('doubles the retry pause up to a limit', () => {
    const { sources, advance } = setup();
    const pauses: number[] = [];
    for (let round = 0; round < 7; round++) {
      sources[round].emit('error');
      let waited = 0;
      while (sources.length === round + 1) {
        advance(100);
        waited += 100;
      }
      pauses.push(waited);
    }
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000]);
  });

  it('reports a gap when the server dropped frames', () => {
    const { sources, log } = setup();
    sources[0].emit('open');
    sources[0].emit('lagged', { dropped: 3 });
    expect(log.gaps).toBe(1);
  });

  it('ignores events of a closed source, and leaves no timer', () => {
    const { stream, sources, received, timers, advance } = setup();
    sources[0].emit('error');
    stream.retry();
    expect(sources.length).toBe(2);
    sources[0].emit('fleet', 'ghost');
    expect(received).toEqual([]);
    stream.close();
    expect(timers.size).toBe(0);
    advance(60_000);
    expect(sources.length).toBe(2);
  });
});
