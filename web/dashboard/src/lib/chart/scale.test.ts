import { describe, expect, it } from 'vitest';
import { YScale, type ScaleContent } from './scale';

const content = (some: Partial<ScaleContent>): ScaleContent => ({
  low: 60, high: 62, minSpan: 2, fromZero: false, always: [], near: [], ...some,
});

describe('YScale', () => {
  it('contains the data with padding, and does not change for noise', () => {
    const scale = new YScale();
    expect(scale.fit(content({}))).toBe(true);
    const { min, max } = scale;
    expect(min).toBeLessThan(60);
    expect(max).toBeGreaterThan(62);
    for (const [low, high] of [[60.1, 61.9], [59.9, 62.1], [60.2, 62]]) {
      expect(scale.fit(content({ low, high }))).toBe(false);
    }
    expect([scale.min, scale.max]).toEqual([min, max]);
  });

  it('grows at once, and shrinks when the data needs little of it', () => {
    const scale = new YScale();
    scale.fit(content({}));
    expect(scale.fit(content({ high: 80 }))).toBe(true);
    expect(scale.max).toBeGreaterThan(80);
    expect(scale.fit(content({}))).toBe(true);
    expect(scale.max).toBeLessThan(65);
  });

  it('includes a near limit, but not one that would flatten the line', () => {
    const scale = new YScale();
    scale.fit(content({ near: [64, 93] }));
    expect(scale.max).toBeGreaterThan(64);
    expect(scale.max).toBeLessThan(93);
  });

  it('starts at zero and includes the threshold for a loss', () => {
    const scale = new YScale();
    scale.fit(content({ low: 0.2, high: 0.3, minSpan: 0, fromZero: true, always: [0.5] }));
    expect(scale.min).toBe(0);
    expect(scale.max).toBeGreaterThan(0.5);
  });

  it('is never empty', () => {
    const scale = new YScale();
    expect(scale.fit(content({ low: NaN, high: NaN }))).toBe(false);
    scale.fit(content({ low: 5, high: 5, minSpan: 0 }));
    expect(scale.max).toBeGreaterThan(scale.min);
  });
});
