import { describe, expect, it } from 'vitest';
import { incompleteText } from './incomplete';

describe('incompleteText', () => {
  const now = new Date('2026-03-09T10:20:00').getTime();

  it('says from which time on the list is complete, and why not before', () => {
    const since = new Date('2026-03-09T10:14:33').toISOString();
    expect(incompleteText('Readings', { since, reason: 'the database does not answer.' }, now, 'en')).toBe(
      'Complete from 10:14:33 on. Readings before that may be missing: the database does not answer.',
    );
  });

  it('names no time if none is known', () => {
    expect(incompleteText('Events', { since: null, reason: 'it is closed' }, now)).toBe('Events may be missing: it is closed.');
  });
});
