// What a pump's feed is like, in words. Pure.

import type { Feed, Settings } from '../../api/types';
import { asSentence } from '../../lib/format';
import { gapMs } from '../../lib/gap';

/** A length of time as it is set, to the millisecond: 250 ms, 7.3 s, 10.1 s, 777 s, 5 min, 1 h. The node says lengths the same way. */
export function inWords(ms: number): string {
  if (ms >= 3_600_000 && ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  if (ms >= 60_000 && ms % 60_000 === 0) return `${ms / 60_000} min`;
  return ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`;
}

/** About how long something takes, where the milliseconds say nothing. */
export function aboutInWords(ms: number): string {
  const to = ms >= 600_000 && ms % 3_600_000 !== 0 ? 60_000 : ms >= 10_000 ? 1000 : ms >= 1000 ? 100 : 1;
  return inWords(Math.round(ms / to) * to);
}

/** How often something comes. */
const every = (ms: number | null): string => (ms === null ? 'irregular, or too few to tell' : `every ${inWords(ms)}`);

/** Each fact with its name, as the page lists them. */
export function feedFacts(feed: Feed, settings: Settings | null): { name: string; text: string; note: string }[] {
  const own = settings?.interval_ms != null && settings.why ? settings.why : '';
  return [
    { name: 'Reads', text: every(feed.readings_every_ms), note: 'by its own clock' },
    { name: 'Posts', text: every(feed.posts_every_ms), note: '' },
    { name: 'Steps of its windows', text: inWords(feed.interval_ms), note: feed.own_interval ? ['its own', own].filter(Boolean).join(': ') : 'its profile’s' },
    { name: 'Stale', text: `after ${aboutInWords(feed.stale_after_ms)} of silence`, note: '' },
  ];
}

/** For how long last values hold where no new one is sent; null where nothing is set for this pump. */
export function holdsInWords(settings: Settings, label: (channel: string) => string): string | null {
  const of = Object.entries(settings.channel_hold_s).map(([channel, seconds]) => `${label(channel)} ${inWords(1000 * seconds)}`);
  const all = settings.hold_s === null ? [] : [`${of.length > 0 ? 'all others' : 'all'} ${inWords(1000 * settings.hold_s)}`];
  const parts = [...of, ...all];
  return parts.length > 0 ? parts.join(', ') : null;
}

/** What a pause in a pump's readings has to exceed to be a hole in its charts. */
export function feedGapMs(feed: Feed | null, profileIntervalMs: number): number {
  if (feed === null) return gapMs(profileIntervalMs);
  return Math.max(gapMs(feed.interval_ms), 3 * (feed.readings_every_ms ?? 0));
}

/** The advice as people read it: what the node's command is called is no help on a page that has a button for it. */
export function adviceText(feed: Feed): string | null {
  if (feed.advice === null) return null;
  return asSentence(feed.advice.replace(/ \(volute pumps [a-z-]+\)/g, '').replace(/interval to (\d+) ms/, (_, ms) => `interval to ${inWords(Number(ms))}`));
}

/** What setting another interval costs. */
export const intervalCost = (pump: string): string =>
  `A baseline is of one interval, so what is normal for ${pump} is learned anew: at once from the readings that it was learned from where these will do, else from the next hours of normal running. ` +
  'Until then it is learning and raises no model alarm; limits are watched as ever. The present version is kept.';
