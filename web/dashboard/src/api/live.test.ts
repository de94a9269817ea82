import { describe, expect, it } from 'vitest';
import { LiveStream, SILENCE_MS, type LinkState, type LiveEnvironment, type Source } from './live';

class FakeSource implements Source {
  closed = false;
  listeners = new Map<string, ((event: MessageEvent) => void)[]>();
  addEventListener(type: string, listener: (event: MessageEvent) => void) {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }
  close() {
    this.closed = true;
  }
  say(type: string, data: unknown = null) {
    for (const listener of this.listeners.get(type) ?? []) listener({ data: JSON.stringify(data) } as MessageEvent);
  }
}

/** A stream in a world whose time is moved by hand. */
function world() {
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
  const states: LinkState[] = [];
  const heard: unknown[] = [];
  const log = { gaps: 0 };
  const stream = new LiveStream(
    { url: '/x', on: { fleet: (data) => heard.push(data) }, onState: (s) => states.push(s), onGap: () => log.gaps++ },
    environment,
  );
  const pass = (ms: number) => {
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
  return { stream, sources, states, heard, log, pass, timers };
}

describe('LiveStream', () => {
  it('opens, listens, and has no gap the first time', () => {
    const { sources, states, heard, log } = world();
    sources[0].say('open');
    sources[0].say('fleet', { now: 1 });
    expect(states).toEqual(['connecting', 'open']);
    expect(heard).toEqual([{ now: 1 }]);
    expect(log.gaps).toBe(0);
  });

  it('comes back after an error, and then says that something was missed', () => {
    const { sources, states, log, pass } = world();
    sources[0].say('open');
    sources[0].say('error');
    expect(sources[0].closed).toBe(true);
    pass(500);
    expect(sources.length).toBe(2);
    expect(log.gaps).toBe(0);
    sources[1].say('open');
    expect(states).toEqual(['connecting', 'open', 'lost', 'open']);
    expect(log.gaps).toBe(1);
  });

  it('takes silence for a loss, and any event for a sign of life', () => {
    const { sources, states, pass } = world();
    sources[0].say('open');
    pass(SILENCE_MS - 1);
    sources[0].say('fleet', {});
    pass(SILENCE_MS - 1);
    expect(states.at(-1)).toBe('open');
    pass(1);
    expect(states.at(-1)).toBe('lost');
  });

  it('waits longer and longer, up to a limit', () => {
    const { sources, pass } = world();
    const pauses: number[] = [];
    for (let round = 0; round < 7; round++) {
      sources[round].say('error');
      let waited = 0;
      while (sources.length === round + 1) {
        pass(100);
        waited += 100;
      }
      pauses.push(waited);
    }
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000]);
  });

  it('dropped frames are a gap', () => {
    const { sources, log } = world();
    sources[0].say('open');
    sources[0].say('lagged', { dropped: 3 });
    expect(log.gaps).toBe(1);
  });

  it('hears nothing of a source it has given up, and leaves no timer behind', () => {
    const { stream, sources, heard, timers, pass } = world();
    sources[0].say('error');
    stream.retry();
    expect(sources.length).toBe(2);
    sources[0].say('fleet', 'ghost');
    expect(heard).toEqual([]);
    stream.close();
    expect(timers.size).toBe(0);
    pass(60_000);
    expect(sources.length).toBe(2);
  });
});
