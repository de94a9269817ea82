// The requests of people's work on maintenance events. Beside queries.ts, since the first page needs none of them.

import { api, unwrap } from './client';
import type { paths, components } from './schema';
import type { MaintenanceEvent } from './types';

type Schemas = components['schemas'];

/** What a person can do about an event, as `work.allowed` names it. */
export type EventActionKind = 'acknowledge' | 'plan' | 'submit' | 'approve' | 'reject' | 'finish' | 'reopen';

/** An action with what it needs. */
export type EventAction =
  | { kind: 'plan'; body: Schemas['EventPlanRequest'] }
  | { kind: 'finish'; body: Schemas['EventFinishRequest'] }
  | { kind: Exclude<EventActionKind, 'plan' | 'finish'>; body: Schemas['EventActionRequest'] };

const ROUTES = {
  acknowledge: '/api/maintenance-events/{id}/acknowledge',
  submit: '/api/maintenance-events/{id}/submit',
  approve: '/api/maintenance-events/{id}/approve',
  reject: '/api/maintenance-events/{id}/reject',
  reopen: '/api/maintenance-events/{id}/reopen',
} as const satisfies Partial<Record<EventActionKind, keyof paths>>;

/**
 * Carries out an action, unless the event has other changes than these, which the user has seen. Returns the event after it, as it is
 * stored.
 */
export function workOnEvent(id: string, action: EventAction, changes: number): Promise<MaintenanceEvent> {
  const params = { path: { id } };
  switch (action.kind) {
    case 'plan':
      return unwrap(api.POST('/api/maintenance-events/{id}/plan', { params, body: { ...action.body, changes } }));
    case 'finish':
      return unwrap(api.POST('/api/maintenance-events/{id}/finish', { params, body: { ...action.body, changes } }));
    default:
      return unwrap(api.POST(ROUTES[action.kind], { params, body: { ...action.body, changes } }));
  }
}
