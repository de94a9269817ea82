//! Windows on a bench: what the judge has done with them, in order.

use std::time::Duration;

use proptest::prelude::*;
use volute_anomaly::Decider;
use volute_data::CommissioningRecord;
use volute_plant::Sample;

use super::*;
use crate::{
    commissioning::collection::BaselineCollection,
    pump::pending::SCORE_PATIENCE,
    testing::{TIMES, at, baseline, profile, pump, reading, score},
};

/// A judge, and the world around it.
struct Bench {
    judge: Judge,
    feed: Feed,
    now: Instant,
    has_workers: bool,
}

impl Bench {
    fn new(mode: PumpMode) -> Self {
        let mut judge = Judge::new(pump(), profile(), TIMES, 0);
        judge.begin_with(mode);
        Self { judge, feed: Feed::new(), now: Instant::now(), has_workers: true }
    }

    /// Of a pump that is judged, and whose next window is complete.
    fn judged() -> Self {
        let mut bench = Self::new(PumpMode::Judged(Decider::new(baseline())));
        bench.judge.recall((-29..0).map(reading).collect(), None);
        bench
    }

    fn take(&mut self, reading: Reading) -> Vec<Effect> {
        let mut effects = Vec::new();
        let world = Surroundings { now: self.now, has_workers: self.has_workers, feed: &self.feed };
        self.judge.take(Admitted { reading, whole: None }, world, &mut effects);
        effects
    }

    fn score(&mut self, seq: u64, score: Result<Score, ScoreFailure>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.judge.score(seq, score, self.now, &mut effects);
        effects
    }
}

/// The effects in short.
fn told(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Show(shown) => format!("show{}", if shown.is_current { "" } else { " past" }),
            Effect::Score { seq, .. } => format!("score {seq}"),
            Effect::NotScored(why) => format!("not scored: {why:?}"),
            Effect::Detected { detection, .. } => format!("detected {}", detection.is_anomaly),
            Effect::Evaluate(look) => format!("evaluate, {:?}", look.detection.as_ref().map(|d| d.is_anomaly)),
            Effect::Checkpoint(_) => "checkpoint".into(),
            Effect::ScoreLost => "lost".into(),
        })
        .collect()
}

#[test]
fn one_window_is_scored_decided_and_held_against_its_limits() {
    let mut bench = Bench::judged();
    assert_eq!(told(&bench.take(reading(0))), ["show", "score 0"]);
    assert_eq!(bench.judge.pending(), 1);
    let first = bench.score(0, Ok(score(0.5)));
    assert_eq!(told(&first), ["detected false", "evaluate, Some(false)", "checkpoint"]);
    bench.take(reading(1));
    assert_eq!(told(&bench.score(1, Ok(score(2.0)))), ["detected true", "evaluate, Some(true)"]);
    assert_eq!(bench.judge.pending(), 0);
}

#[test]
fn decisions_follow_the_order_of_the_windows() {
    let mut bench = Bench::judged();
    (0..4).for_each(|s| drop(bench.take(reading(s))));
    assert_eq!(told(&bench.score(2, Ok(score(0.5)))), [""; 0]);
    assert_eq!(told(&bench.score(1, Err(ScoreFailure::Skipped))), [""; 0]);
    let told_now = told(&bench.score(0, Err(ScoreFailure::Failed)));
    let expected = [
        "not scored: Failed",
        "evaluate, None",
        "evaluate, None",
        "detected false",
        "evaluate, Some(false)",
        "checkpoint",
    ];
    assert_eq!(told_now, expected, "0 has failed, 1 gave way, 2 is decided");
    bench.now += SCORE_PATIENCE + Duration::from_secs(1);
    let lost = told(&bench.take(reading(4)));
    assert_eq!(lost, ["show", "score 4", "lost", "not scored: Failed", "evaluate, None"], "3 is lost");
}

#[test]
fn without_workers_nothing_waits_and_limits_are_looked_at() {
    let mut bench = Bench::judged();
    bench.take(reading(0));
    bench.has_workers = false;
    let both = ["not scored: Failed", "evaluate, None"];
    assert_eq!(told(&bench.take(reading(1))), [&["show"], &both[..], &both[..]].concat());
    assert_eq!(bench.judge.pending(), 0);
}

#[test]
fn a_pump_that_is_not_judged_says_why_and_its_limits_are_looked_at() {
    let learning = || {
        let record = CommissioningRecord { why: "new".into(), asked: false, from: None, to: None, running_ms: 0 };
        PumpMode::Learning(BaselineCollection::new(86_400_000, record))
    };
    for (mode, why) in [(PumpMode::NoModel, "NoModel"), (PumpMode::Unread, "Unread"), (learning(), "Learning(")] {
        let mut bench = Bench::new(mode);
        (-29..0).for_each(|s| drop(bench.take(reading(s))));
        let told = told(&bench.take(reading(0)));
        assert!(told[1].starts_with(&format!("not scored: {why}")), "{told:?}");
        assert_eq!((told[0].as_str(), told[2].as_str(), told.len()), ("show", "evaluate, None", 3));
    }
}

#[test]
fn what_is_past_is_recorded_and_raises_nothing() {
    let mut bench = Bench::judged();
    let past = Reading { received: at(3600), ..reading(0) };
    assert_eq!(told(&bench.take(past.clone())), ["show past", "score 0"]);
    assert_eq!(told(&bench.score(0, Ok(score(2.0)))), ["detected true", "checkpoint"]);
    let late = Reading { late: true, ..past };
    assert_eq!(told(&bench.take(late)), ["show past"]);

    let mut bench = Bench::judged();
    bench.judge.is_played_from_now_on();
    let played = Reading { received: at(3600), ..reading(0) };
    assert_eq!(told(&bench.take(played)), ["show", "score 0"], "a recording that is played is current");
}

#[test]
fn a_late_reading_that_is_current_is_held_against_its_limits_in_its_turn() {
    let mut bench = Bench::judged();
    bench.take(reading(0));
    let late = Reading { received: at(1), late: true, samples: [Sample::Good(99.0)].into(), ..reading(-2) };
    assert_eq!(told(&bench.take(late)), ["show"], "after the window before it");
    let told = told(&bench.score(0, Ok(score(2.0))));
    assert_eq!(told[3..], ["evaluate, Some(true)"], "with the detection of its own steps: {told:?}");
}

#[test]
fn with_another_baseline_the_scores_on_their_way_mean_nothing() {
    let mut bench = Bench::judged();
    bench.take(reading(0));
    let mut effects = Vec::new();
    bench.judge.set_mode(PumpMode::Judged(Decider::new(baseline())), bench.now, &mut effects);
    assert_eq!(told(&effects), ["evaluate, None"]);
    assert_eq!(told(&bench.score(0, Ok(score(2.0)))), [""; 0]);
    assert_eq!(told(&bench.take(reading(1))), ["show", "score 1"]);
    assert_eq!(
        told(&bench.score(1, Ok(score(0.5)))).last().map(String::as_str),
        Some("checkpoint"),
        "with its first window"
    );
}

#[test]
fn a_checkpoint_is_stored_once_a_minute_and_goes_on_where_it_was() {
    let mut bench = Bench::judged();
    let mut stored = Vec::new();
    for s in 0..150 {
        bench.take(reading(s));
        let checkpoint = |effect| if let Effect::Checkpoint(state) = effect { Some(state) } else { None };
        stored.extend(bench.score(s as u64, Ok(score(0.5))).into_iter().filter_map(checkpoint));
    }
    assert!((3..=4).contains(&stored.len()), "{}", stored.len());
    let last = stored.pop().expect("some");

    // A restart: readings up to 160 are stored, detections up to 155.
    let mut again = Bench::new(PumpMode::Judged(Decider::new(baseline())));
    let decided = (last.at.since_ms(at(0)) / 1000 + 1..=155).map(at).collect();
    let since = last.at;
    let stored = StoredCheckpoint { state: last, decided: Some(decided) };
    again.judge.recall((100..=160).map(reading).collect(), Some(stored));
    let mut effects = Vec::new();
    let all = |_: &Baseline, windows: Vec<(Reading, Window)>| {
        assert!(windows.iter().all(|(_, window)| window.at > since), "what it holds is not scored again");
        windows.into_iter().map(|(reading, _)| (reading, score(0.5))).collect()
    };
    again.judge.restore(all, 32, &mut effects);
    let published = told(&effects).iter().filter(|told| *told == "detected false").count();
    assert_eq!(published, 5, "156 to 160 were on their way: {:?}", told(&effects));
    assert_eq!(told(&again.take(reading(161))), ["show", "score 0"]);
}

proptest! {
    /// Each current reading is held against its limits exactly once, in the order of the readings, whatever becomes of the
    /// scores.
    #[test]
    fn no_current_reading_escapes_its_limits(
        fates in prop::collection::vec(0..4_u8, 1..40),
        order in any::<prop::sample::Index>(),
    ) {
        let mut bench = Bench::judged();
        let mut effects = Vec::new();
        for s in 0..fates.len() {
            effects.extend(bench.take(reading(s as i64)));
        }
        let begin = order.index(fates.len());
        for seq in (begin..fates.len()).chain(0..begin) {
            let fate = match fates[seq] {
                0 => Err(ScoreFailure::Skipped),
                1 => Err(ScoreFailure::Failed),
                2 => Ok(score(0.5)),
                _ => Ok(score(2.0)),
            };
            effects.extend(bench.score(seq as u64, fate));
        }
        let evaluated = |effect| if let Effect::Evaluate(look) = effect { Some(look.reading.at) } else { None };
        let evaluated: Vec<Timestamp> = effects.into_iter().filter_map(evaluated).collect();
        let expected: Vec<Timestamp> = (0..fates.len() as i64).map(at).collect();
        prop_assert_eq!(evaluated, expected);
    }
}
