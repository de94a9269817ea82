// The requests for the shift handover.

import { api, unwrap } from './client';
import type { HandoverResponse } from './types';

/** The handover since a time; null: since this user's last look. */
export const fetchHandover = (since: string | null): Promise<HandoverResponse> =>
  unwrap(api.GET('/api/handover', { params: { query: since === null ? {} : { since } } }));

/** Records that this user has seen the handover to its end. Returns the time at which the next one begins. */
export const markSeen = async (until: string): Promise<string> => (await unwrap(api.POST('/api/handover/seen', { body: { until } }))).seen_until;
