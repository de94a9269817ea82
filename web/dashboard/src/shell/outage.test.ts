import { describe, expect, it } from 'vitest';
import { outageOf } from './outage';

describe('outageOf', () => {
  it('says nothing of a store that is well', () => {
    expect(outageOf({ state: 'ok', problems: [] })).toBeNull();
  });

  it.each([
    ['ok', 'notice'], ['degraded', 'degraded'], ['failed', 'failed'],
    // A newer node may know more states than this page.
    ['drowsy', 'notice'],
  ])('a store that is %s and has a problem is a %s', (state, kind) => {
    expect(outageOf({ state, problems: ['why'] })).toMatchObject({ kind, problems: ['Why.'] });
  });

  it('an outage is said even where no reason is given', () => {
    expect(outageOf({ state: 'degraded', problems: [] })?.title).toBe('History is not whole');
    expect(outageOf({ state: 'failed', problems: [] })?.title).toBe('Readings are refused');
  });
});
