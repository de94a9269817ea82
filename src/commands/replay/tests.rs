//! A replay against a node and a clock of its own: nothing is waited for, nothing is sent.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use proptest::prelude::*;
use volute_plant::Sample;

use super::{
    node::{Answer, Rejected, SendAgain},
    *,
};
use crate::profiles;

const START: i64 = 1_581_168_647_000;

/// Remembers what was posted and when; answers from a list, else takes everything.
#[derive(Default)]
struct Script {
    now: Duration,
    posts: Vec<(Duration, Value)>,
    replies: VecDeque<Reply>,
    /// How long the node takes to answer.
    slowness: Duration,
}

#[derive(Clone, Default)]
struct Stage(Rc<RefCell<Script>>);

impl Node for Stage {
    fn post(&mut self, body: &Value) -> Result<Reply, PostError> {
        let mut script = self.0.borrow_mut();
        let (now, slowness) = (script.now, script.slowness);
        script.posts.push((now, body.clone()));
        script.now = now + slowness;
        let count = body.as_array().map_or(1, |items| items.len() as u64);
        let taken = || Reply::Taken(Answer { accepted: count, ..Answer::default() });
        Ok(script.replies.pop_front().unwrap_or_else(taken))
    }
}

impl Timer for Stage {
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

fn run(stage: &Stage, rows: &[Row], speed: &str, batch: usize) -> (Tally, Result<(), PostError>) {
    let mut replay = Replay {
        node: stage.clone(),
        timer: stage.clone(),
        bar: &ProgressBar::hidden(),
        pump: &"P-1".parse().expect("a name"),
        profile: &profiles::load("skab").expect("built in"),
        tally: Tally::default(),
    };
    let ended = replay.run(rows, speed.parse().expect("a speed"), batch);
    (replay.tally, ended)
}

fn sent_ms(stage: &Stage) -> Vec<u128> {
    stage.0.borrow().posts.iter().map(|(at, _)| at.as_millis()).collect()
}

#[test]
fn posts_keep_the_recordings_times() {
    for (speed, batch, expected) in [
        ("1", 1, vec![0, 1000, 3000, 3000, 9000]),
        ("2", 1, vec![0, 500, 1500, 1500, 4500]),
        ("0", 1, vec![0, 0, 0, 0, 0]),
        ("1", 2, vec![1000, 3000, 9000]),
        ("1", 9, vec![9000]),
    ] {
        let stage = Stage::default();
        run(&stage, &rows(&[0, 1000, 3000, 2000, 9000]), speed, batch).1.expect("posted");
        assert_eq!(sent_ms(&stage), expected, "speed {speed}, batch {batch}");
    }
}

#[test]
fn a_slow_answer_is_caught_up_with() {
    let stage = Stage::default();
    stage.0.borrow_mut().slowness = Duration::from_millis(700);
    run(&stage, &rows(&[0, 500, 1000, 5000]), "1", 1).1.expect("posted");
    assert_eq!(sent_ms(&stage), [0, 700, 1400, 5000]);
}

#[test]
fn a_reading_is_posted_as_a_pump_would() {
    let stage = Stage::default();
    let mut samples = [Sample::Good(0.25); 8];
    (samples[1], samples[3]) = (Sample::Missing, Sample::Bad(-99.5));
    let rows = [row(0, &samples), row(1000, &[Sample::Missing; 8])];
    let (tally, ended) = run(&stage, &rows, "1", 1);
    ended.expect("posted");
    assert_eq!((tally.accepted, tally.empty), (1, 1));
    let posts = &stage.0.borrow().posts;
    let expected = serde_json::json!({
        "pump_id": "P-1", "timestamp": "2020-02-08T13:30:47.000Z",
        "Accelerometer1RMS": 0.25, "Current": 0.25, "Pressure": -99.5, "Temperature": 0.25,
        "Thermocouple": 0.25, "Voltage": 0.25, "Volume Flow RateRMS": 0.25,
    });
    assert_eq!(posts[0].1, expected);
}

#[test]
fn a_busy_node_gets_the_same_post_again() {
    let stage = Stage::default();
    stage.0.borrow_mut().replies =
        [Reply::Busy(Duration::from_secs(2)), Reply::Busy(Duration::from_secs(3))].into_iter().collect();
    let (tally, ended) = run(&stage, &rows(&[0, 1000]), "0", 2);
    ended.expect("posted");
    assert_eq!((tally.accepted, tally.waits), (2, 2));
    assert_eq!(sent_ms(&stage), [0, 2000, 5000]);
    let posts = &stage.0.borrow().posts;
    assert!(posts.iter().all(|(_, body)| *body == posts[0].1));
}

#[test]
fn what_the_node_wants_again_is_sent_again_alone() {
    let stage = Stage::default();
    let rejected = |index, retry_after_s| Rejected { index, message: "the database".into(), retry_after_s };
    let answer = |accepted, rejected: Vec<Rejected>| {
        let again = rejected.iter().filter_map(|no| Some((no.index, no.retry_after_s?)));
        let send_again =
            again.map(|(index, retry_after_s)| SendAgain { from: index, to: index, retry_after_s }).collect();
        Reply::Taken(Answer { accepted, rejected, send_again, ..Answer::default() })
    };
    stage.0.borrow_mut().replies = [
        answer(1, vec![rejected(0, Some(10)), rejected(1, None), rejected(3, Some(5))]),
        Reply::Busy(Duration::from_secs(7)),
        answer(1, vec![rejected(1, Some(10))]),
    ]
    .into();
    let (tally, ended) = run(&stage, &rows(&[0, 1000, 2000, 3000]), "0", 4);
    ended.expect("posted");
    assert_eq!((tally.accepted, tally.rejected, tally.waits), (3, 1, 3));
    assert_eq!(sent_ms(&stage), [0, 10_000, 17_000, 27_000]);
    let script = stage.0.borrow();
    let first = script.posts[0].1.as_array().expect("four").clone();
    let again = serde_json::json!([first[0], first[3]]);
    assert_eq!((&script.posts[1].1, &script.posts[2].1, &script.posts[3].1), (&again, &again, &first[3]));
}

#[test]
fn what_is_to_be_sent_again_and_is_not_listed_is_sent_again_too() {
    let stage = Stage::default();
    let again = |from, to| vec![SendAgain { from, to, retry_after_s: 1 }];
    stage.0.borrow_mut().replies = [
        Answer { accepted: 1, rejected_not_listed: 3, send_again: again(1, 3), ..Answer::default() },
        Answer { accepted: 3, ..Answer::default() },
    ]
    .map(Reply::Taken)
    .into();
    let (tally, ended) = run(&stage, &rows(&[0, 1000, 2000, 3000]), "0", 4);
    ended.expect("posted");
    assert_eq!((tally.accepted, tally.rejected, tally.waits), (4, 0, 1));
    let script = stage.0.borrow();
    assert_eq!(script.posts[1].1.as_array().expect("three")[..], script.posts[0].1.as_array().expect("four")[1..]);
}

#[test]
fn a_node_that_stays_busy_is_given_up() {
    let stage = Stage::default();
    stage.0.borrow_mut().replies = (0..100).map(|_| Reply::Busy(Duration::from_secs(60))).collect();
    let (_, ended) = run(&stage, &rows(&[0]), "0", 1);
    assert!(matches!(ended, Err(PostError::Busy { waited }) if waited == PATIENCE));
}

#[test]
fn the_summary_tells_the_first_few_reasons() {
    let stage = Stage::default();
    let rejected = |index| Rejected { index, message: format!("Q: reason {index}"), retry_after_s: None };
    let answer = Answer {
        accepted: 1,
        duplicate: 1,
        late: 1,
        rejected: (1..8).map(rejected).collect(),
        rejected_not_listed: 2,
        ..Answer::default()
    };
    stage.0.borrow_mut().replies.push_back(Reply::Taken(answer));
    let (tally, _) = run(&stage, &rows(&[0, 1000, 2000]), "0", 3);
    let text = tally.to_string();
    assert!(text.starts_with("accepted  1\nduplicate 1\nlate      1\nrejected  9\n"), "{text}");
    assert!(text.contains("  2020-02-08T13:30:48.000Z Q: reason 1\n"), "{text}");
    assert!(text.contains("  Q: reason 5\n  and 4 more\n"), "{text}");
}

proptest! {
    /// Whatever the times and the batch: every reading is sent once, in order, and none before it is due.
    #[test]
    fn every_reading_is_sent_once_and_not_early(
        times in prop::collection::vec(0_i64..60_000, 1..40),
        batch in 1_usize..10,
    ) {
        let stage = Stage::default();
        run(&stage, &rows(&times), "1", batch).1.expect("posted");
        let mut sent = Vec::new();
        for (at, body) in &stage.0.borrow().posts {
            let one = std::slice::from_ref(body);
            for item in body.as_array().map_or(one, Vec::as_slice) {
                let stamp: Timestamp = item["timestamp"].as_str().expect("text").parse().expect("a time");
                prop_assert!(at.as_millis() as i64 >= stamp.millis() - START - times[0]);
                sent.push(stamp.millis() - START);
            }
        }
        prop_assert_eq!(sent, times);
    }
}
