import { describe, expect, it } from 'vitest';
import { HEARTBEAT_MS, Hub, MAX_STREAMS, TAB_TIMEOUT_MS, type HubMessage, type Listener } from './hub';

interface OpenedStream {
  url: string;
  listener: Listener;
  closed: boolean;
  retries: number;
}

function setup() {
  const opened: OpenedStream[] = [];
  const hub = new Hub((url, _types, listener) => {
    const stream = { url, listener, closed: false, retries: 0 };
    opened.push(stream);
    return { retry: () => void stream.retries++, close: () => void (stream.closed = true) };
  });
  const newTab = () => {
    const received: HubMessage[] = [];
    const tab = (message: HubMessage) => void received.push(message);
    return {
      received,
      subscribe: (url: string, now = 0) => hub.handle(tab, { subscribe: url, types: ['fleet'] }, now),
      retry: () => hub.handle(tab, 'retry', 0),
      unsubscribe: () => hub.handle(tab, 'unsubscribe', 0),
    };
  };
  const openUrls = () => opened.filter((stream) => !stream.closed).map((stream) => stream.url);
  return { hub, opened, newTab, openUrls };
}

describe('Hub', () => {
  it('shares one stream among the tabs that subscribe to the same URL', () => {
    const { opened, newTab, openUrls } = setup();
    const [one, two] = [newTab(), newTab()];
    one.subscribe('/fleet');
    opened[0].listener.onState('open');
    two.subscribe('/fleet');
    expect(openUrls()).toEqual(['/fleet']);
    opened[0].listener.onEvent('fleet', { now: 1 });
    opened[0].listener.onGap();
    expect(one.received).toEqual([{ state: 'connecting' }, 'gap', { state: 'open' }, { type: 'fleet', data: { now: 1 } }, 'gap']);
    expect(two.received).toEqual([{ state: 'open' }, 'gap', { type: 'fleet', data: { now: 1 } }, 'gap']);
    one.unsubscribe();
    expect(openUrls()).toEqual(['/fleet']);
    two.unsubscribe();
    expect(openUrls()).toEqual([]);
  });

  it('reports a gap at each tick to tabs without a stream, and gives them the next stream that becomes free', () => {
    const { hub, newTab, openUrls } = setup();
    const tabs = Array.from({ length: 8 }, newTab);
    tabs.forEach((tab, n) => tab.subscribe(`/pump-${n}`));
    expect(openUrls()).toEqual(['/pump-0', '/pump-1', '/pump-2', '/pump-3']);
    expect(MAX_STREAMS).toBe(4);
    hub.tick(0);
    const gaps = (n: number) => tabs[n].received.filter((message) => message === 'gap').length;
    expect(tabs[7].received).toContainEqual({ state: 'open' });
    expect([gaps(0), gaps(7)]).toEqual([1, 2]);
    tabs[1].unsubscribe();
    expect(openUrls()).toEqual(['/pump-0', '/pump-2', '/pump-3', '/pump-4']);
  });

  it('removes a tab whose heartbeat stopped, and keeps the others', () => {
    const { hub, newTab, openUrls } = setup();
    const [silent, active] = [newTab(), newTab()];
    silent.subscribe('/a');
    active.subscribe('/b');
    for (let now = 0; now <= TAB_TIMEOUT_MS + HEARTBEAT_MS; now += HEARTBEAT_MS) active.subscribe('/b', now);
    hub.tick(TAB_TIMEOUT_MS);
    expect(openUrls()).toEqual(['/a', '/b']);
    hub.tick(TAB_TIMEOUT_MS + 1);
    expect(openUrls()).toEqual(['/b']);
    expect(active.received).toEqual([{ state: 'connecting' }, 'gap']);
    // The tab was only suspended.
    silent.subscribe('/a', TAB_TIMEOUT_MS + 2);
    expect(openUrls()).toEqual(['/b', '/a']);
    expect(silent.received.at(-1)).toBe('gap');
  });

  it('moves a tab to the stream of its new page, and retries on request', () => {
    const { opened, newTab, openUrls } = setup();
    const tab = newTab();
    tab.subscribe('/a');
    tab.subscribe('/b');
    expect(openUrls()).toEqual(['/b']);
    tab.retry();
    expect(opened.map((stream) => stream.retries)).toEqual([0, 1]);
  });
});
