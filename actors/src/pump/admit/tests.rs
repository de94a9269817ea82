//! Tests of admission: the responses to posts, and which readings become durable.

use tokio::sync::oneshot;
use volute_plant::{Sample, TimestampSource};

use super::*;
use crate::{
    counters::Counters,
    ingress::in_flight::{InFlightLimit, PumpInFlight},
    receipt::{IngestError, IngestResult},
    testing::{TIMES, at, profile, pump, reading},
};

const LIMITS: BacklogLimits = BacklogLimits { timeout: Duration::from_secs(20), max_pending_windows: 32 };

/// One pump's admission with its in-flight limits.
struct Bench {
    admit: Admit,
    of_node: InFlightLimit,
    of_pump: PumpInFlight,
    now: Instant,
    pending_windows: usize,
    accepts_past_minutes: bool,
}

type Response = oneshot::Receiver<IngestResult>;

impl Bench {
    /// Returns the admission of a pump that may have `limit` readings in flight.
    fn new(limit: usize) -> Self {
        Self {
            admit: Admit::new(pump(), &profile(), TIMES, LIMITS),
            of_node: InFlightLimit::new(1_000, 10_000),
            of_pump: PumpInFlight::new(limit),
            now: Instant::now(),
            pending_windows: 0,
            accepts_past_minutes: true,
        }
    }

    /// Posts one reading for each of `seconds`, received at second `received`.
    fn post(&mut self, seconds: impl IntoIterator<Item = i64>, received: i64) -> Response {
        let draft = |s| Draft {
            pump: None,
            profile: profile(),
            timestamp: TimestampSource::Device(at(s)),
            samples: [Sample::Good(50.0)].into(),
        };
        let drafts: Vec<(usize, Draft)> = seconds.into_iter().map(draft).enumerate().collect();
        let (reply, response) = oneshot::channel();
        self.admit.submit(SubmitReadings {
            permits: Arc::new(self.of_node.try_acquire_of_pump(&self.of_pump, drafts.len()).expect("there is room")),
            drafts,
            received: at(received),
            posted_at: self.now,
            response: ResponsePart::first(reply, Arc::new(Counters::default())),
        });
        response
    }

    /// Decides on the next items, none of which the store has.
    fn decide(&mut self) -> Option<Batch> {
        self.decide_against(&LookupResult::default())
    }

    fn decide_against(&mut self, stored: &LookupResult) -> Option<Batch> {
        let has_room = self.accepts_past_minutes;
        let state =
            BacklogState { now: self.now, pending_windows: self.pending_windows, accepts_past_minutes: &|| has_room };
        let (items, _) = self.admit.next(false, state)?;
        Some(self.admit.decide(items, stored))
    }

    /// Completes a batch. Returns the seconds that are durable.
    fn complete(&mut self, batch: Batch, stored: StoreOutcome) -> Vec<i64> {
        let CompletedBatch { readings, .. } = self.admit.complete(batch, stored);
        readings.iter().map(|admitted| admitted.reading.at.since_ms(at(0)) / 1000).collect()
    }
}

/// Returns the response to a post: how many items were accepted, duplicate, and rejected or deferred.
fn receipt_of(response: &mut Response) -> Result<(usize, usize, usize), IngestError> {
    let receipt = response.try_recv().expect("a response")?;
    Ok((receipt.accepted, receipt.duplicate, receipt.rejected.len()))
}

#[test]
fn a_post_gets_its_response_when_its_readings_are_durable() {
    let mut bench = Bench::new(100);
    let mut response = bench.post(0..3, 3);
    let batch = bench.decide().expect("the next items");
    assert_eq!(batch.to_store().len(), 3);
    assert!(response.try_recv().is_err(), "not yet");
    assert_eq!(bench.complete(batch, Ok(())), [0, 1, 2]);
    assert_eq!(receipt_of(&mut response), Ok((3, 0, 0)));
    assert!(bench.decide().is_none());
}

#[test]
fn duplicates_of_readings_that_were_not_stored_are_not_stored() {
    let mut bench = Bench::new(100);
    let (mut first, mut second) = (bench.post(0..2, 2), bench.post(0..2, 2));
    let (a, b) = (bench.decide().expect("the next items"), bench.decide().expect("the next items"));
    assert_eq!((a.to_store().len(), b.to_store().len()), (2, 0), "the second repeats the first");
    assert_eq!(bench.complete(a, Err(StoreFailure::Failed)), [0; 0]);
    assert_eq!(bench.complete(b, Ok(())), [0; 0]);
    let again = Err(IngestError::NotStored { retry_after_s: 1 });
    assert_eq!((receipt_of(&mut first), receipt_of(&mut second)), (again.clone(), again));

    // When they are sent again, they are new.
    let mut third = bench.post(0..2, 3);
    let c = bench.decide().expect("the next items");
    assert_eq!(bench.complete(c, Ok(())), [0, 1]);
    assert_eq!(receipt_of(&mut third), Ok((2, 0, 0)));
}

#[test]
fn a_batch_whose_pump_has_ended_still_gets_its_response() {
    for (stored, is_duplicate, expected) in [
        (Ok(()), false, Ok((1, 0, 0))),
        (Ok(()), true, Err(IngestError::NotStored { retry_after_s: 1 })),
        (Err(StoreFailure::DiskFull), false, Err(IngestError::DiskFull)),
    ] {
        let mut bench = Bench::new(100);
        let mut response = bench.post([0], 2);
        let readings = if is_duplicate { vec![reading(0)] } else { Vec::new() };
        let lookup = LookupResult { readings, ..LookupResult::default() };
        bench.decide_against(&lookup).expect("the next items").complete_without_pump(stored);
        assert_eq!(receipt_of(&mut response), expected, "{stored:?} {is_duplicate}");
    }
}

#[test]
fn a_backlog_is_admitted_in_parts_and_gets_one_response() {
    let mut bench = Bench::new(10);
    let (mut backlog, mut other) = (bench.post((0..12).rev(), 12), bench.post([12], 12));
    for part in [vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8, 9], vec![10, 11]] {
        let batch = bench.decide().expect("the next items");
        assert!(bench.decide().is_none(), "one part at a time, and no other post before it ends");
        assert_eq!(bench.complete(batch, Ok(())), part);
    }
    assert_eq!(receipt_of(&mut backlog), Ok((12, 0, 0)));
    let batch = bench.decide().expect("the other post");
    assert_eq!(bench.complete(batch, Ok(())), [12]);
    assert_eq!(receipt_of(&mut other), Ok((1, 0, 0)));
}

#[test]
fn a_part_waits_for_room_for_its_windows_for_a_limited_time() {
    let mut bench = Bench::new(10);
    let _response = bench.post(0..20, 20);
    let first = bench.decide().expect("nothing is in flight");
    bench.complete(first, Ok(()));
    bench.pending_windows = 28;
    assert!(bench.decide().is_none(), "4 of 32 are free, and a part has 5");
    assert_eq!(bench.admit.backlog_wait(bench.now), Some(Duration::from_secs(10)));
    bench.pending_windows = 27;
    let second = bench.decide().expect("5 are free");
    bench.complete(second, Ok(()));
    bench.pending_windows = 32;
    bench.now += Duration::from_secs(10);
    assert_eq!(bench.admit.backlog_wait(bench.now), Some(Duration::ZERO));
    let third = bench.decide().expect("it has waited for 10 s");
    assert_eq!(bench.complete(third, Ok(())).len(), 5);
}

#[test]
fn a_backlog_that_cannot_be_continued_defers_its_remaining_items() {
    // Each row holds what happens after the first part, and the reason in the response. 15 of the 20 items are
    // deferred.
    type Event = fn(&mut Bench);
    for (case, event, stored, expected) in [
        ("its time is up", (|bench| bench.now += Duration::from_secs(20)) as Event, Ok(()), Ok((5, 0, 15))),
        ("the node stops", |bench| bench.of_pump.end_backlogs(), Ok(()), Ok((5, 0, 15))),
        ("there is no room for the past", |bench| bench.accepts_past_minutes = false, Ok(()), Ok((5, 0, 15))),
        ("nothing is stored", |_| {}, Err(StoreFailure::Failed), Err(IngestError::NotStored { retry_after_s: 1 })),
    ] {
        let mut bench = Bench::new(10);
        let mut response = bench.post(0..20, 86_400);
        let first = bench.decide().expect("the next items");
        bench.complete(first, stored);
        event(&mut bench);
        assert!(bench.decide().is_none(), "{case}");
        assert_eq!(receipt_of(&mut response), expected, "{case}");
        let mut next = bench.post([86_400], 86_400);
        let batch = bench.decide().expect("the next post");
        bench.complete(batch, Ok(()));
        assert_eq!(receipt_of(&mut next), Ok((1, 0, 0)), "{case}");
    }
}

#[test]
fn the_first_part_of_a_backlog_is_taken_whatever_has_happened_since_its_post() {
    type Event = fn(&mut Bench);
    for (case, event) in [
        ("its time is up", (|bench| bench.now += Duration::from_secs(20)) as Event),
        ("the node stops", |bench| bench.of_pump.end_backlogs()),
        ("there is no room for the past", |bench| bench.accepts_past_minutes = false),
    ] {
        let mut bench = Bench::new(10);
        let _response = bench.post(0..20, 86_400);
        event(&mut bench);
        let first = bench.decide().expect(case);
        assert_eq!(bench.complete(first, Ok(())), [0, 1, 2, 3, 4], "{case}: the ingress has admitted it");
    }
}

#[test]
fn current_items_of_a_backlog_are_taken_without_room_for_those_of_the_past() {
    let mut bench = Bench::new(10);
    let mut response = bench.post((0..10).chain(86_390..86_400), 86_400);
    let first = bench.decide().expect("the next items");
    assert_eq!(bench.complete(first, Ok(())), [0, 1, 2, 3, 4]);
    bench.accepts_past_minutes = false;
    for part in [86_390, 86_395] {
        let batch = bench.decide().expect("the next items");
        assert_eq!(bench.complete(batch, Ok(())), (part..part + 5).collect::<Vec<_>>());
    }
    assert!(bench.decide().is_none());
    assert_eq!(receipt_of(&mut response), Ok((15, 0, 5)));
}

#[test]
fn items_whose_lookup_failed_are_not_stored() {
    let mut bench = Bench::new(10);
    let mut response = bench.post(0..20, 20);
    let state = BacklogState { now: bench.now, pending_windows: 0, accepts_past_minutes: &|| true };
    let (items, _) = bench.admit.next(false, state).expect("the next items");
    bench.admit.lookup_failed(items);
    assert!(bench.decide().is_none());
    assert_eq!(receipt_of(&mut response), Err(IngestError::NotStored { retry_after_s: 1 }));
}

#[test]
fn timestamps_two_hours_behind_are_a_clock_fault() {
    let mut bench = Bench::new(100);
    for s in 0..10 {
        let _response = bench.post([s - 7200], s);
        let batch = bench.decide().expect("the next items");
        bench.complete(batch, Ok(()));
    }
    assert!(bench.admit.clock_fault().is_some(), "two hours behind");
    bench.admit.reset_clock();
    assert_eq!(bench.admit.clock_fault(), None);
}
