import { describe, expect, it } from 'vitest';
import { GONE_MS, HERE_MS, Hub, MAX_STREAMS, type Listener, type Told } from './hub';

interface Opened {
  url: string;
  listener: Listener;
  closed: boolean;
  retries: number;
}

function world() {
  const opened: Opened[] = [];
  const hub = new Hub((url, _types, listener) => {
    const stream = { url, listener, closed: false, retries: 0 };
    opened.push(stream);
    return { retry: () => void stream.retries++, close: () => void (stream.closed = true) };
  });
  const window = () => {
    const told: Told[] = [];
    const tell = (what: Told) => void told.push(what);
    return {
      told,
      follow: (url: string, now = 0) => hub.ask(tell, { follow: url, types: ['fleet'] }, now),
      retry: () => hub.ask(tell, 'retry', 0),
      leave: () => hub.ask(tell, 'leave', 0),
    };
  };
  const open = () => opened.filter((stream) => !stream.closed).map((stream) => stream.url);
  return { hub, opened, window, open };
}

describe('Hub', () => {
  it('gives windows that follow the same thing one stream', () => {
    const { opened, window, open } = world();
    const [one, two] = [window(), window()];
    one.follow('/fleet');
    opened[0].listener.onState('open');
    two.follow('/fleet');
    expect(open()).toEqual(['/fleet']);
    opened[0].listener.onEvent('fleet', { now: 1 });
    opened[0].listener.onGap();
    expect(one.told).toEqual([{ state: 'connecting' }, 'gap', { state: 'open' }, { type: 'fleet', data: { now: 1 } }, 'gap']);
    expect(two.told).toEqual([{ state: 'open' }, 'gap', { type: 'fleet', data: { now: 1 } }, 'gap']);
    one.leave();
    expect(open()).toEqual(['/fleet']);
    two.leave();
    expect(open()).toEqual([]);
  });

  it('has windows without a stream fetch what is new, and gives them the next one that is free', () => {
    const { hub, window, open } = world();
    const windows = Array.from({ length: 8 }, window);
    windows.forEach((one, n) => one.follow(`/pump-${n}`));
    expect(open()).toEqual(['/pump-0', '/pump-1', '/pump-2', '/pump-3']);
    expect(MAX_STREAMS).toBe(4);
    hub.tick(0);
    const gaps = (n: number) => windows[n].told.filter((told) => told === 'gap').length;
    expect(windows[7].told).toContainEqual({ state: 'open' });
    expect([gaps(0), gaps(7)]).toEqual([1, 2]);
    windows[1].leave();
    expect(open()).toEqual(['/pump-0', '/pump-2', '/pump-3', '/pump-4']);
  });

  it('forgets a window that has gone without a word, and not one that is there', () => {
    const { hub, window, open } = world();
    const [gone, here] = [window(), window()];
    gone.follow('/a');
    here.follow('/b');
    for (let now = 0; now <= GONE_MS + HERE_MS; now += HERE_MS) here.follow('/b', now);
    hub.tick(GONE_MS);
    expect(open()).toEqual(['/a', '/b']);
    hub.tick(GONE_MS + 1);
    expect(open()).toEqual(['/b']);
    expect(here.told).toEqual([{ state: 'connecting' }, 'gap']);
    // It was only asleep.
    gone.follow('/a', GONE_MS + 2);
    expect(open()).toEqual(['/b', '/a']);
    expect(gone.told.at(-1)).toBe('gap');
  });

  it('moves a window that goes to another page, and tries again when it asks', () => {
    const { opened, window, open } = world();
    const one = window();
    one.follow('/a');
    one.follow('/b');
    expect(open()).toEqual(['/b']);
    one.retry();
    expect(opened.map((stream) => stream.retries)).toEqual([0, 1]);
  });
});
