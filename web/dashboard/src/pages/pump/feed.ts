// The texts about a pump's feed: how often it reads and posts, and for how long its last values hold. Pure.

import type { Feed, Settings } from '../../api/types';
import { asSentence } from '../../lib/format';
import { gapMs } from '../../lib/gap';

/** An interval, exact to the millisecond: 250 ms, 7.3 s, 10.1 s, 777 s, 5 min, 1 h. The node formats intervals the same way. */
export function formatInterval(ms: number): string {
  if (ms >= 3_600_000 && ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  if (ms >= 60_000 && ms % 60_000 === 0) return `${ms / 60_000} min`;
  return ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`;
}

/** A duration, rounded. */
export function formatRoughly(ms: number): string {
  const step = ms >= 600_000 && ms % 3_600_000 !== 0 ? 60_000 : ms >= 10_000 ? 1000 : ms >= 1000 ? 100 : 1;
  return formatInterval(Math.round(ms / step) * step);
}

/** How often readings or posts arrive. */
const everyInWords = (ms: number | null): string => (ms === null ? 'irregular, or too few to tell' : `every ${formatInterval(ms)}`);

/** The facts that the panel lists, each with its name. */
export function feedFacts(feed: Feed, settings: Settings | null): { name: string; text: string; note: string }[] {
  const reason = settings?.interval_ms != null && settings.why ? settings.why : '';
  return [
    { name: 'Reads', text: everyInWords(feed.readings_every_ms), note: 'by its own clock' },
    { name: 'Posts', text: everyInWords(feed.posts_every_ms), note: '' },
    { name: 'Interval', text: formatInterval(feed.interval_ms), note: feed.own_interval ? ['its own', reason].filter(Boolean).join(': ') : 'its profile’s' },
    { name: 'Stale', text: `after ${formatRoughly(feed.stale_after_ms)} of silence`, note: '' },
  ];
}

/** For how long the last values hold while no new ones are sent; null if nothing is set for this pump. */
export function holdsInWords(settings: Settings, label: (channel: string) => string): string | null {
  const perChannel = Object.entries(settings.channel_hold_s).map(([channel, seconds]) => `${label(channel)} ${formatInterval(1000 * seconds)}`);
  const others = settings.hold_s === null ? [] : [`${perChannel.length > 0 ? 'all others' : 'all'} ${formatInterval(1000 * settings.hold_s)}`];
  const parts = [...perChannel, ...others];
  return parts.length > 0 ? parts.join(', ') : null;
}

/** A longer pause in a pump's readings is a gap in its charts. */
export function feedGapMs(feed: Feed | null, profileIntervalMs: number): number {
  if (feed === null) return gapMs(profileIntervalMs);
  return Math.max(gapMs(feed.interval_ms), 3 * (feed.readings_every_ms ?? 0));
}

/** The node's advice as a sentence, without the command that the page replaces by a button. */
export function adviceText(feed: Feed): string | null {
  if (feed.advice === null) return null;
  return asSentence(feed.advice.replace(/ \(volute pumps [a-z-]+\)/g, '').replace(/interval to (\d+) ms/, (_, ms) => `interval to ${formatInterval(Number(ms))}`));
}

/** The consequences of another interval. */
export const intervalCost = (pump: string): string =>
  `A baseline holds for one interval only, so what is normal for ${pump} is learned again: at once from the readings of the present baseline if they suffice, else from the next hours of normal running. ` +
  'Until then the pump is learning and the model raises no alarm; limits are still watched. The present version is kept.';
