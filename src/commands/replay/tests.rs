//! Replays against a fake node with a fake clock.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use proptest::prelude::*;
use volute_plant::Sample;

use super::{
    node::{IngestResponse, Rejected, RetryRange},
    *,
};
use crate::profiles;

const START: i64 = 1_581_168_647_000;

/// Records the posts and their times. Returns the given outcomes in order, and then accepts everything.
#[derive(Default)]
struct FakeState {
    now: Duration,
    posts: Vec<(Duration, Value)>,
    outcomes: VecDeque<PostOutcome>,
    /// How long each response takes.
    latency: Duration,
}

#[derive(Clone, Default)]
struct FakeNode(Rc<RefCell<FakeState>>);

impl Node for FakeNode {
    fn post(&mut self, body: &Value) -> Result<PostOutcome, PostError> {
        let mut state = self.0.borrow_mut();
        let (now, latency) = (state.now, state.latency);
        state.posts.push((now, body.clone()));
        state.now = now + latency;
        let count = body.as_array().map_or(1, |items| items.len() as u64);
        let all_accepted = || PostOutcome::Processed(IngestResponse { accepted: count, ..IngestResponse::default() });
        Ok(state.outcomes.pop_front().unwrap_or_else(all_accepted))
    }
}

impl Timer for FakeNode {
    fn elapsed(&self) -> Duration {
        self.0.borrow().now
    }

    fn wait(&mut self, pause: Duration) {
        self.0.borrow_mut().now += pause;
    }
}

fn row(ms: i64, samples: &[Sample]) -> Row {
    let at = Timestamp::from_millis(START + ms).expect("a time");
    Row { at, samples: samples.into(), normal: None, anomaly: None, recorded_at: at.to_string() }
}

fn rows(times_ms: &[i64]) -> Vec<Row> {
    times_ms.iter().map(|&ms| row(ms, &[Sample::Good(1.5); 8])).collect()
}

fn run(node: &FakeNode, rows: &[Row], speed: &str, batch: usize) -> (Tally, Result<(), PostError>) {
    let mut replay = Replay {
        node: node.clone(),
        timer: node.clone(),
        bar: &ProgressBar::hidden(),
        pump: &"P-1".parse().expect("a name"),
        profile: &profiles::load("skab").expect("built in"),
        names_profile: false,
        tally: Tally::default(),
    };
    let result = replay.run(rows, speed.parse().expect("a speed"), batch);
    (replay.tally, result)
}

fn sent_ms(node: &FakeNode) -> Vec<u128> {
    node.0.borrow().posts.iter().map(|(at, _)| at.as_millis()).collect()
}

#[test]
fn posts_follow_the_recorded_times() {
    for (speed, batch, expected) in [
        ("1", 1, vec![0, 1000, 3000, 3000, 9000]),
        ("2", 1, vec![0, 500, 1500, 1500, 4500]),
        ("0", 1, vec![0, 0, 0, 0, 0]),
        ("1", 2, vec![1000, 3000, 9000]),
        ("1", 9, vec![9000]),
    ] {
        let node = FakeNode::default();
        run(&node, &rows(&[0, 1000, 3000, 2000, 9000]), speed, batch).1.expect("posted");
        assert_eq!(sent_ms(&node), expected, "speed {speed}, batch {batch}");
    }
}

#[test]
fn the_announcement_says_how_long_the_replay_takes() {
    let (ten_minutes, one) = (rows(&[0, 599_000, 600_000]), rows(&[0]));
    for (rows, speed, expected) in [
        (&ten_minutes, "1", "posting 3 readings over 10 min; --speed 0 posts them at once"),
        (&ten_minutes, "20", "posting 3 readings over 30 s; --speed 0 posts them at once"),
        (&ten_minutes, "0", "posting 3 readings"),
        (&one, "1", "posting 1 reading"),
    ] {
        assert_eq!(announcement(rows, speed.parse().expect("a speed")), expected);
    }
}

#[test]
fn the_replay_catches_up_after_a_slow_response() {
    let node = FakeNode::default();
    node.0.borrow_mut().latency = Duration::from_millis(700);
    run(&node, &rows(&[0, 500, 1000, 5000]), "1", 1).1.expect("posted");
    assert_eq!(sent_ms(&node), [0, 700, 1400, 5000]);
}

#[test]
fn a_reading_is_posted_as_by_a_pump() {
    let node = FakeNode::default();
    let mut samples = [Sample::Good(0.25); 8];
    (samples[1], samples[3]) = (Sample::Missing, Sample::Bad(-99.5));
    let rows = [row(0, &samples), row(1000, &[Sample::Missing; 8])];
    let (tally, result) = run(&node, &rows, "1", 1);
    result.expect("posted");
    assert_eq!((tally.accepted, tally.empty), (1, 1));
    let posts = &node.0.borrow().posts;
    let expected = serde_json::json!({
        "pump_id": "P-1", "timestamp": "2020-02-08T13:30:47.000Z",
        "Accelerometer1RMS": 0.25, "Current": 0.25, "Pressure": -99.5, "Temperature": 0.25,
        "Thermocouple": 0.25, "Voltage": 0.25, "Volume Flow RateRMS": 0.25,
    });
    assert_eq!(posts[0].1, expected);
}

#[test]
fn readings_name_the_profile_if_it_was_given() {
    let mut replay = Replay {
        node: FakeNode::default(),
        timer: FakeNode::default(),
        bar: &ProgressBar::hidden(),
        pump: &"P-1".parse().expect("a name"),
        profile: &profiles::load("skab").expect("built in"),
        names_profile: true,
        tally: Tally::default(),
    };
    replay.run(&rows(&[0, 1000, 2000]), "0".parse().expect("a speed"), 2).expect("posted");
    let posts = &replay.node.0.borrow().posts;
    assert_eq!(posts[0].1[0]["profile"], "skab");
    assert_eq!(posts[0].1[1]["profile"], "skab", "each reading, as the first one may be rejected");
    assert_eq!(posts[1].1["profile"], "skab");
}

#[test]
fn a_busy_node_receives_the_same_post_again() {
    let node = FakeNode::default();
    node.0.borrow_mut().outcomes =
        [PostOutcome::Busy(Duration::from_secs(2)), PostOutcome::Busy(Duration::from_secs(3))].into_iter().collect();
    let (tally, result) = run(&node, &rows(&[0, 1000]), "0", 2);
    result.expect("posted");
    assert_eq!((tally.accepted, tally.waits), (2, 2));
    assert_eq!(sent_ms(&node), [0, 2000, 5000]);
    let posts = &node.0.borrow().posts;
    assert!(posts.iter().all(|(_, body)| *body == posts[0].1));
}

#[test]
fn only_readings_to_be_retried_are_sent_again() {
    let node = FakeNode::default();
    let rejected = |index, retry_after_s| Rejected { index, message: "the database".into(), retry_after_s };
    let processed = |accepted, rejected: Vec<Rejected>| {
        let retries = rejected.iter().filter_map(|rejected| Some((rejected.index, rejected.retry_after_s?)));
        let send_again =
            retries.map(|(index, retry_after_s)| RetryRange { from: index, to: index, retry_after_s }).collect();
        PostOutcome::Processed(IngestResponse { accepted, rejected, send_again, ..IngestResponse::default() })
    };
    node.0.borrow_mut().outcomes = [
        processed(1, vec![rejected(0, Some(10)), rejected(1, None), rejected(3, Some(5))]),
        PostOutcome::Busy(Duration::from_secs(7)),
        processed(1, vec![rejected(1, Some(10))]),
    ]
    .into();
    let (tally, result) = run(&node, &rows(&[0, 1000, 2000, 3000]), "0", 4);
    result.expect("posted");
    assert_eq!((tally.accepted, tally.rejected, tally.waits), (3, 1, 3));
    assert_eq!(sent_ms(&node), [0, 10_000, 17_000, 27_000]);
    let state = node.0.borrow();
    let first = state.posts[0].1.as_array().expect("four").clone();
    let again = serde_json::json!([first[0], first[3]]);
    assert_eq!((&state.posts[1].1, &state.posts[2].1, &state.posts[3].1), (&again, &again, &first[3]));
}

#[test]
fn readings_to_be_retried_that_are_not_listed_are_sent_again_too() {
    let node = FakeNode::default();
    let retry = |from, to| vec![RetryRange { from, to, retry_after_s: 1 }];
    node.0.borrow_mut().outcomes = [
        IngestResponse { accepted: 1, rejected_not_listed: 3, send_again: retry(1, 3), ..IngestResponse::default() },
        IngestResponse { accepted: 3, ..IngestResponse::default() },
    ]
    .map(PostOutcome::Processed)
    .into();
    let (tally, result) = run(&node, &rows(&[0, 1000, 2000, 3000]), "0", 4);
    result.expect("posted");
    assert_eq!((tally.accepted, tally.rejected, tally.waits), (4, 0, 1));
    let state = node.0.borrow();
    assert_eq!(state.posts[1].1.as_array().expect("three")[..], state.posts[0].1.as_array().expect("four")[1..]);
}

#[test]
fn the_replay_fails_if_the_node_stays_busy() {
    let node = FakeNode::default();
    node.0.borrow_mut().outcomes = (0..100).map(|_| PostOutcome::Busy(Duration::from_secs(60))).collect();
    let (_, result) = run(&node, &rows(&[0]), "0", 1);
    assert!(matches!(result, Err(PostError::Busy { waited }) if waited == MAX_BUSY_WAIT));
}

#[test]
fn the_summary_lists_the_first_reasons() {
    let node = FakeNode::default();
    let rejected = |index| Rejected { index, message: format!("Q: reason {index}"), retry_after_s: None };
    let response = IngestResponse {
        accepted: 1,
        duplicate: 1,
        late: 1,
        rejected: (1..8).map(rejected).collect(),
        rejected_not_listed: 2,
        ..IngestResponse::default()
    };
    node.0.borrow_mut().outcomes.push_back(PostOutcome::Processed(response));
    let (tally, _) = run(&node, &rows(&[0, 1000, 2000]), "0", 3);
    let text = tally.to_string();
    assert!(text.starts_with("accepted  1\nduplicate 1\nlate      1\nrejected  9\n"), "{text}");
    assert!(text.contains("  2020-02-08T13:30:48.000Z Q: reason 1\n"), "{text}");
    assert!(text.contains("  Q: reason 5\n  and 4 more\n"), "{text}");
}

proptest! {
    /// For arbitrary times and batch sizes, every reading is sent once, in order, and not before it is due.
    #[test]
    fn every_reading_is_sent_once_and_not_early(
        times in prop::collection::vec(0_i64..60_000, 1..40),
        batch in 1_usize..10,
    ) {
        let node = FakeNode::default();
        run(&node, &rows(&times), "1", batch).1.expect("posted");
        let mut sent = Vec::new();
        for (at, body) in &node.0.borrow().posts {
            let one = std::slice::from_ref(body);
            for item in body.as_array().map_or(one, Vec::as_slice) {
                let timestamp: Timestamp = item["timestamp"].as_str().expect("text").parse().expect("a time");
                prop_assert!(at.as_millis() as i64 >= timestamp.millis() - START - times[0]);
                sent.push(timestamp.millis() - START);
            }
        }
        prop_assert_eq!(sent, times);
    }
}
