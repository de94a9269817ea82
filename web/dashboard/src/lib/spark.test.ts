import { describe, expect, it } from 'vitest';
import { Columns } from './columns';
import { sparkPath } from './spark';

function trend(t: number[], loss: number[]) {
  const columns = new Columns(1, 16);
  columns.add({ t, columns: [loss] });
  return columns;
}

describe('sparkPath', () => {
  it('fills the box, and draws a loss above the threshold above its line', () => {
    const spark = sparkPath(trend([0, 5, 10], [1, 3, 1]), 2, 100, 100, 42)!;
    expect(spark.line.startsWith('M0.0 ')).toBe(true);
    expect(spark.line).toContain('L50.0 1.0');
    expect(spark.line).toContain('L100.0 ');
    expect(spark.thresholdY).toBeCloseTo(41 - (2 / 3) * 40);
  });

  it('is interrupted at a gap', () => {
    const spark = sparkPath(trend([0, 1, 50, 51], [1, 1, 1, 1]), null, 10, 100, 40)!;
    expect(spark.line.match(/M/g)).toHaveLength(2);
    expect(spark.area.match(/Z/g)).toHaveLength(2);
    expect(spark.thresholdY).toBeNull();
  });

  it('draws nothing for fewer than two losses', () => {
    expect(sparkPath(trend([], []), 1, 10, 100, 40)).toBeNull();
    expect(sparkPath(trend([1], [1]), 1, 10, 100, 40)).toBeNull();
  });
});
