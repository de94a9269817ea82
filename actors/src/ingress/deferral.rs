//! Defers items that cannot be accepted now and may be sent again. These are items of pumps whose actors have failed or
//! are being replaced, of pumps that are being removed, of more new pumps than the client may register, and of past
//! minutes if too many wait for the database.
//!
//! If no item of a post can be accepted, the whole post is refused, so that a client that checks only the HTTP status
//! sends it again. Does not handle final rejections.

use std::{net::IpAddr, time::Instant};

use volute_plant::{Draft, PumpId, Rejection, Timestamp};

use super::{IngressActor, ReadingsByPump};
use crate::{
    protocol::ingress::Detached,
    pump::admit::is_past_reading,
    receipt::{IngestError, LONG_RETRY_AFTER_S, Queue, RETRY_AFTER_S, Receipt, past_minutes_full, restarting_reason},
    settings::IngestSettings,
};

impl IngressActor {
    /// Defers the items of pumps whose actors have failed.
    pub(super) fn defer_failed_pumps(
        &self,
        by_pump: &mut ReadingsByPump,
        receipt: &mut Receipt,
    ) -> Result<(), IngestError> {
        let pumps = self.pumps();
        let failed = |pump: &PumpId| pumps.active.get(pump).is_some_and(|handle| handle.address.is_failed());
        if !by_pump.is_empty() && by_pump.keys().all(failed) {
            return Err(IngestError::NotStored { retry_after_s: LONG_RETRY_AFTER_S });
        }
        by_pump.retain(|pump, drafts| {
            let failed = failed(pump);
            if failed {
                let allowed = "a pump whose actor runs (/api/actors); send this item again once it has been restarted";
                let rejection = Rejection::new("pump_id", Some(pump.to_string()), allowed, "its actor has failed");
                receipt.reject(drafts, &rejection, Some(LONG_RETRY_AFTER_S));
            }
            !failed
        });
        Ok(())
    }

    /// Defers the items of pumps that are being removed, whose ids can be used again in some minutes, and of pumps
    /// whose actors are being replaced.
    pub(super) fn defer_detached_pumps(
        &self,
        by_pump: &mut ReadingsByPump,
        receipt: &mut Receipt,
    ) -> Result<(), IngestError> {
        let pumps = self.pumps();
        let reason_for = |pump: &PumpId| {
            let being_removed = || !pumps.active.contains_key(pump) && self.context.store.is_being_removed(pump);
            pumps.detached.get(pump).copied().or_else(|| being_removed().then_some(Detached::Removing))
        };
        let mut found = by_pump.keys().map(reason_for);
        match (by_pump.keys().next(), found.next().flatten()) {
            (Some(pump), Some(first)) if found.all(|reason| reason.is_some()) => {
                return Err(match first {
                    Detached::Removing => IngestError::BeingRemoved { retry_after_s: LONG_RETRY_AFTER_S },
                    Detached::Restarting => {
                        IngestError::Deferred { reason: restarting_reason(pump), retry_after_s: RETRY_AFTER_S }
                    }
                });
            }
            _ => {}
        }
        by_pump.retain(|pump, drafts| {
            let (allowed, reason, retry_after_s) = match reason_for(pump) {
                None => return true,
                Some(Detached::Removing) => (
                    "a name that is free; send this item again in some minutes",
                    "the pump was removed, and its readings are being deleted".to_owned(),
                    LONG_RETRY_AFTER_S,
                ),
                Some(Detached::Restarting) => {
                    ("this item once more, in a second", restarting_reason(pump), RETRY_AFTER_S)
                }
            };
            let rejection = Rejection::new("pump_id", Some(pump.to_string()), allowed, &reason);
            receipt.reject(drafts, &rejection, Some(retry_after_s));
            false
        });
        Ok(())
    }

    /// Defers the items of new pumps beyond what the client may register now. The first by name are admitted. Returns
    /// how many new pumps are admitted.
    pub(super) fn defer_new_pumps(
        &self,
        client: Option<IpAddr>,
        now: Instant,
        by_pump: &mut ReadingsByPump,
        receipt: &mut Receipt,
    ) -> Result<usize, IngestError> {
        let pumps = self.pumps();
        let is_new = |pump: &PumpId| !pumps.active.contains_key(pump);
        let new = by_pump.keys().filter(|pump| is_new(pump)).count();
        let Some(client) = client.filter(|_| new > 0) else { return Ok(new) };
        let allowance = self.registration_limiter().allowance(client, now);
        if allowance.pumps == 0 && new == by_pump.len() {
            return Err(IngestError::Busy { queue: Queue::NewPumps, retry_after_s: allowance.next_s });
        }
        let mut admitted = 0;
        by_pump.retain(|pump, drafts| {
            if !is_new(pump) {
                return true;
            }
            if admitted < allowance.pumps {
                admitted += 1;
                return true;
            }
            let IngestSettings { new_pumps_burst, new_pumps_per_minute, .. } = self.settings;
            let allowed = format!(
                "{new_pumps_burst} new pumps of a client at once, and {new_pumps_per_minute} a minute \
                 (ingest.new_pumps_burst, ingest.new_pumps_per_minute); send this item again in some minutes"
            );
            let rejection = Rejection::new("pump_id", Some(pump.to_string()), allowed, "too many new pumps");
            receipt.reject(drafts, &rejection, Some(allowance.next_s));
            false
        });
        Ok(admitted)
    }

    /// Defers items of past minutes if too many past minutes wait for the database. Other items of the same pumps are
    /// admitted.
    pub(super) fn defer_past(
        &self,
        received: Timestamp,
        by_pump: &mut ReadingsByPump,
        receipt: &mut Receipt,
    ) -> Result<(), IngestError> {
        let is_past = |(_, draft): &(usize, Draft)| is_past_reading(draft, received, &self.context.timestamp_limits);
        let is_full = |pump: &PumpId, drafts: &[(usize, Draft)]| {
            drafts.iter().any(is_past) && !self.context.accepts_past_minutes(pump)
        };
        let full: Vec<PumpId> =
            by_pump.iter().filter(|(pump, drafts)| is_full(pump, drafts)).map(|(pump, _)| pump.clone()).collect();
        let has_only_past =
            |(pump, drafts): (&PumpId, &Vec<(usize, Draft)>)| full.contains(pump) && drafts.iter().all(is_past);
        if !full.is_empty() && by_pump.iter().all(has_only_past) {
            return Err(IngestError::Busy { queue: Queue::PastMinutes, retry_after_s: RETRY_AFTER_S });
        }
        for pump in full {
            let Some(drafts) = by_pump.remove(&pump) else { continue };
            let (past, current): (Vec<_>, Vec<_>) = drafts.into_iter().partition(is_past);
            receipt.reject(&past, &past_minutes_full(), Some(LONG_RETRY_AFTER_S));
            if !current.is_empty() {
                by_pump.insert(pump, current);
            }
        }
        Ok(())
    }
}
