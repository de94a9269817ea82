// What the pages of alarms need to know of pumps: names, channels and the definitions of their alarms. Names and profiles are requested
// once; the definitions of a pump when the first of its alarms is shown, at most MAX_AT_ONCE at a time. Without them an alarm is shown
// with its numbers alone, without units.

import { fetchDefinitions } from '../../api/alarmQueries';
import { Poll } from '../../api/poll.svelte';
import { fetchPumps } from '../../api/queries';
import { NODE, NODE_LABEL } from '../../lib/alarms';
import { nameChannels, type NamedChannel } from '../../lib/names';
import { kinds } from '../../lib/node.svelte';
import { definitionsOf, type AlarmDefinition } from './definition';

const MAX_AT_ONCE = 4;
/** The definitions of more pumps are not requested. */
const MAX_PUMPS = 200;

export class PumpDirectory {
  readonly poll = new Poll(async () => new Map((await fetchPumps()).items.map(({ pump_id, name, profile }) => [pump_id, { name, profile }])));

  #definitions = $state.raw(new Map<string, AlarmDefinition[]>());
  #requested = new Set<string>();
  #waiting: string[] = [];
  #running = 0;

  readonly #channels = $derived(new Map((kinds.data?.items ?? []).map(({ name, channels }) => [name, nameChannels(channels)])));

  start = (): (() => void) => this.poll.start();

  nameOf = (pump: string): string | null => (pump === NODE ? NODE_LABEL : (this.poll.data?.get(pump)?.name ?? null));

  labelOf(pump: string): string {
    return this.nameOf(pump) ?? pump;
  }

  channelsOf(pump: string): NamedChannel[] {
    const profile = this.poll.data?.get(pump)?.profile;
    return (profile === undefined ? undefined : this.#channels.get(profile)) ?? [];
  }

  definitionsOf(pump: string): AlarmDefinition[] {
    return this.#definitions.get(pump) ?? [];
  }

  definitionOf(pump: string, alarm: string): AlarmDefinition | undefined {
    return this.definitionsOf(pump).find(({ id }) => id === alarm);
  }

  /** Requests the definitions of these pumps, unless that was done before. */
  request(pumps: Iterable<string>): void {
    for (const pump of pumps) {
      if (pump === NODE || this.#requested.has(pump) || this.#requested.size >= MAX_PUMPS) continue;
      this.#requested.add(pump);
      this.#waiting.push(pump);
    }
    while (this.#running < MAX_AT_ONCE && this.#waiting.length > 0) void this.#fetch(this.#waiting.shift()!);
  }

  async #fetch(pump: string): Promise<void> {
    this.#running++;
    try {
      const { alarms } = await fetchDefinitions(pump);
      this.#definitions = new Map(this.#definitions).set(pump, definitionsOf(alarms));
    } catch {
      // Requested again when the pump's alarms are shown the next time.
      this.#requested.delete(pump);
    }
    this.#running--;
    if (this.#waiting.length > 0) this.request([]);
  }
}
