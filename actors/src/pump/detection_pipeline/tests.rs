//! Tests of the detection pipeline: the effects of readings and scores, in order.

use std::time::Duration;

use proptest::prelude::*;
use volute_anomaly::Decider;
use volute_data::CommissioningRecord;
use volute_plant::Sample;

use super::*;
use crate::{
    commissioning::collection::{BaselineCollection, CollectionGoal, Counted},
    pump::pending::SCORE_TIMEOUT,
    testing::{TIMES, at, baseline, profile, pump, reading, score},
};

/// A pipeline with its inputs.
struct Bench {
    pipeline: DetectionPipeline,
    cadence: DeviceCadence,
    now: Instant,
    has_workers: bool,
    work: Vec<PlannedWork>,
}

impl Bench {
    fn new(mode: PumpMode) -> Self {
        let mut pipeline = DetectionPipeline::new(pump(), profile(), TIMES, 0);
        pipeline.set_initial_mode(mode);
        Self { pipeline, cadence: DeviceCadence::new(), now: Instant::now(), has_workers: true, work: Vec::new() }
    }

    /// Returns a bench of a pump with a baseline whose next reading completes a window.
    fn detecting() -> Self {
        let mut bench = Self::new(PumpMode::detecting(Decider::new(baseline())));
        bench.pipeline.replay((-29..0).map(reading).collect(), None);
        bench
    }

    fn take(&mut self, reading: Reading) -> Vec<Effect> {
        let mut effects = Vec::new();
        let context =
            PipelineContext { now: self.now, has_workers: self.has_workers, cadence: &self.cadence, work: &self.work };
        self.pipeline.push_reading(AdmittedReading { reading, whole: None }, context, &mut effects);
        effects
    }

    fn score(&mut self, seq: u64, score: Result<Score, ScoreFailure>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.pipeline.push_score(seq, score, self.now, &mut effects);
        effects
    }
}

/// Returns each effect as a short text.
fn summarize(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Show(shown) => format!("show{}", if shown.is_current { "" } else { " past" }),
            Effect::Score { seq, .. } => format!("score {seq}"),
            Effect::NoDetection(why) => format!("not scored: {why:?}"),
            Effect::Detected { detection, .. } => format!("detected {}", detection.is_anomaly),
            Effect::Evaluate(request) => format!("evaluate, {:?}", request.detection.as_ref().map(|d| d.is_anomaly)),
            Effect::Checkpoint(_) => "checkpoint".into(),
            Effect::ScoreLost => "lost".into(),
        })
        .collect()
}

#[test]
fn one_window_is_scored_decided_and_evaluated() {
    let mut bench = Bench::detecting();
    assert_eq!(summarize(&bench.take(reading(0))), ["show", "score 0"]);
    assert_eq!(bench.pipeline.pending(), 1);
    let first = bench.score(0, Ok(score(0.5)));
    assert_eq!(summarize(&first), ["detected false", "evaluate, Some(false)", "checkpoint"]);
    bench.take(reading(1));
    assert_eq!(summarize(&bench.score(1, Ok(score(2.0)))), ["detected true", "evaluate, Some(true)"]);
    assert_eq!(bench.pipeline.pending(), 0);
}

#[test]
fn decisions_follow_the_order_of_the_windows() {
    let mut bench = Bench::detecting();
    (0..4).for_each(|s| drop(bench.take(reading(s))));
    assert_eq!(summarize(&bench.score(2, Ok(score(0.5)))), [""; 0]);
    assert_eq!(summarize(&bench.score(1, Err(ScoreFailure::Skipped))), [""; 0]);
    let summaries = summarize(&bench.score(0, Err(ScoreFailure::Failed)));
    let expected = [
        "not scored: ScoringFailed",
        "evaluate, None",
        "evaluate, None",
        "detected false",
        "evaluate, Some(false)",
        "checkpoint",
    ];
    assert_eq!(summaries, expected, "0 has failed, 1 is skipped, 2 is decided");
    bench.now += SCORE_TIMEOUT + Duration::from_secs(1);
    let lost = summarize(&bench.take(reading(4)));
    assert_eq!(lost, ["show", "score 4", "lost", "not scored: ScoringFailed", "evaluate, None"], "3 is lost");
}

#[test]
fn without_workers_nothing_waits_and_limits_are_evaluated() {
    let mut bench = Bench::detecting();
    bench.take(reading(0));
    bench.has_workers = false;
    let both = ["not scored: ScoringFailed", "evaluate, None"];
    assert_eq!(summarize(&bench.take(reading(1))), [&["show"], &both[..], &both[..]].concat());
    assert_eq!(bench.pipeline.pending(), 0);
}

#[test]
fn a_pump_without_a_baseline_shows_why_and_its_limits_are_evaluated() {
    for (mode, why) in [
        (PumpMode::NoModel, "NoModel"),
        (PumpMode::BaselineNotLoaded, "BaselineUnavailable"),
        (learning(), "Learning("),
    ] {
        let mut bench = Bench::new(mode);
        (-29..0).for_each(|s| drop(bench.take(reading(s))));
        let summaries = summarize(&bench.take(reading(0)));
        assert!(summaries[1].starts_with(&format!("not scored: {why}")), "{summaries:?}");
        assert_eq!((summaries[0].as_str(), summaries[2].as_str(), summaries.len()), ("show", "evaluate, None", 3));
    }
}

fn learning() -> PumpMode {
    let record = CommissioningRecord { reason: "new".into(), requested: false, from: None, to: None, running_ms: 0 };
    let goal = CollectionGoal { needed_ms: 86_400_000, counted: Counted::Windows };
    PumpMode::Learning(BaselineCollection::new(goal, record))
}

#[test]
fn nothing_is_learned_while_planned_work_lasts() {
    let mut bench = Bench::new(learning());
    let (from, until) = (at(10), at(20));
    bench.work.push(PlannedWork {
        id: "w1".into(),
        pump: pump(),
        from,
        until,
        why: volute_plant::Comment::try_from("new bearing").expect("a comment"),
        by: "user asha".into(),
        at: from,
        ended: None,
    });
    let mut counted = Vec::new();
    for second in -29..30 {
        bench.take(reading(second));
        counted.push(bench.pipeline.mode().collection().expect("learning").progress().running_ms / 1_000);
    }
    let at_second = |second: usize| counted[second + 29];
    assert_eq!((at_second(0), at_second(9), at_second(19), at_second(29)), (1, 10, 10, 20));
}

#[test]
fn a_past_reading_is_recorded_and_raises_no_alarm() {
    let mut bench = Bench::detecting();
    let past = Reading { received: at(3600), ..reading(0) };
    assert_eq!(summarize(&bench.take(past.clone())), ["show past", "score 0"]);
    assert_eq!(summarize(&bench.score(0, Ok(score(2.0)))), ["detected true", "checkpoint"]);
    let late = Reading { late: true, ..past };
    assert_eq!(summarize(&bench.take(late)), ["show past"]);

    let mut bench = Bench::detecting();
    bench.pipeline.set_played();
    let played = Reading { received: at(3600), ..reading(0) };
    assert_eq!(summarize(&bench.take(played)), ["show", "score 0"], "a recording that is played is current");
}

#[test]
fn limits_of_a_current_late_reading_are_evaluated_in_order() {
    let mut bench = Bench::detecting();
    bench.take(reading(0));
    let late = Reading { received: at(1), late: true, samples: [Sample::Good(99.0)].into(), ..reading(-2) };
    assert_eq!(summarize(&bench.take(late)), ["show"], "after the window before it");
    let summaries = summarize(&bench.score(0, Ok(score(2.0))));
    assert_eq!(summaries[3..], ["evaluate, Some(true)"], "with the detection of its own steps: {summaries:?}");
}

#[test]
fn scores_in_flight_are_ignored_after_a_change_of_baseline() {
    let mut bench = Bench::detecting();
    bench.take(reading(0));
    let mut effects = Vec::new();
    bench.pipeline.set_mode(PumpMode::detecting(Decider::new(baseline())), bench.now, &mut effects);
    assert_eq!(summarize(&effects), ["evaluate, None"]);
    assert_eq!(summarize(&bench.score(0, Ok(score(2.0)))), [""; 0]);
    assert_eq!(summarize(&bench.take(reading(1))), ["show", "score 1"]);
    assert_eq!(
        summarize(&bench.score(1, Ok(score(0.5)))).last().map(String::as_str),
        Some("checkpoint"),
        "with the first window"
    );
}

#[test]
fn a_checkpoint_is_stored_once_a_minute_and_restored() {
    let mut bench = Bench::detecting();
    let mut stored = Vec::new();
    for s in 0..150 {
        bench.take(reading(s));
        let checkpoint = |effect| if let Effect::Checkpoint(state) = effect { Some(state) } else { None };
        stored.extend(bench.score(s as u64, Ok(score(0.5))).into_iter().filter_map(checkpoint));
    }
    assert!((3..=4).contains(&stored.len()), "{}", stored.len());
    let last = stored.pop().expect("some");

    // After a restart, the readings up to 160 s and the detections up to 155 s are stored.
    let mut again = Bench::new(PumpMode::detecting(Decider::new(baseline())));
    let decided = (last.at.since_ms(at(0)) / 1000 + 1..=155).map(at).collect();
    let since = last.at;
    let stored = StoredCheckpoint { state: last, decided: Some(decided) };
    again.pipeline.replay((100..=160).map(reading).collect(), Some(stored));
    let mut effects = Vec::new();
    let score_one = |_: &Baseline, window: &Window, _: Option<&ResidualWindow>| {
        assert!(window.at > since, "windows in the checkpoint are not scored again");
        Some(score(0.5))
    };
    again.pipeline.restore(score_one, 32, &mut effects);
    let published = summarize(&effects).iter().filter(|summary| *summary == "detected false").count();
    assert_eq!(published, 5, "156 to 160 were in flight: {:?}", summarize(&effects));
    assert_eq!(summarize(&again.take(reading(161))), ["show", "score 0"]);
}

proptest! {
    /// Each current reading is evaluated against its limits exactly once, in the order of the readings, whatever
    /// happens to the scores.
    #[test]
    fn each_current_reading_is_evaluated_once(
        outcomes in prop::collection::vec(0..4_u8, 1..40),
        order in any::<prop::sample::Index>(),
    ) {
        let mut bench = Bench::detecting();
        let mut effects = Vec::new();
        for s in 0..outcomes.len() {
            effects.extend(bench.take(reading(s as i64)));
        }
        let begin = order.index(outcomes.len());
        for seq in (begin..outcomes.len()).chain(0..begin) {
            let outcome = match outcomes[seq] {
                0 => Err(ScoreFailure::Skipped),
                1 => Err(ScoreFailure::Failed),
                2 => Ok(score(0.5)),
                _ => Ok(score(2.0)),
            };
            effects.extend(bench.score(seq as u64, outcome));
        }
        let evaluated = |effect| if let Effect::Evaluate(request) = effect { Some(request.reading.at) } else { None };
        let evaluated: Vec<Timestamp> = effects.into_iter().filter_map(evaluated).collect();
        let expected: Vec<Timestamp> = (0..outcomes.len() as i64).map(at).collect();
        prop_assert_eq!(evaluated, expected);
    }
}
