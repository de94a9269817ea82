// The worker that all tabs of a browser share: it holds their live streams (hub.ts).

import { Hub, POLL_MS, type HubRequest } from './hub';
import { LiveStream } from './live';

const hub = new Hub(
  (url, types, { onEvent, onState, onGap }) =>
    new LiveStream({ url, on: Object.fromEntries(types.map((type) => [type, (data) => onEvent(type, data)])), onState, onGap }),
);

addEventListener('connect', (event) => {
  const [port] = (event as MessageEvent).ports;
  const tab = (message: unknown) => port.postMessage(message);
  port.onmessage = ({ data }: MessageEvent<HubRequest>) => hub.handle(tab, data, Date.now());
});
setInterval(() => hub.tick(Date.now()), POLL_MS);
