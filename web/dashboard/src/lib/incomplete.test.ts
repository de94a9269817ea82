import { describe, expect, it } from 'vitest';
import { incompleteInWords } from './incomplete';

describe('incompleteInWords', () => {
  const now = new Date('2026-03-09T10:20:00').getTime();

  it('says from when on all is there, and why not before', () => {
    const since = new Date('2026-03-09T10:14:33').toISOString();
    expect(incompleteInWords('Readings', { since, reason: 'the database does not answer.' }, now, 'en')).toBe(
      'Whole from 10:14:33 on. Readings from before may be missing: the database does not answer.',
    );
  });

  it('promises nothing where nothing is known', () => {
    expect(incompleteInWords('Events', { since: null, reason: 'it is closed' }, now)).toBe('Events may be missing: it is closed.');
  });
});
