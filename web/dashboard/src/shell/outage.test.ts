import { describe, expect, it } from 'vitest';
import { outageOf } from './outage';

describe('outageOf', () => {
  it('is null for a store without problems', () => {
    expect(outageOf({ state: 'ok', problems: [] })).toBeNull();
  });

  it.each([
    ['ok', 'notice'], ['degraded', 'degraded'], ['failed', 'failed'],
    // A newer node may have states that this page does not know.
    ['recovering', 'notice'],
  ])('a store that is %s and reports a problem is shown as %s', (state, kind) => {
    expect(outageOf({ state, problems: ['why'] })).toMatchObject({ kind, problems: ['Why.'] });
  });

  it('shows an outage without a reason', () => {
    expect(outageOf({ state: 'degraded', problems: [] })?.title).toBe('History is incomplete');
    expect(outageOf({ state: 'failed', problems: [] })?.title).toBe('Readings are refused');
  });
});
