import { render } from 'svelte/server';
import { describe, expect, it } from 'vitest';
import type { Handover, HandoverItem } from '../../api/types';
import HandoverPart from './HandoverPart.svelte';
import type { NamedChannel } from '../../lib/names';
import { headline, partsOf, pathOf, spanInWords, textInWords } from './parts';

const AT = '2026-03-09T10:00:00.000Z';
const item = (more: Partial<HandoverItem> = {}): HandoverItem => ({ at: AT, pump_id: 'P-7', text: 'hot, high: 95, limit 93', by: null, id: 'hot', ...more });
const handover = (more: Partial<Handover> = {}): Handover => {
  const none = { items: [], more: 0 };
  return {
    alarms_raised: none, alarms_returned: none, alarms_standing: none, commands: none,
    events_opened: none, events_changed: none, events_resolved: none, planned_work: none, ...more,
  };
};

describe('a handover', () => {
  it('says first what stands, and counts what is not listed', () => {
    expect(headline(partsOf(handover()))).toBe('No alarm stands, none was raised, no maintenance event was opened');
    const busy = handover({ alarms_standing: { items: [item()], more: 0 }, alarms_raised: { items: [item(), item()], more: 500 } });
    expect(headline(partsOf(busy))).toBe('1 alarm stands, 502 were raised, no maintenance event was opened');
    expect(partsOf(busy)[0].name).toBe('alarms_standing');
  });

  it('has every part that the node sends', () => {
    expect(partsOf(handover()).map(({ name }) => name).sort()).toEqual(Object.keys(handover()).sort());
  });

  it('leads to the alarm or the event, or else to the pump', () => {
    expect(pathOf('alarms_raised', item())).toBe('/alarms/P-7/hot');
    expect(pathOf('events_opened', item({ id: 'P-7/bearing/2026' }))).toBe('/events/P-7%2Fbearing%2F2026');
    expect(pathOf('commands', item({ id: null }))).toBe('/pumps/P-7');
    expect(pathOf('commands', item())).toBe('/alarms/P-7/hot');
    expect(pathOf('commands', item({ id: 'P-7/bearing/2026' }))).toBe('/events/P-7%2Fbearing%2F2026');
    expect(pathOf('planned_work', item({ id: 'w1' }))).toBe('/pumps/P-7');
    expect(pathOf('commands', item({ pump_id: null, id: null }))).toBeNull();
    expect(pathOf('alarms_raised', item({ pump_id: null, id: 'node-disk' }))).toBe('/alarms');
  });

  it('has the display names of channels, and times in words', () => {
    const channels = [{ name: 'Oil_Pressure_bar', label: 'Oil pressure' }] as NamedChannel[];
    expect(textInWords('acknowledge alarm "Oil_Pressure_bar too low": yes', channels, Date.parse(AT))).toBe('Acknowledge alarm "Oil pressure too low": yes');
    const planned = `Bearing too hot: planned for ${new Date('2026-03-13T08:00:00').toISOString()} by ravi`;
    expect(textInWords(planned, [], Date.parse(AT))).toMatch(/^Bearing too hot: planned for Fri .*13.*08:00 by ravi$/);
  });

  it('says which time it is of', () => {
    const [since, until, now] = ['2026-03-09T06:00:00.000Z', AT, Date.parse(AT)];
    expect(spanInWords(since, until, since, now)).toContain('since you last looked');
    expect(spanInWords(since, until, '2026-03-08T06:00:00.000Z', now)).toContain('the chosen time');
    expect(spanInWords(since, until, null, now)).toContain('you have not looked before');
    // Both with their day, also if that is today: it is printed.
    expect(spanInWords(since, until, null, now).match(/Mar/g)).toHaveLength(2);
  });
});

describe('a part', () => {
  it('shows who did it, escapes texts, and says how many are not listed', () => {
    const [, raised] = partsOf(handover({ alarms_raised: { items: [item({ text: '<b>hot</b>', by: 'user asha' })], more: 3 } }));
    const { body } = render(HandoverPart, { props: { part: raised } });
    for (const text of ['Alarms raised', '4', '&lt;b>hot&lt;/b>', '— Asha', '3 older ones are not listed', 'href="/alarms/P-7/hot"']) {
      expect(body).toContain(text);
    }
    // A space before the dash.
    expect(body.replace(/<!--.*?-->/g, '').replace(/<[^>]*>/g, '')).toMatch(/hot&lt;\/b>\s+— Asha/);
  });

  it('leads from an alarm of the node to all alarms', () => {
    const [, raised] = partsOf(handover({ alarms_raised: { items: [item({ pump_id: null, id: 'node-disk' })], more: 0 } }));
    const { body } = render(HandoverPart, { props: { part: raised } });
    expect(body.replace(/<!--.*?-->/g, '')).toContain('href="/alarms"><bdi>The node</bdi>');
  });

  it('says that nothing happened', () => {
    const { body } = render(HandoverPart, { props: { part: partsOf(handover())[7] } });
    expect(body).toContain('Nobody gave a command.');
  });
});
