//! Posts on a bench: how they are answered, and what is durable.

use tokio::sync::oneshot;
use volute_plant::{Sample, TimestampSource};

use super::*;
use crate::{
    counters::Counters,
    ingress::in_flight::{InFlightLimit, PumpInFlight},
    receipt::{IngestResult, Refusal},
    testing::{TIMES, at, profile, pump, reading},
};

const LIMITS: BacklogLimits = BacklogLimits { answer: Duration::from_secs(20), windows: 32 };

/// A pump's admission, and the room for its readings.
struct Bench {
    admit: Admit,
    of_node: InFlightLimit,
    of_pump: PumpInFlight,
    now: Instant,
    windows: usize,
    has_room_for_past: bool,
}

type Response = oneshot::Receiver<IngestResult>;

impl Bench {
    /// With room for so many readings of the pump at once.
    fn new(room: usize) -> Self {
        Self {
            admit: Admit::new(pump(), &profile(), TIMES, LIMITS),
            of_node: InFlightLimit::new(1_000, 10_000),
            of_pump: PumpInFlight::new(room),
            now: Instant::now(),
            windows: 0,
            has_room_for_past: true,
        }
    }

    /// Posts readings of these seconds, received at `received`.
    fn post(&mut self, seconds: impl IntoIterator<Item = i64>, received: i64) -> Response {
        let draft = |s| Draft {
            pump: None,
            profile: profile(),
            stamp: TimestampSource::Device(at(s)),
            samples: [Sample::Good(50.0)].into(),
        };
        let drafts: Vec<(usize, Draft)> = seconds.into_iter().map(draft).enumerate().collect();
        let (reply, response) = oneshot::channel();
        self.admit.submit(SubmitReadings {
            permit: Arc::new(self.of_node.permit(&self.of_pump, drafts.len()).expect("there is room")),
            drafts,
            received: at(received),
            since: self.now,
            response: ResponsePart::first(reply, Arc::new(Counters::default())),
        });
        response
    }

    /// The next items, judged; the store knows nothing of them.
    fn judge(&mut self) -> Option<Batch> {
        self.judge_given(&LookupResult::default())
    }

    fn judge_given(&mut self, known: &LookupResult) -> Option<Batch> {
        let has_room = self.has_room_for_past;
        let state = BacklogState { now: self.now, windows: self.windows, has_room_for_past: &|| has_room };
        let (items, _) = self.admit.next(false, state)?;
        Some(self.admit.judge(items, known))
    }

    /// Completes a batch. Returns the seconds that are durable.
    fn complete(&mut self, batch: Batch, stored: Stored) -> Vec<i64> {
        let Completed { readings, .. } = self.admit.complete(batch, stored);
        readings.iter().map(|admitted| admitted.reading.at.since_ms(at(0)) / 1000).collect()
    }
}

/// What a post was answered: accepted, duplicate, to be sent again.
fn answered(response: &mut Response) -> Result<(usize, usize, usize), Refusal> {
    let receipt = response.try_recv().expect("it is answered")?;
    Ok((receipt.accepted, receipt.duplicate, receipt.rejected.len()))
}

#[test]
fn a_post_is_answered_when_its_readings_are_durable() {
    let mut bench = Bench::new(100);
    let mut response = bench.post(0..3, 3);
    let batch = bench.judge().expect("its turn");
    assert_eq!(batch.to_store().len(), 3);
    assert!(response.try_recv().is_err(), "not yet");
    assert_eq!(bench.complete(batch, Ok(())), [0, 1, 2]);
    assert_eq!(answered(&mut response), Ok((3, 0, 0)));
    assert!(bench.judge().is_none());
}

#[test]
fn what_repeats_readings_that_were_not_stored_is_to_be_sent_again() {
    let mut bench = Bench::new(100);
    let (mut first, mut second) = (bench.post(0..2, 2), bench.post(0..2, 2));
    let (a, b) = (bench.judge().expect("its turn"), bench.judge().expect("its turn"));
    assert_eq!((a.to_store().len(), b.to_store().len()), (2, 0), "the second repeats the first");
    assert_eq!(bench.complete(a, Err(Unstored::Failed)), [0; 0]);
    assert_eq!(bench.complete(b, Ok(())), [0; 0]);
    let again = Err(Refusal::NotStored { retry_after_s: 1 });
    assert_eq!((answered(&mut first), answered(&mut second)), (again.clone(), again));

    // Sent again, they are new.
    let mut third = bench.post(0..2, 3);
    let c = bench.judge().expect("its turn");
    assert_eq!(bench.complete(c, Ok(())), [0, 1]);
    assert_eq!(answered(&mut third), Ok((2, 0, 0)));
}

#[test]
fn a_batch_whose_pump_has_ended_is_answered_all_the_same() {
    for (stored, repeats, expected) in [
        (Ok(()), false, Ok((1, 0, 0))),
        (Ok(()), true, Err(Refusal::NotStored { retry_after_s: 1 })),
        (Err(Unstored::DiskFull), false, Err(Refusal::DiskFull)),
    ] {
        let mut bench = Bench::new(100);
        let mut response = bench.post([0], 2);
        let readings = if repeats { vec![reading(0)] } else { Vec::new() };
        let known = LookupResult { readings, ..LookupResult::default() };
        bench.judge_given(&known).expect("its turn").complete_alone(stored);
        assert_eq!(answered(&mut response), expected, "{stored:?} {repeats}");
    }
}

#[test]
fn a_backlog_goes_through_its_room_in_parts_and_is_answered_once() {
    let mut bench = Bench::new(10);
    let (mut backlog, mut other) = (bench.post((0..12).rev(), 12), bench.post([12], 12));
    for part in [vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8, 9], vec![10, 11]] {
        let batch = bench.judge().expect("its turn");
        assert!(bench.judge().is_none(), "one part at a time, and nobody passes");
        assert_eq!(bench.complete(batch, Ok(())), part);
    }
    assert_eq!(answered(&mut backlog), Ok((12, 0, 0)));
    let batch = bench.judge().expect("the other's turn");
    assert_eq!(bench.complete(batch, Ok(())), [12]);
    assert_eq!(answered(&mut other), Ok((1, 0, 0)));
}

#[test]
fn a_part_waits_for_room_for_its_windows_but_not_for_ever() {
    let mut bench = Bench::new(10);
    let _response = bench.post(0..20, 20);
    let first = bench.judge().expect("nothing is on its way");
    bench.complete(first, Ok(()));
    bench.windows = 28;
    assert!(bench.judge().is_none(), "4 of 32 are free, and a part has 5");
    assert_eq!(bench.admit.patience(bench.now), Some(Duration::from_secs(10)));
    bench.windows = 27;
    let second = bench.judge().expect("5 are free");
    bench.complete(second, Ok(()));
    bench.windows = 32;
    bench.now += Duration::from_secs(10);
    assert_eq!(bench.admit.patience(bench.now), Some(Duration::ZERO));
    let third = bench.judge().expect("it has waited for long enough");
    assert_eq!(bench.complete(third, Ok(())).len(), 5);
}

#[test]
fn a_backlog_that_cannot_go_on_has_its_rest_sent_again() {
    // What happens after the first part, and how many of the other 15 are to be sent again.
    type Happens = fn(&mut Bench);
    for (what, happens, stored, expected) in [
        ("its time is up", (|bench| bench.now += Duration::from_secs(20)) as Happens, Ok(()), Ok((5, 0, 15))),
        ("the node stops", |bench| bench.of_pump.end_backlogs(), Ok(()), Ok((5, 0, 15))),
        ("there is no room for the past", |bench| bench.has_room_for_past = false, Ok(()), Ok((5, 0, 15))),
        ("nothing is stored", |_| {}, Err(Unstored::Failed), Err(Refusal::NotStored { retry_after_s: 1 })),
    ] {
        let mut bench = Bench::new(10);
        let mut response = bench.post(0..20, 86_400);
        let first = bench.judge().expect("its turn");
        bench.complete(first, stored);
        happens(&mut bench);
        assert!(bench.judge().is_none(), "{what}");
        assert_eq!(answered(&mut response), expected, "{what}");
        let mut next = bench.post([86_400], 86_400);
        let batch = bench.judge().expect("the next has its turn");
        bench.complete(batch, Ok(()));
        assert_eq!(answered(&mut next), Ok((1, 0, 0)), "{what}");
    }
}

#[test]
fn what_cannot_be_looked_up_is_given_back() {
    let mut bench = Bench::new(10);
    let mut response = bench.post(0..20, 20);
    let state = BacklogState { now: bench.now, windows: 0, has_room_for_past: &|| true };
    let (items, _) = bench.admit.next(false, state).expect("its turn");
    bench.admit.give_back(items);
    assert!(bench.judge().is_none());
    assert_eq!(answered(&mut response), Err(Refusal::NotStored { retry_after_s: 1 }));
}

#[test]
fn the_times_of_a_post_show_what_is_wrong_with_the_pumps_clock() {
    let mut bench = Bench::new(100);
    for s in 0..10 {
        let _response = bench.post([s - 7200], s);
        let batch = bench.judge().expect("its turn");
        bench.complete(batch, Ok(()));
    }
    assert!(bench.admit.clock_fault().is_some(), "two hours behind");
    bench.admit.forget_clock();
    assert_eq!(bench.admit.clock_fault(), None);
}
