//! When events are opened, updated and resolved, to the millisecond, and which values they hold.

use super::*;
use crate::{
    Currency, Sample,
    profile::tests::{SMALL, small},
};

fn no_alarms() -> Vec<EvidenceAlarm> {
    Vec::new()
}

/// Evaluates a reading of the bearing. `verdict`: whether there is a detection, and whether it is an anomaly.
fn evaluate(
    evaluator: &mut RuleEvaluator,
    second: i64,
    bearing: f64,
    verdict: impl Into<Option<bool>>,
) -> Vec<EventChange> {
    let at = Timestamp::from_millis(1_773_051_273_000 + second * 1000).expect("a time");
    let pump: PumpId = "P-1".parse().expect("a name");
    let samples = [Sample::Good(bearing), Sample::Good(1.0)].into();
    let reading = Reading { pump: pump.clone(), at, received: at, samples, late: false };
    let detection = verdict.into().map(|is_anomaly| Detection {
        pump,
        at,
        loss: bearing / 100.0,
        threshold: 0.5,
        is_anomaly,
        contributions: [0.9, 0.1].into(),
        model: "m".into(),
    });
    evaluator.evaluate(&reading, detection.as_ref(), &no_alarms)
}

#[test]
fn a_hot_bearing_opens_one_event_and_its_return_to_normal_resolves_it() {
    let mut evaluator = RuleEvaluator::new(small(), []);
    let mut changes = Vec::new();
    for second in 0..25 {
        changes.extend(evaluate(&mut evaluator, second, 90.0 + second as f64, true));
    }
    assert!(matches!(changes[0], EventChange::Opened(_)));
    assert!(matches!(changes[1..], [EventChange::Updated(_), EventChange::Updated(_)]), "every ten seconds");
    for second in 25..84 {
        assert_eq!(evaluate(&mut evaluator, second, 60.0, true), [], "it may come back");
    }
    let [EventChange::Resolved(event)] = &evaluate(&mut evaluator, 84, 60.0, false)[..] else { panic!("resolved") };
    assert_eq!((event.peak, event.state()), (Some(114.0), EventState::Resolved));
    assert_eq!((event.peak_loss, event.model.as_deref()), (Some(1.14), Some("m")));
    assert!(matches!(evaluate(&mut evaluator, 90, 99.0, true)[..], [EventChange::Opened(_)]), "a new event");
}

#[test]
fn a_normal_detection_or_a_value_within_the_limit_opens_nothing() {
    let mut evaluator = RuleEvaluator::new(small(), []);
    assert_eq!(evaluate(&mut evaluator, 0, 99.0, false), []);
    assert_eq!(evaluate(&mut evaluator, 1, 85.0, true), [], "the limit itself is allowed");
}

#[test]
fn without_a_detection_the_limit_alone_decides() {
    let mut evaluator = RuleEvaluator::new(small(), []);
    assert_eq!(evaluate(&mut evaluator, 0, 85.0, None), [], "the limit itself is allowed");
    let [EventChange::Opened(event)] = &evaluate(&mut evaluator, 1, 90.0, None)[..] else { panic!("opened") };
    assert_eq!((event.peak, event.peak_loss, &event.model), (Some(90.0), None, &None));
    for second in 2..11 {
        assert_eq!(evaluate(&mut evaluator, second, 91.0, None), [], "one event");
    }
    let [EventChange::Updated(event)] = &evaluate(&mut evaluator, 11, 91.0, true)[..] else { panic!("updated") };
    assert_eq!((event.peak_loss, event.model.as_deref()), (Some(0.91), Some("m")), "the anomaly is recorded");
    let cleared: Vec<EventChange> = (12..72).flat_map(|second| evaluate(&mut evaluator, second, 60.0, None)).collect();
    assert!(matches!(cleared[..], [EventChange::Resolved(_)]));
}

#[test]
fn normal_detections_resolve_an_event_of_the_limit_alone() {
    let mut evaluator = RuleEvaluator::new(small(), []);
    assert_eq!(evaluate(&mut evaluator, 0, 90.0, None).len(), 1);
    let cleared: Vec<EventChange> = (1..61).flat_map(|second| evaluate(&mut evaluator, second, 90.0, false)).collect();
    assert!(matches!(cleared[..], [EventChange::Resolved(_)]));
}

#[test]
fn an_event_that_was_open_at_the_last_stop_is_not_opened_again() {
    let mut first = RuleEvaluator::new(small(), []);
    let [EventChange::Opened(event)] = &evaluate(&mut first, 0, 99.0, true)[..] else { panic!("opened") };
    let mut second = RuleEvaluator::new(small(), [event.clone()]);
    assert_eq!(evaluate(&mut second, 1, 99.0, true), []);
}

/// The small profile with a second bearing and a rule for the flow.
fn two_rules() -> Profile {
    let (channels, rules) = SMALL.split_once("[[rules]]").expect("a rule");
    let second = "[[channels]]\nname = \"Tb2\"\nquantity = \"bearing_temperature\"\nunit = \"°C\"\nplausible = [-40, 200]\nresolution = 0.1\n";
    let flow = rules.replace("bearing-hot", "flow-high").replace("bearing_temperature", "flow").replace("85", "500");
    Profile::from_toml(&format!("{channels}{second}[[rules]]{rules}[[rules]]{flow}")).expect("a profile")
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_773_051_273_000 + ms).expect("a time")
}

/// Evaluates a reading of two bearings and the flow. `loss`: that of a detection for it, an anomaly from 0.5 on.
fn evaluate_three(evaluator: &mut RuleEvaluator, ms: i64, samples: [Sample; 3], loss: Option<f64>) -> Vec<EventChange> {
    let pump: PumpId = "P-1".parse().expect("a name");
    let [first, second, flow] = samples;
    let reading = Reading {
        pump: pump.clone(),
        at: at(ms),
        received: at(ms),
        samples: [first, flow, second].into(),
        late: false,
    };
    let verdict = loss.map(|loss| Detection {
        pump,
        at: at(ms),
        loss,
        threshold: 0.5,
        is_anomaly: loss >= 0.5,
        contributions: [0.8, 0.1, 0.1].into(),
        model: format!("m-{loss}").into(),
    });
    evaluator.evaluate(&reading, verdict.as_ref(), &no_alarms)
}

/// Returns one letter for a reading's changes: O opened, U updated, R resolved, . none.
fn letter(changes: &[EventChange]) -> char {
    match changes {
        [] => '.',
        [EventChange::Opened(_)] => 'O',
        [EventChange::Updated(_)] => 'U',
        [EventChange::Resolved(_)] => 'R',
        _ => '?',
    }
}

#[test]
fn limits_and_times_are_exact() {
    let above = 85.0_f64.next_up();
    for (what, steps, expected) in [
        ("the limit itself is allowed", &[(0, 85.0), (1, above)][..], ".O"),
        (
            "an open event is updated every ten seconds",
            &[(0, 90.0), (9_999, 90.0), (10_000, 90.0), (19_999, 90.0), (20_000, 90.0)],
            "O.U.U",
        ),
        (
            "the next update is ten seconds after a late one",
            &[(0, 90.0), (15_000, 90.0), (20_000, 90.0), (25_000, 90.0)],
            "OU.U",
        ),
        ("a minute without a violation resolves it", &[(0, 90.0), (1, 60.0), (59_999, 60.0), (60_000, 60.0)], "O..R"),
        (
            "the minute starts at the last violation",
            &[(0, 90.0), (5_000, 90.0), (64_999, 85.0), (65_000, 85.0)],
            "O..R",
        ),
        (
            "a violation within the minute keeps it open",
            &[(0, 90.0), (59_999, 60.0), (60_000, 90.0), (119_999, 60.0)],
            "O.U.",
        ),
        ("a violation after that opens a new one", &[(0, 90.0), (60_000, 60.0), (60_001, 90.0)], "ORO"),
        ("silence resolves nothing, a reading after it does", &[(0, 90.0), (500_000, 90.0), (560_000, 60.0)], "OUR"),
    ] {
        let mut evaluator = RuleEvaluator::new(two_rules(), []);
        let good = Sample::Good;
        let done: String = steps
            .iter()
            .map(|&(ms, tb)| letter(&evaluate_three(&mut evaluator, ms, [good(tb), good(1.0), good(1.0)], None)))
            .collect();
        assert_eq!(done, expected, "{what}");
    }
}

#[test]
fn the_highest_good_value_of_the_quantity_counts() {
    use Sample::{Bad, Filled, Good, Missing};
    for (samples, expected) in [
        ([Good(90.0), Good(95.0), Good(1.0)], Some(("bearing-hot", "Tb2", 95.0))),
        ([Good(95.0), Good(90.0), Good(1.0)], Some(("bearing-hot", "Tb", 95.0))),
        ([Good(60.0), Good(90.0), Good(499.0)], Some(("bearing-hot", "Tb2", 90.0))),
        ([Good(60.0), Good(60.0), Good(501.0)], Some(("flow-high", "Q", 501.0))),
        ([Good(60.0), Good(60.0), Good(500.0)], None),
        ([Good(60.0), Bad(900.0), Good(1.0)], None),
        ([Bad(900.0), Good(86.0), Good(1.0)], Some(("bearing-hot", "Tb2", 86.0))),
        ([Filled, Missing, Missing], None),
    ] {
        let changes = evaluate_three(&mut RuleEvaluator::new(two_rules(), []), 0, samples, None);
        let opened: Vec<_> = changes
            .iter()
            .map(EventChange::event)
            .map(|e| (e.rule.as_str(), e.channel.as_str(), e.peak.expect("a peak")))
            .collect();
        assert_eq!(opened, expected.into_iter().collect::<Vec<_>>(), "{samples:?}");
        assert!(
            changes.iter().all(|change| [Some(85.0), Some(500.0)].contains(&change.event().limit)),
            "the rule's limit"
        );
    }
}

#[test]
fn each_rule_has_its_own_event() {
    let mut evaluator = RuleEvaluator::new(two_rules(), []);
    let mut rules = |ms, bearing, flow| -> Vec<(char, String)> {
        let changes =
            evaluate_three(&mut evaluator, ms, [Sample::Good(bearing), Sample::Good(1.0), Sample::Good(flow)], None);
        changes.iter().map(|c| (letter(std::slice::from_ref(c)), c.event().rule.clone())).collect()
    };
    let change = |letter: char, rule: &str| (letter, rule.to_owned());
    assert_eq!(rules(0, 90.0, 1.0), [change('O', "bearing-hot")]);
    assert_eq!(rules(5_000, 90.0, 900.0), [change('O', "flow-high")]);
    assert_eq!(rules(10_000, 60.0, 900.0), []);
    assert_eq!(rules(15_000, 60.0, 900.0), [change('U', "flow-high")]);
    assert_eq!(rules(65_000, 60.0, 1.0), [change('R', "bearing-hot")]);
    assert_eq!(rules(75_000, 60.0, 1.0), [change('R', "flow-high")]);
}

#[test]
fn an_event_has_its_peak_values_its_first_model_and_its_times() {
    let mut evaluator = RuleEvaluator::new(two_rules(), []);
    // Milliseconds, bearing, loss.
    for (ms, bearing, loss) in [
        (0, 90.0, None),
        (1_000, 97.0, Some(0.6)),
        (2_000, 91.0, Some(0.9)),
        (3_000, 90.5, Some(0.7)),
        (4_000, 99.0, Some(0.4)),
    ] {
        evaluate_three(&mut evaluator, ms, [Sample::Good(bearing), Sample::Good(1.0), Sample::Good(1.0)], loss);
    }
    let cool = [Sample::Good(60.0), Sample::Good(1.0), Sample::Good(1.0)];
    assert_eq!(evaluate_three(&mut evaluator, 62_999, cool, None), [], "normal at 4 s: last violated at 3 s");
    let [EventChange::Resolved(event)] = &evaluate_three(&mut evaluator, 63_000, cool, None)[..] else {
        panic!("resolved")
    };
    assert_eq!((event.peak, event.peak_loss, event.model.as_deref()), (Some(97.0), Some(0.9), Some("m-0.6")));
    assert_eq!((event.opened_at, event.last_seen_at, event.resolved_at), (at(0), at(3_000), Some(at(63_000))));
    assert_eq!((event.state(), event.state().as_str()), (EventState::Resolved, "resolved"));
    let open = MaintenanceEvent { resolved_at: None, ..event.clone() };
    assert_eq!((open.state(), open.state().as_str()), (EventState::Active, "active"));
}

#[test]
fn an_evaluator_continues_after_a_restart() {
    let hot = [Sample::Good(90.0), Sample::Good(1.0), Sample::Good(1.0)];
    let mut first = RuleEvaluator::new(two_rules(), []);
    let [EventChange::Opened(opened)] = &evaluate_three(&mut first, 0, hot, None)[..] else { panic!("opened") };
    let stored = MaintenanceEvent { last_seen_at: at(8_000), ..opened.clone() };
    let after = |steps: &[(i64, f64)]| -> String {
        let mut evaluator = RuleEvaluator::new(two_rules(), [stored.clone()]);
        let samples = |tb| [Sample::Good(tb), Sample::Good(1.0), Sample::Good(1.0)];
        steps.iter().map(|&(ms, tb)| letter(&evaluate_three(&mut evaluator, ms, samples(tb), None))).collect()
    };
    assert_eq!(after(&[(17_999, 90.0), (18_000, 90.0)]), ".U", "ten seconds after the last violation");
    assert_eq!(after(&[(67_999, 60.0), (68_000, 60.0)]), ".R", "and a minute");
}

#[test]
fn stored_words_do_not_change() {
    for (severity, word) in [
        (Severity::Low, "low"),
        (Severity::Medium, "medium"),
        (Severity::High, "high"),
        (Severity::Critical, "critical"),
    ] {
        assert_eq!((severity.as_str(), serde_json::json!(severity)), (word, serde_json::json!(word)));
    }
    assert!(
        Severity::Low < Severity::Medium && Severity::Medium < Severity::High && Severity::High < Severity::Critical
    );
    for (text, valid) in [
        ("INR", true),
        ("EUR", true),
        ("Inr", false),
        ("inr", false),
        ("IN", false),
        ("INRS", false),
        ("IN1", false),
        ("ÄR", false),
        ("", false),
    ] {
        let currency = Currency::try_from(text.to_owned());
        assert_eq!(currency.is_ok(), valid, "{text:?}");
        assert!(currency.is_err() || currency.is_ok_and(|currency| String::from(currency) == text));
    }
}

/// The small profile, with a critical level from 100 °C on.
fn two_levels() -> Profile {
    let levels = r#"
        cost_if_it_fails = { amount = 90000, currency = "INR" }
        failure_mode = "bearing_wear"
        actions = ["Check the oil."]
        spare_parts = [{ name = "Bearing set", number = "6312-C3", quantity = 2 }]
        [[rules.levels]]
        severity = "critical"
        above = 100
        cost = { amount = 20000, currency = "INR" }
        actions = ["Stop the pump.", "Replace the bearings."]
    "#;
    Profile::from_toml(&format!("{SMALL}{levels}")).expect("a profile")
}

#[test]
fn a_more_severe_level_raises_the_severity_once_with_its_evidence() {
    let mut evaluator = RuleEvaluator::new(two_levels(), []);
    let [EventChange::Opened(opened)] = &evaluate(&mut evaluator, 0, 90.0, true)[..] else { panic!("opened") };
    let recommended = opened.recommendation.clone().expect("by the rule");
    assert_eq!((recommended.severity, recommended.cost_now.amount), (Severity::High, 15_000.0));
    assert_eq!(
        (recommended.profile.as_str(), recommended.actions.as_slice()),
        ("small", &["Check the oil.".into()][..])
    );
    let [first] = &opened.evidence[..] else { panic!("one piece of evidence") };
    assert_eq!((first.channel.as_str(), first.value, first.limit, first.severity), ("Tb", 90.0, 85.0, Severity::High));
    assert_eq!(first.values.iter().map(|value| value.value).collect::<Vec<_>>(), [90.0, 1.0]);
    let detection = first.detection.as_ref().expect("an anomaly");
    assert_eq!((detection.loss, detection.contributions[0].clone()), (0.9, ("Tb".to_owned(), 0.9)));

    assert_eq!(evaluate(&mut evaluator, 1, 100.0, true), [], "the level's limit itself is allowed");
    let [EventChange::Updated(raised)] = &evaluate(&mut evaluator, 2, 101.0, None)[..] else { panic!("at once") };
    assert_eq!((raised.severity, raised.cost.amount, raised.limit), (Severity::Critical, 20_000.0, Some(85.0)));
    assert_eq!(
        raised.evidence.iter().map(|e| (e.limit, e.detection.is_some())).collect::<Vec<_>>(),
        [(85.0, true), (100.0, false)]
    );
    let recommended = raised.recommendation.clone().expect("by the rule");
    assert_eq!((recommended.actions.len(), recommended.spare_parts[0].quantity), (2, 2), "parts are those of the rule");
    assert_eq!(recommended.cost_if_it_fails.map(|cost| cost.amount), Some(90_000.0));
    // Neither a lower value nor a restart lowers it, and it is raised once.
    let mut again = RuleEvaluator::new(two_levels(), [raised.clone()]);
    assert_eq!(evaluate(&mut again, 3, 120.0, true), []);
    let [EventChange::Updated(later)] = &evaluate(&mut again, 12, 90.0, true)[..] else { panic!("updated") };
    assert_eq!((later.severity, later.evidence.len()), (Severity::Critical, 2));
}

#[test]
fn a_value_above_the_highest_level_opens_at_its_severity() {
    let mut evaluator = RuleEvaluator::new(two_levels(), []);
    let [EventChange::Opened(event)] = &evaluate(&mut evaluator, 0, 130.0, true)[..] else { panic!("opened") };
    assert_eq!((event.severity, event.evidence[0].limit, event.evidence.len()), (Severity::Critical, 100.0, 1));
}

#[test]
fn evidence_names_the_alarms_that_stood_and_counts_the_rest() {
    let mut evaluator = RuleEvaluator::new(small(), []);
    let alarm = |number: usize| EvidenceAlarm {
        alarm: format!("a-{number}"),
        title: "An alarm".into(),
        priority: "high".into(),
        state: "unacknowledged".into(),
        occurrence: 1,
        raised_at: None,
        value: None,
        limit: None,
    };
    let pump: PumpId = "P-1".parse().expect("a name");
    let samples = [Sample::Good(90.0), Sample::Bad(-9.0)].into();
    let reading = Reading { pump, at: at(0), received: at(5), samples, late: false };
    let asked = std::cell::Cell::new(0);
    let alarms = || {
        asked.set(asked.get() + 1);
        (0..30).map(alarm).collect()
    };
    let changes = evaluator.evaluate(&reading, None, &alarms);
    let evidence = &changes[0].event().evidence[0];
    assert_eq!((evidence.alarms.len(), evidence.alarms_standing), (20, 30));
    assert_eq!((evidence.at, evidence.received_at), (at(0), at(5)));
    assert_eq!(evidence.values.iter().map(|value| value.is_plausible).collect::<Vec<_>>(), [true, false]);
    evaluator.evaluate(&Reading { at: at(20_000), ..reading }, None, &alarms);
    assert_eq!(asked.get(), 1, "only when an event is opened or raised");
}
