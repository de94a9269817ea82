import { describe, expect, it } from 'vitest';
import type { Feed, Settings } from '../../api/types';
import { adviceText, feedFacts, feedGapMs, formatInterval, formatRoughly, holdsInWords } from './feed';

const feed: Feed = {
  interval_ms: 1000,
  own_interval: false,
  readings_every_ms: 10_000,
  posts_every_ms: null,
  stale_after_ms: 30_000,
  advice: 'it reads every 10 s: set its interval to 10000 ms (volute pumps set-interval), and what is normal is learned again',
  advised_interval_ms: 10_000,
};
const settings: Settings = { pump_id: 'P', interval_ms: null, hold_s: null, channel_hold_s: {}, why: '' };

describe('a pump’s feed', () => {
  it('formats intervals as the node does', () => {
    const cases: [number, string][] = [[250, '250 ms'], [1500, '1.5 s'], [10_000, '10 s'], [90_000, '90 s'], [300_000, '5 min'], [3_600_000, '1 h'], [10_100, '10.1 s'], [777_000, '777 s'], [2_000_000, '2000 s'], [1_980_000, '33 min']];
    for (const [ms, text] of cases) expect(formatInterval(ms)).toBe(text);
    const about: [number, string][] = [[15, '15 ms'], [7340, '7.3 s'], [59_865, '1 min'], [700_000, '12 min'], [10_800_000, '3 h']];
    for (const [ms, text] of about) expect(formatRoughly(ms)).toBe(text);
  });

  it('lists the facts, and whether the interval is the profile’s', () => {
    expect(feedFacts(feed, null).map(({ text }) => text)).toEqual(['every 10 s', 'irregular, or too few to tell', '1 s', 'after 30 s of silence']);
    expect(feedFacts(feed, null)[2].note).toBe('its profile’s');
    const own = feedFacts({ ...feed, own_interval: true, interval_ms: 10_000 }, { ...settings, interval_ms: 10_000, why: 'as asked' });
    expect(own[2]).toEqual({ name: 'Interval', text: '10 s', note: 'its own: as asked' });
  });

  it('says which values hold, and nothing if none is set', () => {
    const label = (channel: string) => channel.toLowerCase();
    expect(holdsInWords(settings, label)).toBeNull();
    expect(holdsInWords({ ...settings, hold_s: 600 }, label)).toBe('all 10 min');
    expect(holdsInWords({ ...settings, hold_s: 60, channel_hold_s: { V: 300 } }, label)).toBe('v 5 min, all others 1 min');
  });

  it('has gaps by its own interval, not by that of its profile', () => {
    expect(feedGapMs(null, 1000)).toBe(15_000);
    expect(feedGapMs(feed, 1000)).toBe(30_000);
    expect(feedGapMs({ ...feed, interval_ms: 600_000 }, 1000)).toBe(6_000_000);
  });

  it('gives advice without the name of a command', () => {
    expect(adviceText(feed)).toBe('It reads every 10 s: set its interval to 10 s, and what is normal is learned again.');
    expect(adviceText({ ...feed, advice: null })).toBeNull();
  });
});
