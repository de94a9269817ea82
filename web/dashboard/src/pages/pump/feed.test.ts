import { describe, expect, it } from 'vitest';
import type { Feed, Settings } from '../../api/types';
import { aboutInWords, adviceText, feedFacts, feedGapMs, holdsInWords, inWords } from './feed';

const feed: Feed = {
  interval_ms: 1000,
  own_interval: false,
  readings_every_ms: 10_000,
  posts_every_ms: null,
  stale_after_ms: 30_000,
  advice: 'it reads every 10 s: set its interval to 10000 ms (volute pumps set-interval), and what is normal is learned anew',
  advised_interval_ms: 10_000,
};
const settings: Settings = { pump_id: 'P', interval_ms: null, hold_s: null, channel_hold_s: {}, why: '' };

describe('a pump’s feed', () => {
  it('says lengths as the node does', () => {
    const cases: [number, string][] = [[250, '250 ms'], [1500, '1.5 s'], [10_000, '10 s'], [90_000, '90 s'], [300_000, '5 min'], [3_600_000, '1 h'], [10_100, '10.1 s'], [777_000, '777 s'], [2_000_000, '2000 s'], [1_980_000, '33 min']];
    for (const [ms, text] of cases) expect(inWords(ms)).toBe(text);
    const about: [number, string][] = [[15, '15 ms'], [7340, '7.3 s'], [59_865, '1 min'], [700_000, '12 min'], [10_800_000, '3 h']];
    for (const [ms, text] of about) expect(aboutInWords(ms)).toBe(text);
  });

  it('is listed, with whose its interval is', () => {
    expect(feedFacts(feed, null).map(({ text }) => text)).toEqual(['every 10 s', 'irregular, or too few to tell', '1 s', 'after 30 s of silence']);
    expect(feedFacts(feed, null)[2].note).toBe('its profile’s');
    const own = feedFacts({ ...feed, own_interval: true, interval_ms: 10_000 }, { ...settings, interval_ms: 10_000, why: 'as asked' });
    expect(own[2]).toEqual({ name: 'Steps of its windows', text: '10 s', note: 'its own: as asked' });
  });

  it('says which values hold, and nothing where none is set', () => {
    const label = (channel: string) => channel.toLowerCase();
    expect(holdsInWords(settings, label)).toBeNull();
    expect(holdsInWords({ ...settings, hold_s: 600 }, label)).toBe('all 10 min');
    expect(holdsInWords({ ...settings, hold_s: 60, channel_hold_s: { V: 300 } }, label)).toBe('v 5 min, all others 1 min');
  });

  it('has holes by its own cadence, not by that of its profile', () => {
    expect(feedGapMs(null, 1000)).toBe(15_000);
    expect(feedGapMs(feed, 1000)).toBe(30_000);
    expect(feedGapMs({ ...feed, interval_ms: 600_000 }, 1000)).toBe(6_000_000);
  });

  it('gives advice without the name of a command', () => {
    expect(adviceText(feed)).toBe('It reads every 10 s: set its interval to 10 s, and what is normal is learned anew.');
    expect(adviceText({ ...feed, advice: null })).toBeNull();
  });
});
