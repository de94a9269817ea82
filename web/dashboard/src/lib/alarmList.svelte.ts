// The alarms that are not normal, of all pumps: the header counts them, and the pages of pumps and alarms show them. Requested every
// 10 s, and at once when the stream reports a change of the pumps that the page follows.
//
//   the stream reports three changes within 100 ms: one request;
//   a change arrives while a request is under way: one more request, REFRESH_MS after the last one began.

import { liveConnection } from '../api/liveConnection.svelte';
import { Poll } from '../api/poll.svelte';
import { fetchAlarms } from '../api/queries';
import type { Alarm } from '../api/types';
import { summaryOf } from './alarmState';

const POLL_MS = 10_000;
/** The least time between two requests for changes: they come in bursts. */
const REFRESH_MS = 400;

class AlarmList {
  readonly poll: Poll<Alarm[]> = new Poll(async () => (await fetchAlarms()).items, POLL_MS);
  /** Incremented with each change that the stream reports: histories are requested again. */
  changes = $state(0);

  readonly summary = $derived(summaryOf(this.poll.data ?? []));

  #timer: ReturnType<typeof setTimeout> | null = null;
  #requestedAt = -Infinity;

  start(): () => void {
    const stops = [this.poll.start(), liveConnection.onAlarms(() => this.#onChange())];
    return () => {
      stops.forEach((stop) => stop());
      if (this.#timer !== null) clearTimeout(this.#timer);
      this.#timer = null;
    };
  }

  /** The alarms of a pump; null before the first response. */
  of(pump: string): Alarm[] | null {
    return this.poll.data?.filter(({ pump_id }) => pump_id === pump) ?? null;
  }

  #onChange(): void {
    if (this.#timer !== null) return;
    const wait = Math.max(0, this.#requestedAt + REFRESH_MS - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#requestedAt = Date.now();
      this.changes++;
      void this.poll.refresh();
    }, wait);
  }
}

export const alarmList = new AlarmList();
