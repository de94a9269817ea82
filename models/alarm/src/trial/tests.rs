//! Tests of trials, also of proposals against chattering.

use std::time::Instant;

use super::*;
use crate::{
    AlarmKey, ChatterDetector, Priority, Status,
    testing::{at_s, id},
};

const PROFILE: &str = r#"
    name = "p"
    title = "P"
    interval_ms = 60000
    [[channels]]
    name = "V"
    quantity = "vibration"
    unit = "mm/s"
    plausible = [0, 100]
    resolution = 0.01
"#;

fn profile() -> Profile {
    Profile::from_toml(PROFILE).expect("a profile")
}

fn high(on_delay_s: f64, off_delay_s: f64, deadband: f64) -> AlarmDefinition {
    let condition = Condition::High { channel: "V".into(), limit: 8.5 };
    AlarmDefinition {
        on_delay_s: Some(on_delay_s),
        off_delay_s: Some(off_delay_s),
        deadband: Some(deadband),
        ..AlarmDefinition::new(id("v"), "V", Priority::Low, condition)
    }
}

/// Tries on values at these times, in seconds. NaN: missing.
fn try_on(definition: &AlarmDefinition, values: &[(i64, f64)]) -> Trial {
    let samples: Vec<[Sample; 1]> =
        values.iter().map(|(_, value)| [if value.is_nan() { Sample::Missing } else { Sample::Good(*value) }]).collect();
    let reading = |((s, _), samples)| TrialReading { at: at_s(s), samples, state: OperatingState::Running };
    let readings = values.iter().copied().zip(samples.iter().map(|samples| &samples[..])).map(reading);
    trial(&profile(), definition, None, readings).expect("a trial")
}

#[test]
fn alarms_are_counted_with_their_times() {
    let values = [(0, 1.0), (60, 9.0), (120, 9.5), (180, 8.0), (240, 9.0), (300, 1.0), (360, 9.9), (420, 9.9)];
    let alarm = |from, to: Option<i64>, value| TrialAlarm { from: at_s(from), to: to.map(at_s), value: Some(value) };
    assert_eq!(
        try_on(&high(0.0, 0.0, 0.0), &values),
        Trial {
            readings: 8,
            raised: 3,
            longest_s: 120.0,
            total_s: 240.0,
            first: Some(at_s(60)),
            last: Some(at_s(360)),
            alarms: vec![alarm(60, Some(180), 9.0), alarm(240, Some(300), 9.0), alarm(360, None, 9.9)],
        }
    );
    assert_eq!(try_on(&high(0.0, 0.0, 1.0), &values).raised, 2, "the deadband holds it at 8.0");
    assert_eq!(try_on(&high(0.0, 61.0, 0.0), &values).raised, 1, "the off-delay joins them");
    assert_eq!(try_on(&high(60.0, 0.0, 0.0), &values).raised, 2, "the on-delay leaves out the second");
    assert_eq!(try_on(&high(0.0, 0.0, 0.0), &[]), Trial::default());
}

#[test]
fn gaps_are_silence() {
    let silent = AlarmDefinition::new(
        id("v"),
        "V",
        Priority::Low,
        Condition::NoData { channel: Some("V".into()), after_s: 7_200.0 },
    );
    let silent = AlarmDefinition { off_delay_s: Some(0.0), ..silent };
    let values = [(0, 1.0), (7_200, 1.0), (14_460, 1.0), (15_000, f64::NAN), (21_661, f64::NAN), (30_000, 1.0)];
    let found = try_on(&silent, &values);
    assert_eq!((found.raised, found.first, found.last), (2, Some(at_s(14_400)), Some(at_s(21_660))));
    assert_eq!(found.total_s, 60.0 + 8_340.0);
}

#[test]
fn lists_are_bounded() {
    let values: Vec<(i64, f64)> = (0..300).map(|step| (60 * step, if step % 2 == 0 { 9.0 } else { 1.0 })).collect();
    let found = try_on(&high(0.0, 0.0, 0.0), &values);
    assert_eq!((found.raised, found.alarms.len()), (150, MAX_LISTED));
}

#[test]
fn conditions_that_readings_do_not_show_are_refused() {
    let anomaly = AlarmDefinition::new(id("v"), "V", Priority::Low, Condition::ModelAnomaly {});
    let mistakes = trial(&profile(), &anomaly, None, []).expect_err("refused");
    assert_eq!(mistakes[0].field, "alarms.v.condition.kind");
    let mistakes = trial(&profile(), &high(-1.0, 0.0, 0.0), None, []).expect_err("refused");
    assert_eq!(mistakes[0].to_string(), "alarms.v.on_delay_s = \"-1\"; allowed: 0 to 86400");
}

#[test]
fn proposals_end_the_chattering() {
    // Five excursions of 4 s, 9 s apart.
    let value = |s: i64| if s < 65 && s % 13 < 4 { 8.8 } else { 8.3 };
    let values: Vec<(i64, f64)> = (0..200).map(|s| (s, value(s))).collect();
    let definition = high(0.0, 0.0, 0.0);
    assert_eq!(try_on(&definition, &values).raised, 5);

    let armed = ArmedAlarms::compile(&profile(), std::slice::from_ref(&definition)).expect("armed");
    let mut evaluator = LimitEvaluator::new(None, armed);
    let key = AlarmKey { pump: None, alarm: id("v") };
    let mut alarm = crate::Alarm::new(key, Priority::Low, false, Status::default());
    let (mut detector, mut findings, mut found) = (ChatterDetector::default(), Vec::new(), Vec::new());
    for &(s, value) in &values {
        evaluator.evaluate_samples(at_s(s), at_s(s), &[Sample::Good(value)], OperatingState::Running, &mut findings);
        for finding in findings.drain(..) {
            let Finding::Signal { signal, .. } = finding else { panic!("nothing is past") };
            let row = alarm.observe(signal, at_s(s)).expect("a row");
            found.extend(detector.observe(&row));
        }
    }
    assert_eq!(found.len(), 1);
    let proposal = detector.chattering(at_s(200))[0].proposal;
    let (deadband, off_s, on_s) = (proposal.deadband, proposal.off_delay_s, proposal.on_delay_s);
    assert_eq!((deadband, off_s, on_s), (Some(0.30), Some(14.0), Some(6.0)));
    assert_eq!(try_on(&high(0.0, 0.0, 0.30), &values).raised, 1);
    assert_eq!(try_on(&high(0.0, 14.0, 0.0), &values).raised, 1);
    assert_eq!(try_on(&high(6.0, 0.0, 0.0), &values).raised, 0);
}

#[test]
fn year_of_readings_in_one_pass() {
    let minutes = 365 * 24 * 60;
    let samples: Vec<[Sample; 1]> =
        (0..minutes).map(|minute| [Sample::Good(5.0 + 4.0 * (f64::from(minute) / 1_000.0).sin())]).collect();
    let readings = samples.iter().enumerate().map(|(minute, samples)| TrialReading {
        at: at_s(60 * minute as i64),
        samples,
        state: OperatingState::Running,
    });
    let begun = Instant::now();
    let found = trial(&profile(), &high(60.0, 60.0, 0.4), None, readings).expect("a trial");
    println!("{} readings in {:?}: {} alarms", found.readings, begun.elapsed(), found.raised);
    assert_eq!((found.readings, found.raised), (525_600, 84));
}
