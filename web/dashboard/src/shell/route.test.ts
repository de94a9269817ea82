import { describe, expect, it } from 'vitest';
import { parseRoute, pumpPath } from './route';

describe('routes', () => {
  it('a pump leads to its page and back, whatever its name', () => {
    for (const pump of ['P-101', 'a/b', 'ä ö', '100%', 'x?y#z', '..']) {
      expect(parseRoute(pumpPath(pump))).toEqual({ page: 'pump', pump });
    }
  });

  it('what is no page is nowhere', () => {
    expect(parseRoute('/')).toEqual({ page: 'fleet' });
    for (const path of ['/pumps', '/pumps/', '/pumps/a/b', '/x', '/pumps/%E0%A4%A']) {
      expect(parseRoute(path)).toEqual({ page: 'nowhere', path });
    }
  });
});
