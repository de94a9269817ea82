//! The answer to a post, put together from its lots: whichever ends last sends it.
//!
//! Nobody has to wait for the lots in between, and it is given whatever becomes of the gate meanwhile. Deliberately
//! absent: what an item's outcome is (its pump's).

use std::{mem, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use volute_plant::Rejection;

use crate::{
    counters::{Counters, add},
    protocol::recorder::{Stored, Unstored},
    receipt::{IngestResult, LISTED, LONG_RETRY_AFTER_S, RETRY_AFTER_S, Receipt, Refusal, RejectedItem},
};

/// How the items of one pump ended.
pub(crate) struct BatchOutcome {
    /// By the items' places in the post.
    pub outcomes: Vec<(usize, ItemOutcome)>,
    /// Whether everything that was not rejected is durable.
    pub durable: Stored,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ItemOutcome {
    Accepted,
    Late,
    Duplicate,
    Rejected(Rejection),
    /// It could not be taken just now, and may be sent again after so many seconds.
    Deferred(Rejection, u64),
}

/// A part in the answer to a post. One that is dropped before it is settled makes the post count as not stored.
pub(crate) struct ResponsePart {
    answer: Arc<Mutex<ResponseAggregator>>,
    settled: bool,
    /// Readings of the same pump and post are durable already: what is not stored of this part is to be sent again by itself.
    is_later: bool,
}

/// A part that is settled, whatever becomes of who holds it. Dropped, it no longer holds up the answer.
#[must_use]
pub(crate) struct SettledPart {
    _answer: Arc<Mutex<ResponseAggregator>>,
}

struct ResponseAggregator {
    reply: Option<oneshot::Sender<IngestResult>>,
    receipt: Receipt,
    /// The places of the items that were taken.
    taken: Vec<usize>,
    /// The first that there was.
    refusal: Option<Refusal>,
    counters: Arc<Counters>,
}

impl ResponsePart {
    /// The first part of an answer.
    pub(crate) fn first(reply: oneshot::Sender<IngestResult>, counters: Arc<Counters>) -> Self {
        let (receipt, taken) = (Receipt::default(), Vec::new());
        let answer = ResponseAggregator { reply: Some(reply), receipt, taken, refusal: None, counters };
        Self { answer: Arc::new(Mutex::new(answer)), settled: false, is_later: false }
    }

    /// Another part.
    pub(crate) fn another(&self) -> Self {
        self.part(false)
    }

    /// Another part of the same pump; a later one where some of the pump's readings in this post are durable already.
    pub(crate) fn part(&self, is_later: bool) -> Self {
        Self { answer: self.answer.clone(), settled: false, is_later }
    }

    /// How a lot ended. The answer is not sent before what this returns is dropped.
    pub(crate) fn settle(mut self, BatchOutcome { outcomes, durable }: BatchOutcome) -> SettledPart {
        match durable {
            Ok(()) => self.answer().add(outcomes),
            Err(unstored) if self.is_later => self.answer().add(put_off(outcomes, unstored)),
            Err(unstored) => self.answer().refuse(unstored.into()),
        }
        self.settled = true;
        SettledPart { _answer: self.answer.clone() }
    }

    /// None of these items was asked about or stored.
    pub(crate) fn not_stored(self, indices: impl Iterator<Item = usize>, why: Unstored) -> SettledPart {
        let outcomes = indices.map(|index| (index, ItemOutcome::Accepted)).collect();
        self.settle(BatchOutcome { outcomes, durable: Err(why) })
    }

    /// What is known without asking the pumps.
    pub(crate) fn complete(self, Receipt { rejected, unreadable, bad_channels, .. }: Receipt) {
        self.end(|answer| {
            answer.receipt.rejected.extend(rejected);
            answer.receipt.unreadable += unreadable;
            answer.receipt.bad_channels.extend(bad_channels);
        });
    }

    /// The post is not taken.
    pub(crate) fn refuse(self, refusal: Refusal) {
        self.end(|answer| answer.refuse(refusal));
    }

    fn end(mut self, how: impl FnOnce(&mut ResponseAggregator)) {
        how(&mut self.answer());
        self.settled = true;
    }

    fn answer(&self) -> MutexGuard<'_, ResponseAggregator> {
        self.answer.lock()
    }
}

impl Drop for ResponsePart {
    fn drop(&mut self) {
        if !self.settled {
            self.answer().refuse(Refusal::NotStored { retry_after_s: RETRY_AFTER_S });
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
            self.taken.push(index);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    fn put_together(&mut self) -> IngestResult {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        let mut receipt = mem::take(&mut self.receipt);
        if let Some(retry_after_s) = receipt.try_all_again() {
            return Err(Refusal::NotStored { retry_after_s });
        }
        self.taken.sort_unstable();
        receipt.rejected.sort_by_key(|item| item.index);
        receipt.bad_channels.retain(|bad| self.taken.binary_search(&bad.index).is_ok());
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
        let answer = self.put_together();
        if let Some(reply) = self.reply.take() {
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        }
    }
}

/// What would have been taken, had it been stored, is to be sent again.
fn put_off(mut outcomes: Vec<(usize, ItemOutcome)>, why: Unstored) -> Vec<(usize, ItemOutcome)> {
    outcomes.sort_by_key(|(index, _)| *index);
    let refusal = Refusal::from(why);
    let retry_after_s = match refusal {
        Refusal::NotStored { retry_after_s } => retry_after_s,
        _ => LONG_RETRY_AFTER_S,
    };
    let reason = match refusal {
        Refusal::DiskFull => "the disk is full, and this item may not be stored",
        _ => "it is not known that this item is stored",
    };
    let allowed = "this item once more, later: one with a timestamp is not taken twice";
    let rejection = Rejection::new("", None, allowed, reason);
    let mut listed = 0;
    for (_, outcome) in &mut outcomes {
        if !matches!(outcome, ItemOutcome::Rejected(_) | ItemOutcome::Deferred(..)) {
            listed += 1;
            let rejection = if listed <= LISTED { rejection.clone() } else { Rejection::unlisted() };
            *outcome = ItemOutcome::Deferred(rejection, retry_after_s);
        }
    }
    outcomes
}

impl From<Unstored> for Refusal {
    fn from(unstored: Unstored) -> Self {
        match unstored {
            Unstored::DiskFull => Self::DiskFull,
            Unstored::Backlog => Self::NotStored { retry_after_s: LONG_RETRY_AFTER_S },
            Unstored::Failed => Self::NotStored { retry_after_s: RETRY_AFTER_S },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(outcomes: Vec<(usize, ItemOutcome)>) -> BatchOutcome {
        BatchOutcome { outcomes, durable: Ok(()) }
    }

    fn rejection() -> Rejection {
        Rejection::new("timestamp", None, "a time", "it has none")
    }

    #[test]
    fn the_last_share_sends_what_all_have_brought() {
        let counters = Arc::new(Counters::default());
        let (reply, mut answer) = oneshot::channel();
        let gate = ResponsePart::first(reply, counters.clone());
        let (one, two) = (gate.another(), gate.another());
        let _ = two.settle(settled(vec![(3, ItemOutcome::Duplicate), (1, ItemOutcome::Rejected(rejection()))]));
        let early = RejectedItem { index: 0, rejection: rejection(), retry_after_s: None };
        gate.complete(Receipt { rejected: vec![early], ..Receipt::default() });
        assert!(answer.try_recv().is_err(), "a lot is under way");
        let _ = one.settle(settled(vec![(2, ItemOutcome::Accepted), (4, ItemOutcome::Late)]));
        let receipt = answer.try_recv().expect("all have ended").expect("all is stored");
        assert_eq!((receipt.accepted, receipt.late, receipt.duplicate), (1, 1, 1));
        assert_eq!(receipt.rejected.iter().map(|item| item.index).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((counters.totals().accepted, counters.totals().rejected), (1, 2));
    }

    #[test]
    fn items_to_be_sent_again_are_told_so_and_a_post_of_nothing_else_is_refused_for_a_while() {
        let deferred = |index| (index, ItemOutcome::Deferred(rejection(), 10));
        let table = [
            (vec![(0, ItemOutcome::Accepted), deferred(1)], Ok((1, vec![Some(10)]))),
            (vec![(0, ItemOutcome::Rejected(rejection())), deferred(1)], Ok((0, vec![None, Some(10)]))),
            (vec![(0, ItemOutcome::Duplicate), (1, ItemOutcome::Accepted)], Ok((1, vec![]))),
            (vec![(0, ItemOutcome::Duplicate), deferred(1)], Ok((0, vec![Some(10)]))),
            (vec![(0, ItemOutcome::Late), deferred(1)], Ok((0, vec![Some(10)]))),
            (vec![deferred(0), deferred(1)], Err(Refusal::NotStored { retry_after_s: 10 })),
            ((0..100).map(deferred).chain([(100, ItemOutcome::Accepted)]).collect(), Ok((1, vec![Some(10); 100]))),
            ((0..4000).map(deferred).chain([(4000, ItemOutcome::Accepted)]).collect(), Ok((1, vec![Some(10); 4000]))),
            (vec![(0, ItemOutcome::Rejected(rejection()))], Ok((0, vec![None]))),
        ];
        for (outcomes, expected) in table {
            let (reply, mut answer) = oneshot::channel();
            let counters = Arc::new(Counters::default());
            let _ = ResponsePart::first(reply, counters.clone()).settle(settled(outcomes.clone()));
            let told = answer.try_recv().expect("it has ended");
            let retries =
                |receipt: &Receipt| receipt.rejected.iter().map(|item| item.retry_after_s).collect::<Vec<_>>();
            let told = told.map(|receipt| (receipt.accepted, retries(&receipt)));
            assert_eq!(told, expected, "{outcomes:?}");
            if let Ok((_, retries)) = expected {
                let deferred = retries.iter().flatten().count() as u64;
                let totals = counters.totals();
                assert_eq!((totals.deferred, totals.rejected), (deferred, retries.len() as u64 - deferred));
            }
        }
    }

    #[test]
    fn an_item_of_which_no_draft_was_made_is_counted_and_is_for_good() {
        let counters = Arc::new(Counters::default());
        let (reply, mut answer) = oneshot::channel();
        let ingress = ResponsePart::first(reply, counters.clone());
        let _ = ingress.another().settle(settled(vec![(0, ItemOutcome::Deferred(rejection(), 10))]));
        ingress.complete(Receipt { unreadable: 2, ..Receipt::default() });
        let receipt = answer.try_recv().expect("it has ended").expect("the post need not be sent again as it is");
        assert_eq!((receipt.unreadable, receipt.rejected.len()), (2, 1));
        assert_eq!((counters.totals().rejected, counters.totals().deferred), (2, 1));
    }

    #[test]
    fn a_later_part_that_is_not_stored_is_sent_again_by_itself() {
        let accepted = |indices: [usize; 2]| indices.map(|index| (index, ItemOutcome::Accepted)).to_vec();
        for (first, later, expected) in [
            (Ok(()), Ok(()), Ok((4, vec![]))),
            (Ok(()), Err(Unstored::Failed), Ok((2, vec![(2, 1), (3, 1)]))),
            (Ok(()), Err(Unstored::DiskFull), Ok((2, vec![(2, 10), (3, 10)]))),
            (Err(Unstored::DiskFull), Ok(()), Err(Refusal::DiskFull)),
        ] {
            let (reply, mut answer) = oneshot::channel();
            let lot = ResponsePart::first(reply, Arc::default());
            let _ = lot.part(false).settle(BatchOutcome { outcomes: accepted([1, 0]), durable: first });
            let _ = lot.part(true).settle(BatchOutcome { outcomes: accepted([3, 2]), durable: later });
            let _ = lot.settle(settled(Vec::new()));
            let told = answer.try_recv().expect("it has ended").map(|receipt| {
                let again = receipt.rejected.iter().map(|item| (item.index, item.retry_after_s.expect("again")));
                (receipt.accepted, again.collect::<Vec<_>>())
            });
            assert_eq!(told, expected, "{first:?} {later:?}");
        }
    }

    #[test]
    fn one_share_that_fails_or_is_lost_refuses_the_post() {
        let lost = Refusal::NotStored { retry_after_s: RETRY_AFTER_S };
        for (durable, refusal) in [(None, lost), (Some(Err(Unstored::DiskFull)), Refusal::DiskFull)] {
            let counters = Arc::new(Counters::default());
            let (reply, mut answer) = oneshot::channel();
            let gate = ResponsePart::first(reply, counters.clone());
            let (one, two) = (gate.another(), gate.another());
            gate.complete(Receipt::default());
            match durable {
                None => drop(one),
                Some(durable) => drop(one.settle(BatchOutcome { outcomes: Vec::new(), durable })),
            }
            let _ = two.settle(settled(vec![(0, ItemOutcome::Accepted)]));
            assert_eq!(answer.try_recv().expect("all have ended"), Err(refusal));
            assert_eq!(counters.totals().accepted, 0, "nobody was told so");
        }
    }
}
