import { render } from 'svelte/server';
import { describe, expect, it } from 'vitest';
import type { Session } from '../../api/types';
import { session } from '../../lib/session.svelte';
import BaselinePanel from './BaselinePanel.svelte';
import NameEditor from './NameEditor.svelte';
import type { PumpState } from './pumpState.svelte';

/** A pump with one earlier version of its baseline that can be used again. */
const pump = {
  id: 'P-1',
  label: 'P-1',
  name: null,
  status: 'NORMAL',
  channels: [],
  baselines: {
    data: {
      in_use: null,
      versions: [{ version: 1, usable: true, created_at: '2026-03-09T10:00:00.000Z', from: '2026-03-09T10:00:00.000Z', to: '2026-03-10T10:00:00.000Z', windows: 9 }],
    },
    problem: null,
  },
} as unknown as PumpState;

function as(role: string, permissions: string[]) {
  session.poll.data = { secured: true, kind: 'user', name: 'ada', role, permissions } as Session;
  return {
    baseline: render(BaselinePanel, { props: { pump, old: false } }).body,
    name: render(NameEditor, { props: { pump } }).body,
  };
}

const learnButton = (body: string) => /<button[^>]*>Learn again…<\/button>/.exec(body)?.[0];

describe('a pump’s page', () => {
  it('offers an engineer to name the pump and to change its baseline', () => {
    const { baseline, name } = as('engineer', ['view', 'configure-pumps']);
    expect(name).toContain('Add a name');
    expect(learnButton(baseline)).not.toContain('disabled');
    expect(baseline).toMatch(/<button[^>]*>Use</);
  });

  it('tells a viewer why the baseline cannot be learned again, and offers nothing else', () => {
    const { baseline, name } = as('viewer', ['view']);
    expect(name).not.toContain('Add a name');
    expect(learnButton(baseline)).toContain('disabled');
    expect(baseline).toContain('Your role, viewer, may not configure pumps.');
    expect(baseline).not.toMatch(/<button[^>]*>Use</);
  });
});
