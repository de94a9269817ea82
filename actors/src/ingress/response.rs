//! The response to a post, combined from the parts of its pumps. It is sent when the last part is dropped.
//!
//! An example with readings of P-1 and P-2: the ingress creates a first part and one for each pump, and completes the
//! first part with the items that it rejected. P-2 completes its part, then P-1. Then the receipt is combined and sent.
//! If P-1's actor fails, its part is dropped before it is completed, and the response says that the post may not be
//! stored.
//!
//! No task waits for the parts, and the response is sent even if the ingress actor fails meanwhile. Does not decide the
//! outcome of an item; the item's pump does.

use std::{mem, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use volute_plant::Rejection;

use crate::{
    counters::{Counters, add},
    protocol::recorder::{StoreFailure, StoreOutcome},
    receipt::{IngestError, IngestResult, LONG_RETRY_AFTER_S, MAX_LISTED, RETRY_AFTER_S, Receipt, RejectedItem},
};

/// The outcomes of the items of one pump.
pub(crate) struct BatchOutcome {
    /// Each with the item's index in the post.
    pub outcomes: Vec<(usize, ItemOutcome)>,
    /// Whether everything that was not rejected is durable.
    pub durable: StoreOutcome,
}

/// The outcome of one item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ItemOutcome {
    Accepted,
    Late,
    Duplicate,
    Rejected(Rejection),
    /// It was not accepted, and may be posted again after this many seconds.
    Deferred(Rejection, u64),
}

/// A part of the response to a post. If it is dropped before it is completed, the post counts as not stored.
pub(crate) struct ResponsePart {
    aggregator: Arc<Mutex<ResponseAggregator>>,
    is_completed: bool,
    /// Whether an earlier part of the same pump and post is durable. Then a failure to store this part only defers its
    /// own items.
    is_later: bool,
}

/// A completed part. The response is not sent before this value is dropped.
#[must_use]
pub(crate) struct CompletedPart {
    _aggregator: Arc<Mutex<ResponseAggregator>>,
}

struct ResponseAggregator {
    reply: Option<oneshot::Sender<IngestResult>>,
    receipt: Receipt,
    /// The indices of the items that were accepted, late or duplicate.
    accepted_indices: Vec<usize>,
    /// The first error of a part.
    error: Option<IngestError>,
    counters: Arc<Counters>,
}

impl ResponsePart {
    /// Creates the first part of a response.
    pub(crate) fn first(reply: oneshot::Sender<IngestResult>, counters: Arc<Counters>) -> Self {
        let (receipt, accepted_indices) = (Receipt::default(), Vec::new());
        let aggregator = ResponseAggregator { reply: Some(reply), receipt, accepted_indices, error: None, counters };
        Self { aggregator: Arc::new(Mutex::new(aggregator)), is_completed: false, is_later: false }
    }

    /// Creates a part for another pump.
    pub(crate) fn for_another_pump(&self) -> Self {
        self.part(false)
    }

    /// Creates another part of the same pump. `is_later` says whether some of the pump's readings in this post are
    /// durable already.
    pub(crate) fn part(&self, is_later: bool) -> Self {
        Self { aggregator: self.aggregator.clone(), is_completed: false, is_later }
    }

    /// Completes the part with the outcomes of its items. The response is not sent before the returned value is
    /// dropped.
    pub(crate) fn complete(mut self, BatchOutcome { outcomes, durable }: BatchOutcome) -> CompletedPart {
        match durable {
            Ok(()) => self.aggregator().add(outcomes),
            Err(unstored) if self.is_later => self.aggregator().add(deferred_outcomes(outcomes, unstored)),
            Err(unstored) => self.aggregator().fail(unstored.into()),
        }
        self.is_completed = true;
        CompletedPart { _aggregator: self.aggregator.clone() }
    }

    /// Completes the part with items that were neither looked up nor stored.
    pub(crate) fn not_stored(self, indices: impl Iterator<Item = usize>, reason: StoreFailure) -> CompletedPart {
        let outcomes = indices.map(|index| (index, ItemOutcome::Accepted)).collect();
        self.complete(BatchOutcome { outcomes, durable: Err(reason) })
    }

    /// Completes the part with the items that the ingress rejected.
    pub(crate) fn complete_with_receipt(self, Receipt { rejected, unreadable, bad_channels, .. }: Receipt) {
        self.finish(|aggregator| {
            aggregator.receipt.rejected.extend(rejected);
            aggregator.receipt.unreadable += unreadable;
            aggregator.receipt.bad_channels.extend(bad_channels);
        });
    }

    /// Completes the part with an error for the whole post.
    pub(crate) fn fail(self, error: IngestError) {
        self.finish(|aggregator| aggregator.fail(error));
    }

    fn finish(mut self, apply: impl FnOnce(&mut ResponseAggregator)) {
        apply(&mut self.aggregator());
        self.is_completed = true;
    }

    fn aggregator(&self) -> MutexGuard<'_, ResponseAggregator> {
        self.aggregator.lock()
    }
}

impl Drop for ResponsePart {
    fn drop(&mut self) {
        if !self.is_completed {
            self.aggregator().fail(IngestError::NotStored { retry_after_s: RETRY_AFTER_S });
        }
    }
}

impl ResponseAggregator {
    fn add(&mut self, outcomes: Vec<(usize, ItemOutcome)>) {
        for (index, outcome) in outcomes {
            match outcome {
                ItemOutcome::Accepted => self.receipt.accepted += 1,
                ItemOutcome::Late => self.receipt.late += 1,
                ItemOutcome::Duplicate => self.receipt.duplicate += 1,
                ItemOutcome::Rejected(rejection) => {
                    self.receipt.rejected.push(RejectedItem { index, rejection, retry_after_s: None });
                    continue;
                }
                ItemOutcome::Deferred(rejection, retry_after_s) => {
                    let retry_after_s = Some(retry_after_s);
                    self.receipt.rejected.push(RejectedItem { index, rejection, retry_after_s });
                    continue;
                }
            }
            self.accepted_indices.push(index);
        }
    }

    fn fail(&mut self, error: IngestError) {
        self.error.get_or_insert(error);
    }

    fn build_result(&mut self) -> IngestResult {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut receipt = mem::take(&mut self.receipt);
        if let Some(retry_after_s) = receipt.retry_all_after_s() {
            return Err(IngestError::NotStored { retry_after_s });
        }
        self.accepted_indices.sort_unstable();
        receipt.rejected.sort_by_key(|item| item.index);
        receipt.bad_channels.retain(|bad| self.accepted_indices.binary_search(&bad.index).is_ok());
        receipt.bad_channels.sort_by_key(|bad| bad.index);
        add(&self.counters.accepted, receipt.accepted);
        add(&self.counters.duplicate, receipt.duplicate);
        add(&self.counters.late, receipt.late);
        let deferred = receipt.rejected.iter().filter(|item| item.retry_after_s.is_some()).count();
        add(&self.counters.rejected, receipt.rejected.len() - deferred + receipt.unreadable);
        add(&self.counters.deferred, deferred);
        Ok(receipt)
    }
}

impl Drop for ResponseAggregator {
    fn drop(&mut self) {
        let result = self.build_result();
        if let Some(reply) = self.reply.take() {
            // The caller may be gone.
            let _ = reply.send(result);
        }
    }
}

/// Returns the outcomes of a part that was not stored: items that were not rejected are deferred.
fn deferred_outcomes(mut outcomes: Vec<(usize, ItemOutcome)>, reason: StoreFailure) -> Vec<(usize, ItemOutcome)> {
    outcomes.sort_by_key(|(index, _)| *index);
    let error = IngestError::from(reason);
    let retry_after_s = match error {
        IngestError::NotStored { retry_after_s } => retry_after_s,
        _ => LONG_RETRY_AFTER_S,
    };
    let reason = match error {
        IngestError::DiskFull => "the disk is full, and this item may not be stored",
        _ => "this item may not be stored",
    };
    let allowed = "this item once more, later: one with a timestamp is not stored twice";
    let rejection = Rejection::new("", None, allowed, reason);
    let mut listed = 0;
    for (_, outcome) in &mut outcomes {
        if !matches!(outcome, ItemOutcome::Rejected(_) | ItemOutcome::Deferred(..)) {
            listed += 1;
            let rejection = if listed <= MAX_LISTED { rejection.clone() } else { Rejection::unlisted() };
            *outcome = ItemOutcome::Deferred(rejection, retry_after_s);
        }
    }
    outcomes
}

impl From<StoreFailure> for IngestError {
    fn from(unstored: StoreFailure) -> Self {
        match unstored {
            StoreFailure::DiskFull => Self::DiskFull,
            StoreFailure::HeadFull => Self::NotStored { retry_after_s: LONG_RETRY_AFTER_S },
            StoreFailure::Failed => Self::NotStored { retry_after_s: RETRY_AFTER_S },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_durable(outcomes: Vec<(usize, ItemOutcome)>) -> BatchOutcome {
        BatchOutcome { outcomes, durable: Ok(()) }
    }

    fn rejection() -> Rejection {
        Rejection::new("timestamp", None, "a time", "it has none")
    }

    #[test]
    fn the_last_part_sends_the_combined_receipt() {
        let counters = Arc::new(Counters::default());
        let (reply, mut response) = oneshot::channel();
        let first = ResponsePart::first(reply, counters.clone());
        let (one, two) = (first.for_another_pump(), first.for_another_pump());
        let _ = two.complete(all_durable(vec![(3, ItemOutcome::Duplicate), (1, ItemOutcome::Rejected(rejection()))]));
        let early = RejectedItem { index: 0, rejection: rejection(), retry_after_s: None };
        first.complete_with_receipt(Receipt { rejected: vec![early], ..Receipt::default() });
        assert!(response.try_recv().is_err(), "a part is missing");
        let _ = one.complete(all_durable(vec![(2, ItemOutcome::Accepted), (4, ItemOutcome::Late)]));
        let receipt = response.try_recv().expect("all have ended").expect("all is stored");
        assert_eq!((receipt.accepted, receipt.late, receipt.duplicate), (1, 1, 1));
        assert_eq!(receipt.rejected.iter().map(|item| item.index).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((counters.totals().accepted, counters.totals().rejected), (1, 2));
    }

    #[test]
    fn deferred_items_are_listed_and_a_post_with_only_these_is_refused() {
        let deferred = |index| (index, ItemOutcome::Deferred(rejection(), 10));
        let table = [
            (vec![(0, ItemOutcome::Accepted), deferred(1)], Ok((1, vec![Some(10)]))),
            (vec![(0, ItemOutcome::Rejected(rejection())), deferred(1)], Ok((0, vec![None, Some(10)]))),
            (vec![(0, ItemOutcome::Duplicate), (1, ItemOutcome::Accepted)], Ok((1, vec![]))),
            (vec![(0, ItemOutcome::Duplicate), deferred(1)], Ok((0, vec![Some(10)]))),
            (vec![(0, ItemOutcome::Late), deferred(1)], Ok((0, vec![Some(10)]))),
            (vec![deferred(0), deferred(1)], Err(IngestError::NotStored { retry_after_s: 10 })),
            ((0..100).map(deferred).chain([(100, ItemOutcome::Accepted)]).collect(), Ok((1, vec![Some(10); 100]))),
            ((0..4000).map(deferred).chain([(4000, ItemOutcome::Accepted)]).collect(), Ok((1, vec![Some(10); 4000]))),
            (vec![(0, ItemOutcome::Rejected(rejection()))], Ok((0, vec![None]))),
        ];
        for (outcomes, expected) in table {
            let (reply, mut response) = oneshot::channel();
            let counters = Arc::new(Counters::default());
            let _ = ResponsePart::first(reply, counters.clone()).complete(all_durable(outcomes.clone()));
            let result = response.try_recv().expect("it has ended");
            let retries =
                |receipt: &Receipt| receipt.rejected.iter().map(|item| item.retry_after_s).collect::<Vec<_>>();
            let result = result.map(|receipt| (receipt.accepted, retries(&receipt)));
            assert_eq!(result, expected, "{outcomes:?}");
            if let Ok((_, retries)) = expected {
                let deferred = retries.iter().flatten().count() as u64;
                let totals = counters.totals();
                assert_eq!((totals.deferred, totals.rejected), (deferred, retries.len() as u64 - deferred));
            }
        }
    }

    #[test]
    fn an_unreadable_item_is_counted_as_rejected() {
        let counters = Arc::new(Counters::default());
        let (reply, mut response) = oneshot::channel();
        let ingress = ResponsePart::first(reply, counters.clone());
        let _ = ingress.for_another_pump().complete(all_durable(vec![(0, ItemOutcome::Deferred(rejection(), 10))]));
        ingress.complete_with_receipt(Receipt { unreadable: 2, ..Receipt::default() });
        let receipt = response.try_recv().expect("it has ended").expect("a receipt");
        assert_eq!((receipt.unreadable, receipt.rejected.len()), (2, 1));
        assert_eq!((counters.totals().rejected, counters.totals().deferred), (2, 1));
    }

    #[test]
    fn a_later_part_that_is_not_stored_defers_only_its_items() {
        let accepted = |indices: [usize; 2]| indices.map(|index| (index, ItemOutcome::Accepted)).to_vec();
        for (first, later, expected) in [
            (Ok(()), Ok(()), Ok((4, vec![]))),
            (Ok(()), Err(StoreFailure::Failed), Ok((2, vec![(2, 1), (3, 1)]))),
            (Ok(()), Err(StoreFailure::DiskFull), Ok((2, vec![(2, 10), (3, 10)]))),
            (Err(StoreFailure::DiskFull), Ok(()), Err(IngestError::DiskFull)),
        ] {
            let (reply, mut response) = oneshot::channel();
            let part = ResponsePart::first(reply, Arc::default());
            let _ = part.part(false).complete(BatchOutcome { outcomes: accepted([1, 0]), durable: first });
            let _ = part.part(true).complete(BatchOutcome { outcomes: accepted([3, 2]), durable: later });
            let _ = part.complete(all_durable(Vec::new()));
            let result = response.try_recv().expect("it has ended").map(|receipt| {
                let again = receipt.rejected.iter().map(|item| (item.index, item.retry_after_s.expect("again")));
                (receipt.accepted, again.collect::<Vec<_>>())
            });
            assert_eq!(result, expected, "{first:?} {later:?}");
        }
    }

    #[test]
    fn a_part_that_fails_or_is_lost_refuses_the_post() {
        let lost = IngestError::NotStored { retry_after_s: RETRY_AFTER_S };
        for (durable, error) in [(None, lost), (Some(Err(StoreFailure::DiskFull)), IngestError::DiskFull)] {
            let counters = Arc::new(Counters::default());
            let (reply, mut response) = oneshot::channel();
            let first = ResponsePart::first(reply, counters.clone());
            let (one, two) = (first.for_another_pump(), first.for_another_pump());
            first.complete_with_receipt(Receipt::default());
            match durable {
                None => drop(one),
                Some(durable) => drop(one.complete(BatchOutcome { outcomes: Vec::new(), durable })),
            }
            let _ = two.complete(all_durable(vec![(0, ItemOutcome::Accepted)]));
            assert_eq!(response.try_recv().expect("all have ended"), Err(error));
            assert_eq!(counters.totals().accepted, 0, "the client was not told so");
        }
    }
}
