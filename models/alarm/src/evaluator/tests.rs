//! Tests of the evaluator: each kind of condition, times, order, and what is only recorded.

use std::sync::Arc;

use proptest::prelude::*;
use volute_plant::Profile;

use super::*;
use crate::{
    AlarmDefinition, Condition, Direction, NodePart, Priority, Side,
    testing::{at_s, id},
};

const PROFILE: &str = r#"
    name = "p"
    title = "P"
    interval_ms = 1000
    [[channels]]
    name = "V"
    quantity = "vibration"
    unit = "mm/s"
    plausible = [0, 100]
    resolution = 0.01
    [[channels]]
    name = "T"
    quantity = "bearing_temperature"
    unit = "°C"
    plausible = [-40, 200]
    resolution = 0.1
"#;

const MISSING: f64 = f64::NAN;

fn high(limit: f64) -> Condition {
    Condition::High { channel: "V".into(), limit }
}

/// A definition without delays and deadband.
fn plain(name: &str, condition: Condition) -> AlarmDefinition {
    AlarmDefinition {
        on_delay_s: Some(0.0),
        off_delay_s: Some(0.0),
        deadband: Some(0.0),
        holds_in: Some(crate::StateSet::ALL),
        ..AlarmDefinition::new(id(name), name, Priority::Low, condition)
    }
}

fn evaluator(definitions: &[AlarmDefinition]) -> LimitEvaluator {
    let profile = Profile::from_toml(PROFILE).expect("a profile");
    let armed = ArmedAlarms::compile(&profile, definitions).expect("armed");
    LimitEvaluator::new(Some("P-7".parse().expect("a pump")), armed)
}

fn sample(value: f64) -> Sample {
    match value {
        value if value.is_nan() => Sample::Missing,
        value if value < 0.0 => Sample::Bad(value),
        value => Sample::Good(value),
    }
}

/// Evaluates values of V and T in a state. Returns the findings as short texts.
fn evaluate_in(
    evaluator: &mut LimitEvaluator,
    (s, received_s): (i64, i64),
    values: [f64; 2],
    state: OperatingState,
) -> Vec<String> {
    let reading = Reading {
        pump: "P-7".parse().expect("a pump"),
        at: at_s(s),
        received: at_s(received_s),
        samples: Arc::new(values.map(sample)),
        late: false,
    };
    let mut findings = Vec::new();
    evaluator.evaluate(&reading, state, &mut findings);
    texts(evaluator, findings)
}

fn evaluate(evaluator: &mut LimitEvaluator, s: i64, values: [f64; 2]) -> Vec<String> {
    evaluate_in(evaluator, (s, s), values, OperatingState::Running)
}

fn tick(evaluator: &mut LimitEvaluator, s: i64) -> Vec<String> {
    let mut findings = Vec::new();
    evaluator.tick(at_s(s), &mut findings);
    texts(evaluator, findings)
}

fn texts(evaluator: &LimitEvaluator, findings: Vec<Finding>) -> Vec<String> {
    let since = |at: Timestamp| at.since_ms(at_s(0)) / 1_000;
    let text = |finding: Finding| match finding {
        Finding::Past(past) => format!("{} past {} to {}", past.alarm, since(past.from), since(past.to)),
        Finding::Signal { alarm, signal } => {
            let alarm = evaluator.armed().alarms()[alarm].id();
            match signal {
                Signal::Raise(evidence) => format!("{alarm} raise {}", since(evidence.since)),
                Signal::Return(evidence) => format!("{alarm} return {}", since(evidence.since)),
                Signal::Suppress(_) => format!("{alarm} suppress"),
                Signal::Unsuppress(_) => format!("{alarm} unsuppress"),
                Signal::Tick => "tick".into(),
            }
        }
    };
    findings.into_iter().map(text).collect()
}

#[test]
fn example_of_the_module() {
    let definition = AlarmDefinition { on_delay_s: Some(10.0), off_delay_s: Some(30.0), ..plain("v", high(8.5)) };
    let mut evaluator = evaluator(&[definition]);
    assert_eq!(evaluate(&mut evaluator, 0, [8.7, 1.0]), [""; 0]);
    assert_eq!(evaluate(&mut evaluator, 10, [8.8, 1.0]), ["v raise 0"]);
    for minute in [3, 2, 4, 5] {
        let found = evaluate_in(&mut evaluator, (60 * minute - 1_680, 60), [9.0, 1.0], OperatingState::Running);
        assert_eq!(found, [""; 0]);
    }
    let reading = |evaluator: &mut LimitEvaluator| {
        evaluate_in(evaluator, (60 * 6 - 1_680, 60), [3.0, 1.0], OperatingState::Running)
    };
    assert_eq!(reading(&mut evaluator), ["v past -1560 to -1380"]);
    assert_eq!(evaluate(&mut evaluator, 65, [MISSING, 1.0]), [""; 0]);
    assert_eq!(evaluate(&mut evaluator, 70, [3.1, 1.0]), [""; 0]);
    assert_eq!(tick(&mut evaluator, 99), [""; 0]);
    assert_eq!(tick(&mut evaluator, 100), ["v return 70"]);
    assert_eq!(evaluator.counts(), EvaluationCounts { evaluated: 9, past: 5, late: 0 });
}

#[test]
fn evidence_has_value_limit_and_the_number_of_the_reading() {
    let mut evaluator = evaluator(&[plain("v", high(8.5))]);
    let mut findings = Vec::new();
    for (s, value) in [(0, 8.5), (1, 8.7), (2, 8.4)] {
        let samples = [Sample::Good(value), Sample::Missing];
        evaluator.evaluate_samples(at_s(s), at_s(s), &samples, OperatingState::Running, &mut findings);
    }
    let evidence = |s, value, evaluation| Evidence {
        since: at_s(s),
        value: Some(value),
        limit: Some(8.5),
        evaluation: Some(evaluation),
    };
    let expected = [Signal::Raise(evidence(1, 8.7, 2)), Signal::Return(evidence(2, 8.4, 3))];
    assert_eq!(findings, expected.map(|signal| Finding::Signal { alarm: 0, signal }));
}

#[test]
fn value_of_a_late_reading_is_no_evidence_for_the_newest() {
    let mut evaluator = evaluator(&[AlarmDefinition { on_delay_s: Some(5.0), ..plain("v", high(8.5)) }]);
    let mut findings = Vec::new();
    for (s, value) in [(40, 8.7), (0, 2.0), (45, 8.6)] {
        let samples = [Sample::Good(value), Sample::Missing];
        evaluator.evaluate_samples(at_s(s), at_s(40), &samples, OperatingState::Running, &mut findings);
        let values = findings.iter().filter_map(|finding| match finding {
            Finding::Signal { signal: Signal::Raise(evidence), .. } => evidence.value,
            _ => None,
        });
        assert_eq!(values.collect::<Vec<_>>(), if s == 45 { vec![8.6] } else { vec![] });
    }
    // Nor if time alone raises it.
    let mut evaluator = self::evaluator(&[AlarmDefinition { on_delay_s: Some(5.0), ..plain("v", high(8.5)) }]);
    let mut findings = Vec::new();
    for (s, value) in [(40, 8.7), (0, 2.0)] {
        let samples = [Sample::Good(value), Sample::Missing];
        evaluator.evaluate_samples(at_s(s), at_s(40), &samples, OperatingState::Running, &mut findings);
    }
    evaluator.tick(at_s(45), &mut findings);
    let [Finding::Signal { signal: Signal::Raise(evidence), .. }] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(evidence.value, Some(8.7));
}

#[test]
fn current_is_within_a_minute_of_receipt_on_both_sides() {
    for (s, received_s, is_current) in [(0, 60, true), (0, 61, false), (60, 0, true), (61, 0, false)] {
        let mut evaluator = evaluator(&[plain("v", high(8.5))]);
        let found = evaluate_in(&mut evaluator, (s, received_s), [9.0, 1.0], OperatingState::Running);
        assert_eq!(!found.is_empty(), is_current, "{s} {received_s}: {found:?}");
        assert_eq!(evaluator.counts().past, u64::from(!is_current));
    }
}

#[test]
fn deadband_and_sides() {
    let low = Condition::Low { channel: "V".into(), limit: 2.0 };
    let with_deadband = |definition: AlarmDefinition| AlarmDefinition { deadband: Some(0.5), ..definition };
    let mut evaluator = evaluator(&[with_deadband(plain("high", high(8.0))), with_deadband(plain("low", low))]);
    for (s, value, expected) in [
        (0, 8.0, &[][..]),
        (1, 8.1, &["high raise 1"]),
        (2, 7.6, &[]),
        (3, 7.5, &["high return 3"]),
        (4, 7.9, &[]),
        (5, 2.0, &[]),
        (6, 1.9, &["low raise 6"]),
        (7, 2.4, &[]),
        (8, 2.5, &["low return 8"]),
        (9, 2.1, &[]),
    ] {
        assert_eq!(evaluate(&mut evaluator, s, [value, 1.0]), expected, "{s} s");
    }
}

#[test]
fn rate_deviation_and_expression() {
    let rate = |direction| Condition::RateOfChange { channel: "V".into(), limit_per_min: 6.0, over_s: 10.0, direction };
    let deviation = Condition::Deviation { channel: "T".into(), limit_spreads: 3.0 };
    let expression = Condition::Expression { expression: "T - V".into(), when: Side::Below, limit: 10.0 };
    let mut evaluator = evaluator(&[
        plain("rising", rate(Direction::Rising)),
        plain("falling", rate(Direction::Falling)),
        plain("either", rate(Direction::Either)),
        plain("deviation", deviation),
        plain("difference", expression),
    ]);
    assert_eq!(evaluate(&mut evaluator, 0, [5.0, 50.0]), [""; 0]);
    assert_eq!(evaluate(&mut evaluator, 10, [6.1, 50.0]), ["rising raise 10", "either raise 10"]);
    assert_eq!(evaluate(&mut evaluator, 20, [5.0, 50.0]), ["rising return 20", "either return 20"]);
    assert_eq!(evaluate(&mut evaluator, 30, [3.0, MISSING]), ["falling raise 30", "either raise 30"]);
    assert_eq!(evaluate(&mut evaluator, 30, [MISSING, 12.9]), [""; 0], "no difference without both");
    assert_eq!(evaluate(&mut evaluator, 31, [MISSING, 70.0]), [""; 0], "no deviation without a baseline");
    evaluator.set_baseline(Some(Arc::new([
        ChannelSpread { level: 5.0, spread: 0.0 },
        ChannelSpread { level: 50.0, spread: 2.0 },
    ])));
    assert_eq!(evaluate(&mut evaluator, 32, [MISSING, 56.0]), [""; 0]);
    assert_eq!(evaluate(&mut evaluator, 33, [MISSING, 43.9]), ["deviation raise 33"]);
    assert_eq!(evaluate(&mut evaluator, 34, [MISSING, 44.0]), ["deviation return 34"]);
    assert_eq!(evaluate(&mut evaluator, 35, [3.0, 12.9])[1..], ["difference raise 35"]);
}

#[test]
fn bad_values_raise_only_the_alarm_for_them() {
    let bad = Condition::BadQuality { channel: "V".into() };
    let low = Condition::Low { channel: "V".into(), limit: 2.0 };
    let mut evaluator = evaluator(&[plain("bad", bad), plain("low", low)]);
    assert_eq!(evaluate(&mut evaluator, 0, [-3.0, 1.0]), ["bad raise 0"]);
    assert_eq!(evaluate(&mut evaluator, 1, [MISSING, 1.0]), [""; 0]);
    assert_eq!(evaluate(&mut evaluator, 2, [3.0, 1.0]), ["bad return 2"]);
}

#[test]
fn silence_of_a_pump_and_of_a_channel() {
    let silent = |channel: Option<&str>, after_s| Condition::NoData { channel: channel.map(Into::into), after_s };
    let dead = AlarmDefinition { explained_by: vec![id("stale")], ..plain("dead", silent(Some("V"), 20.0)) };
    let never = plain("never", silent(Some("T"), 20.0));
    let mut evaluator = evaluator(&[dead, never, plain("stale", silent(None, 20.0))]);
    assert_eq!(tick(&mut evaluator, 0), [""; 0], "nothing was ever received");
    assert_eq!(evaluate(&mut evaluator, 10, [1.0, MISSING]), [""; 0]);
    assert_eq!(tick(&mut evaluator, 29), [""; 0]);
    assert_eq!(tick(&mut evaluator, 30), ["stale raise 30", "dead raise 30"], "what explains comes first");
    assert_eq!(evaluate(&mut evaluator, 31, [MISSING, MISSING]), ["stale return 31"]);
    assert_eq!(evaluate_in(&mut evaluator, (-900, 32), [-5.0, MISSING], OperatingState::Off), ["dead return 32"]);
    assert_eq!(tick(&mut evaluator, 5), [""; 0], "the clock was set back");
    assert_eq!(tick(&mut evaluator, 9_000), ["stale raise 9000", "dead raise 9000"], "a minute at most has passed");
    assert_eq!(evaluate(&mut evaluator, 4, [1.0, MISSING]), ["stale return 4", "dead return 4"], "set back again");
}

#[test]
fn alarm_is_suppressed_while_the_pump_is_off() {
    let definition = AlarmDefinition { holds_in: Some(crate::StateSet::POWERED), ..plain("v", high(8.5)) };
    let mut evaluator = evaluator(&[definition]);
    let mut at = |s, value, state| evaluate_in(&mut evaluator, (s, s), [value, 1.0], state);
    assert_eq!(at(0, 9.0, OperatingState::Running), ["v raise 0"]);
    assert_eq!(at(2, 9.0, OperatingState::Off), ["v suppress", "v return 2"]);
    assert_eq!(at(1, 9.0, OperatingState::Running), [""; 0], "late: the pump is off now");
    assert_eq!(at(3, 9.0, OperatingState::Off), [""; 0]);
    assert_eq!(at(4, 1.0, OperatingState::Starting), ["v unsuppress"]);
    assert_eq!(at(5, 9.0, OperatingState::Starting), ["v raise 5"]);
    let past = evaluate_in(&mut evaluator, (-500, 6), [9.0, 1.0], OperatingState::Off);
    assert_eq!(past, [""; 0]);
    assert_eq!(tick(&mut evaluator, 60), [""; 0], "no excursion either");
}

#[test]
fn external_conditions() {
    let delayed = AlarmDefinition { on_delay_s: Some(5.0), ..plain("anomaly", Condition::ModelAnomaly {}) };
    let mut evaluator = evaluator(&[delayed]);
    let mut observe = |external, holds, s| {
        let mut findings = Vec::new();
        evaluator.observe_external(external, holds, at_s(s), &mut findings);
        texts(&evaluator, findings)
    };
    assert_eq!(observe(External::ModelAnomaly, true, 100), [""; 0]);
    assert_eq!(observe(External::Node(NodePart::Disk), false, 101), [""; 0], "another condition");
    assert_eq!(observe(External::ModelAnomaly, true, 105), ["anomaly raise 100"]);
    assert_eq!(observe(External::ModelAnomaly, false, 10), ["anomaly return 10"], "the clock was set back");
}

#[test]
fn late_readings_and_a_corrected_clock() {
    let delayed = AlarmDefinition { on_delay_s: Some(3.0), ..plain("slow", high(8.5)) };
    let mut evaluator = evaluator(&[plain("v", high(8.5)), delayed]);
    let mut at = |s, value| evaluate_in(&mut evaluator, (s, 60), [value, 1.0], OperatingState::Running);
    assert_eq!(at(50, 1.0), [""; 0]);
    assert_eq!(at(40, 9.0), ["v raise 40"], "a late reading raises");
    assert_eq!(at(51, 1.0), ["v return 50"], "and it is over");
    // The clock is set back by 40 s. The third reading of the new order counts.
    assert_eq!(at(11, 9.0), ["v raise 11"]);
    assert_eq!(at(12, 9.0), ["v return 51"]);
    assert_eq!(at(13, 9.0), ["v raise 13"]);
    assert_eq!(at(15, 9.0), [""; 0]);
    assert_eq!(at(16, 9.0), ["slow raise 13"]);
    assert_eq!(evaluator.counts(), EvaluationCounts { evaluated: 8, past: 0, late: 4 });
}

#[test]
fn excursions_of_the_past() {
    let definition = AlarmDefinition { on_delay_s: Some(90.0), ..plain("v", high(8.5)) };
    let low = plain("low", Condition::Low { channel: "T".into(), limit: 10.0 });
    let mut evaluator = evaluator(&[definition, low]);
    let mut findings = Vec::new();
    let mut at = |evaluator: &mut LimitEvaluator, s: i64, v: f64, t: f64| {
        let samples = [sample(v), sample(t)];
        evaluator.evaluate_samples(at_s(s), at_s(9_000), &samples, OperatingState::Running, &mut findings);
    };
    for (s, v, t) in [(100, 9.0, 20.0), (220, 9.1, 20.0), (160, 9.5, 5.0), (130, 1.0, 20.0), (190, 8.7, 3.0)] {
        at(&mut evaluator, s, v, t);
    }
    // More than a minute after 220 s: another excursion.
    at(&mut evaluator, 281, 9.9, 20.0);
    evaluator.tick(at_s(9_009), &mut findings);
    let excursion = |from, to, readings, peak, would_have_raised| PastExcursion {
        pump: Some("P-7".parse().expect("a pump")),
        alarm: id("v"),
        from: at_s(from),
        to: at_s(to),
        readings,
        peak: Some(peak),
        limit: Some(8.5),
        learned_at: at_s(9_000),
        would_have_raised,
    };
    // The first one is learned in two parts, as 160 s is within a minute of 220 s, and 100 s is not.
    let first = [
        Finding::Past(excursion(100, 100, 1, 9.0, false)),
        Finding::Past(excursion(160, 220, 3, 9.5, false)),
        Finding::Past(PastExcursion {
            alarm: id("low"),
            peak: Some(3.0),
            limit: Some(10.0),
            ..excursion(160, 190, 2, 3.0, true)
        }),
    ];
    assert_eq!(findings, first);
    findings.clear();
    evaluator.tick(at_s(9_010), &mut findings);
    assert_eq!(findings, [Finding::Past(excursion(281, 281, 1, 9.9, false))]);
}

#[test]
fn checkpoint_continues_and_rearming_keeps_the_timers() {
    let definition = |limit| AlarmDefinition { on_delay_s: Some(10.0), ..plain("v", high(limit)) };
    let mut evaluator = evaluator(&[definition(8.5), plain("t", Condition::BadQuality { channel: "T".into() })]);
    evaluate(&mut evaluator, 0, [9.0, 1.0]);
    let checkpoint = serde_json::to_string(&evaluator.checkpoint()).expect("JSON");
    let checkpoint: EvaluatorCheckpoint = serde_json::from_str(&checkpoint).expect("JSON");
    let mut restored = LimitEvaluator::restore(None, evaluator.armed().clone(), checkpoint);
    assert_eq!(evaluate(&mut restored, 10, [9.0, 1.0]), ["v raise 0"]);
    assert_eq!(restored.counts().evaluated, 2);

    let profile = Profile::from_toml(PROFILE).expect("a profile");
    evaluator.rearm(ArmedAlarms::compile(&profile, &[plain("new", high(99.0)), definition(8.8)]).expect("armed"));
    assert_eq!(evaluate(&mut evaluator, 10, [9.0, 1.0]), ["v raise 0"]);
}

proptest! {
    /// In whatever order readings arrive: an alarm without delay is raised if one of the current ones is beyond its limit,
    /// every reading of the past that is beyond it is recorded once, and all are counted.
    #[test]
    fn order_of_arrival_loses_nothing(
        readings in prop::collection::vec((0..50_i64, prop::bool::weighted(0.2), any::<bool>()), 1..40)
            .prop_shuffle(),
    ) {
        let mut evaluator = evaluator(&[plain("v", high(8.5))]);
        let mut findings = Vec::new();
        for &(s, is_beyond, is_current) in &readings {
            let at = if is_current { at_s(s) } else { at_s(60 * s - 10_000) };
            let samples = [Sample::Good(if is_beyond { 9.0 } else { 1.0 }), Sample::Missing];
            evaluator.evaluate_samples(at, at_s(50), &samples, OperatingState::Running, &mut findings);
        }
        evaluator.tick(at_s(60), &mut findings);
        let (mut raised, mut is_raised, mut recorded) = (0, false, 0);
        for finding in &findings {
            match finding {
                Finding::Past(past) => recorded += past.readings,
                Finding::Signal { signal, .. } => {
                    let raises = matches!(signal, Signal::Raise(_));
                    prop_assert_ne!(raises, is_raised, "raises and returns alternate");
                    is_raised = raises;
                    raised += u64::from(raises);
                }
            }
        }
        let beyond = |current: bool| {
            readings.iter().filter(|(_, is_beyond, is_current)| *is_beyond && *is_current == current).count() as u64
        };
        prop_assert_eq!(raised > 0, beyond(true) > 0);
        prop_assert_eq!(recorded, beyond(false));
        let counts = evaluator.counts();
        prop_assert_eq!(counts.evaluated, readings.len() as u64);
        prop_assert_eq!(counts.past, readings.iter().filter(|(.., is_current)| !is_current).count() as u64);
    }
}
