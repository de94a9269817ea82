//! Tests of a pump's alarms as a whole: explanations, definitions that change, restarts.

use std::sync::Arc;

use proptest::prelude::*;
use volute_plant::{Profile, Sample};

use super::*;
use crate::{
    AlarmDefinition, Comment, Condition, Priority, Standing, StateSet,
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

fn pump() -> PumpId {
    "P-7".parse().expect("a pump")
}

fn plain(name: &str, condition: Condition) -> AlarmDefinition {
    AlarmDefinition {
        on_delay_s: Some(0.0),
        off_delay_s: Some(0.0),
        deadband: Some(0.0),
        holds_in: Some(StateSet::ALL),
        ..AlarmDefinition::new(id(name), name, Priority::Low, condition)
    }
}

fn high(name: &str, limit: f64, explained_by: &[&str]) -> AlarmDefinition {
    AlarmDefinition {
        explained_by: explained_by.iter().map(|name| id(name)).collect(),
        ..plain(name, Condition::High { channel: "V".into(), limit })
    }
}

fn armed(definitions: &[AlarmDefinition]) -> ArmedAlarms {
    ArmedAlarms::compile(&Profile::from_toml(PROFILE).expect("a profile"), definitions).expect("armed")
}

fn reading(s: i64, received_s: i64, v: f64, t: f64) -> Reading {
    let sample = |value: f64| match value {
        value if value.is_nan() => Sample::Missing,
        value if value < 0.0 => Sample::Bad(value),
        value => Sample::Good(value),
    };
    let samples = Arc::new([sample(v), sample(t)]);
    Reading { pump: pump(), at: at_s(s), received: at_s(received_s), samples, late: false }
}

fn texts(output: &mut Vec<Output>) -> Vec<String> {
    let text = |output: Output| match output {
        Output::Row(row) => {
            let cause = serde_json::to_value(&row.cause).expect("JSON")["cause"].as_str().expect("a cause").to_owned();
            format!("{} {cause} {}", row.alarm, row.to)
        }
        Output::Past(past) => format!("{} past", past.alarm),
    };
    output.drain(..).map(text).collect()
}

fn evaluate(alarms: &mut PumpAlarms, s: i64, v: f64) -> Vec<String> {
    let mut output = Vec::new();
    alarms.evaluate(&reading(s, s, v, 20.0), OperatingState::Running, &mut output);
    texts(&mut output)
}

fn command(alarms: &mut PumpAlarms, name: &str, command: Command) -> Vec<String> {
    let mut output = Vec::new();
    alarms.command(&id(name), command, "ada", at_s(100), &mut output).expect("done");
    texts(&mut output)
}

fn acknowledge(up_to: u32) -> Command {
    Command::Acknowledge { up_to, comment: None }
}

#[test]
fn example_of_the_module() {
    let dead = Condition::NoData { channel: Some("V".into()), after_s: 60.0 };
    let stale = Condition::NoData { channel: None, after_s: 60.0 };
    let definitions = [
        AlarmDefinition { explained_by: vec![id("pump-stale")], ..plain("v-no-data", dead) },
        AlarmDefinition { off_delay_s: Some(30.0), ..plain("pump-stale", stale) },
    ];
    let mut alarms = PumpAlarms::new(Some(pump()), armed(&definitions));
    let mut output = Vec::new();
    let mut tick = |alarms: &mut PumpAlarms, s| {
        alarms.tick(at_s(s), &mut output);
        texts(&mut output)
    };
    assert_eq!(evaluate(&mut alarms, 0, 1.0), [""; 0]);
    assert_eq!(tick(&mut alarms, 59), [""; 0]);
    assert_eq!(
        tick(&mut alarms, 60),
        ["pump-stale raised unacknowledged", "v-no-data suppression_began suppressed", "v-no-data raised suppressed",]
    );
    assert_eq!(command(&mut alarms, "pump-stale", acknowledge(1)), ["pump-stale acknowledged acknowledged"]);
    assert_eq!(evaluate(&mut alarms, 70, 1.0), ["v-no-data returned suppressed"]);
    assert_eq!(tick(&mut alarms, 99), [""; 0]);
    assert_eq!(tick(&mut alarms, 100), ["pump-stale returned normal", "v-no-data suppression_ended normal"]);
}

#[test]
fn alarm_out_of_service_explains_nothing() {
    let mut alarms =
        PumpAlarms::new(Some(pump()), armed(&[high("high", 5.0, &["high-high"]), high("high-high", 8.0, &[])]));
    assert_eq!(
        evaluate(&mut alarms, 0, 9.0),
        ["high-high raised unacknowledged", "high suppression_began suppressed", "high raised suppressed"]
    );
    let reason: Comment = "broken".try_into().expect("a comment");
    assert_eq!(
        command(&mut alarms, "high-high", Command::TakeOutOfService { reason }),
        ["high-high taken_out_of_service out_of_service", "high suppression_ended unacknowledged"]
    );
    assert_eq!(
        command(&mut alarms, "high-high", Command::ReturnToService { comment: None }),
        ["high-high returned_to_service unacknowledged", "high suppression_began unacknowledged"]
    );
    assert_eq!(command(&mut alarms, "high", acknowledge(1)), ["high acknowledged suppressed"]);
    let mut output = Vec::new();
    let unknown = alarms.command(&id("low"), acknowledge(1), "ada", at_s(100), &mut output);
    assert_eq!((unknown, output), (Err(CommandError::Unknown("low".into())), Vec::new()));
}

#[test]
fn shelved_alarm_hides_nothing_more_urgent() {
    let low = high("high-high", 5.0, &[]);
    let critical = AlarmDefinition { priority: Priority::Critical, ..high("trip", 8.0, &["high-high"]) };
    let also_low = high("high", 8.0, &["high-high"]);
    let mut alarms = PumpAlarms::new(Some(pump()), armed(&[low, critical, also_low]));
    evaluate(&mut alarms, 0, 6.0);
    let shelve = Command::Shelve { until: at_s(600), reason: "wrong sensor".try_into().expect("a comment") };
    assert_eq!(
        command(&mut alarms, "high-high", shelve),
        ["high-high shelved shelved", "trip suppression_ended normal"]
    );
    let mut found = evaluate(&mut alarms, 1, 9.0);
    found.sort();
    assert_eq!(found, ["high raised suppressed", "trip raised unacknowledged"]);
    assert_eq!(
        command(&mut alarms, "high-high", Command::Unshelve { comment: None }),
        ["high-high unshelved unacknowledged", "trip suppression_began unacknowledged"]
    );
}

#[test]
fn time_passes_for_a_delay_from_the_restart_on() {
    let slow = AlarmDefinition { on_delay_s: Some(8.0), ..high("high", 5.0, &[]) };
    let mut alarms = PumpAlarms::new(Some(pump()), armed(std::slice::from_ref(&slow)));
    assert_eq!(alarms.due_in_ms(), None);
    evaluate(&mut alarms, 0, 6.0);
    assert_eq!(alarms.due_in_ms(), Some(8_000));
    let mut output = Vec::new();
    alarms.tick(at_s(2), &mut output);
    assert_eq!(alarms.due_in_ms(), Some(6_000));
    // The node is killed, and starts a minute later; the pump is silent.
    let checkpoint = alarms.evaluator().checkpoint();
    let mut alarms = PumpAlarms::restore(Some(pump()), armed(&[slow]), Some(checkpoint), &Standing::default());
    alarms.finish_replay(at_s(62), &mut output);
    assert_eq!(alarms.due_in_ms(), Some(6_000), "the time in which the node was down does not count");
    alarms.tick(at_s(67), &mut output);
    assert_eq!(texts(&mut output), [""; 0]);
    alarms.tick(at_s(68), &mut output);
    assert_eq!(texts(&mut output), ["high raised unacknowledged"]);
    assert_eq!(alarms.due_in_ms(), None);
}

#[test]
fn planned_work_suppresses_all_alarms() {
    let mut alarms = PumpAlarms::new(Some(pump()), armed(&[high("a", 5.0, &[]), high("b", 6.0, &[])]));
    let mut output = Vec::new();
    alarms.plan_work("w1", true, at_s(0), &mut output);
    assert_eq!(texts(&mut output), ["a suppression_began suppressed", "b suppression_began suppressed"]);
    assert_eq!(evaluate(&mut alarms, 1, 9.0), ["a raised suppressed", "b raised suppressed"]);
    assert_eq!(evaluate(&mut alarms, 2, 5.5), ["b returned suppressed"]);
    alarms.plan_work("w1", false, at_s(3), &mut output);
    assert_eq!(texts(&mut output), ["a suppression_ended unacknowledged", "b suppression_ended normal"]);
}

#[test]
fn other_definitions_keep_what_stands() {
    let definitions = [high("high", 5.0, &["old"]), high("old", 6.0, &[]), high("quiet", 50.0, &[])];
    let mut alarms = PumpAlarms::new(Some(pump()), armed(&definitions));
    evaluate(&mut alarms, 0, 9.0);
    let mut output = Vec::new();
    alarms.rearm(armed(&[high("high", 5.5, &["new"]), high("new", 7.0, &[])]), at_s(1), &mut output);
    assert_eq!(texts(&mut output), ["old returned returned_unacknowledged", "high suppression_ended unacknowledged"]);
    let states: Vec<String> = alarms.alarms().map(|alarm| format!("{} {}", alarm.key().alarm, alarm.state())).collect();
    assert_eq!(states, ["new normal", "high unacknowledged", "old returned_unacknowledged"]);
    assert_eq!(evaluate(&mut alarms, 2, 9.0), ["new raised unacknowledged", "high suppression_began unacknowledged"]);
    assert_eq!(command(&mut alarms, "old", acknowledge(1)), ["old acknowledged normal"]);
    assert_eq!(alarms.alarms().count(), 2, "nothing of it is left");
}

#[test]
fn alarm_that_is_no_longer_defined_after_a_restart_returns() {
    let mut before = PumpAlarms::new(Some(pump()), armed(&[high("old", 6.0, &[])]));
    let mut output = Vec::new();
    before.evaluate(&reading(0, 0, 9.0, 1.0), OperatingState::Running, &mut output);
    let rows: Vec<Transition> = output.drain(..).filter_map(row_of).collect();
    let mut after = PumpAlarms::restore(Some(pump()), armed(&[]), None, &Standing::replay(&rows));
    after.finish_replay(at_s(1), &mut output);
    assert_eq!(texts(&mut output), ["old returned returned_unacknowledged"]);
    assert_eq!(command(&mut after, "old", acknowledge(1)), ["old acknowledged normal"]);
    assert_eq!(after.alarms().count(), 0);
}

#[test]
fn shelving_of_an_alarm_that_is_no_longer_defined_ends() {
    let mut alarms = PumpAlarms::new(Some(pump()), armed(&[high("old", 6.0, &[])]));
    let reason: Comment = "later".try_into().expect("a comment");
    command(&mut alarms, "old", Command::Shelve { until: at_s(160), reason });
    let mut output = Vec::new();
    alarms.rearm(armed(&[]), at_s(110), &mut output);
    assert_eq!((texts(&mut output), alarms.alarms().count()), (vec![], 1));
    alarms.tick(at_s(160), &mut output);
    assert_eq!((texts(&mut output), alarms.alarms().count()), (vec!["old shelving_ended normal".to_owned()], 0));
}

#[test]
fn rows_and_timers_that_differ_after_a_restart_follow_the_rows() {
    let definition = AlarmDefinition { holds_in: Some(StateSet::POWERED), ..high("v", 5.0, &[]) };
    let mut before = PumpAlarms::new(Some(pump()), armed(std::slice::from_ref(&definition)));
    let mut output = Vec::new();
    before.evaluate(&reading(0, 0, 9.0, 1.0), OperatingState::Running, &mut output);
    before.evaluate(&reading(1, 1, 9.0, 1.0), OperatingState::Off, &mut output);
    let rows: Vec<Transition> = output.drain(..).filter_map(row_of).collect();
    for (stored, expected) in
        [(1, "v returned returned_unacknowledged"), (3, "v suppression_ended returned_unacknowledged")]
    {
        // The checkpoint was lost.
        let standing = Standing::replay(&rows[..stored]);
        let armed = armed(std::slice::from_ref(&definition));
        let mut after = PumpAlarms::restore(Some(pump()), armed, None, &standing);
        after.finish_replay(at_s(2), &mut output);
        assert_eq!(texts(&mut output), [""; 0]);
        assert_eq!(evaluate(&mut after, 2, 1.0), [expected]);
    }
}

fn row_of(output: Output) -> Option<Transition> {
    match output {
        Output::Row(row) => Some(row),
        Output::Past(_) => None,
    }
}

/// Something that happens to a pump.
#[derive(Debug, Clone)]
enum Event {
    /// Device time before receipt in seconds, V and T, and whether the pump runs.
    Reading(i64, f64, f64, bool),
    Tick,
    Anomaly(bool),
    Command(usize, Command),
    Work(bool),
}

fn event() -> impl Strategy<Value = (i64, Event)> {
    let value = prop_oneof![3 => Just(1.0), 3 => Just(9.0), 1 => Just(-1.0), 1 => Just(f64::NAN)];
    let temperature = prop_oneof![Just(20.0), Just(100.0), Just(f64::NAN)];
    let behind = prop_oneof![6 => Just(0), 2 => 0..20_i64, 1 => 60..4_000_i64];
    let reason: Comment = "because".try_into().expect("a comment");
    let user = prop_oneof![
        3 => (1..4_u32).prop_map(acknowledge),
        1 => (1..200_i64).prop_map({
            let reason = reason.clone();
            move |s| Command::Shelve { until: at_s(s), reason: reason.clone() }
        }),
        1 => Just(Command::TakeOutOfService { reason }),
        2 => Just(Command::ReturnToService { comment: None }),
        2 => Just(Command::Reset { comment: None }),
    ];
    let event = prop_oneof![
        12 => (behind, value, temperature, prop::bool::weighted(0.9))
            .prop_map(|(behind, v, t, runs)| Event::Reading(behind, v, t, runs)),
        3 => Just(Event::Tick),
        1 => any::<bool>().prop_map(Event::Anomaly),
        3 => (0..5_usize, user).prop_map(|(alarm, command)| Event::Command(alarm, command)),
        1 => any::<bool>().prop_map(Event::Work),
    ];
    let step = prop_oneof![8 => 0..15_i64, 1 => 15..500_i64, 1 => -300..0_i64];
    (step, event)
}

fn definitions() -> [AlarmDefinition; 5] {
    let delayed = |definition: AlarmDefinition, on_s, off_s| AlarmDefinition {
        on_delay_s: Some(on_s),
        off_delay_s: Some(off_s),
        ..definition
    };
    let hot = Condition::High { channel: "T".into(), limit: 80.0 };
    [
        AlarmDefinition { latching: true, ..delayed(high("v", 8.0, &["stale"]), 10.0, 7.0) },
        AlarmDefinition { holds_in: Some(StateSet::POWERED), ..delayed(plain("hot", hot), 0.0, 12.0) },
        delayed(plain("stale", Condition::NoData { channel: None, after_s: 30.0 }), 0.0, 3.0),
        AlarmDefinition { explained_by: vec![id("v")], ..plain("bad", Condition::BadQuality { channel: "V".into() }) },
        delayed(plain("anomaly", Condition::ModelAnomaly {}), 5.0, 0.0),
    ]
}

fn apply(alarms: &mut PumpAlarms, now_s: i64, event: &Event, output: &mut Vec<Output>) {
    let now = at_s(now_s);
    match event {
        Event::Reading(behind_s, v, t, runs) => {
            let state = if *runs { OperatingState::Running } else { OperatingState::Off };
            alarms.evaluate(&reading(now_s - behind_s, now_s, *v, *t), state, output);
        }
        Event::Tick => alarms.tick(now, output),
        Event::Anomaly(holds) => alarms.observe_external(External::ModelAnomaly, *holds, now, output),
        Event::Command(alarm, command) => {
            let command = match command {
                Command::Shelve { until, reason } => {
                    Command::Shelve { until: until.plus_ms(1_000 * now_s), reason: reason.clone() }
                }
                command => command.clone(),
            };
            // Some commands are refused.
            let _ = alarms.command(&definitions()[*alarm].id, command, "ada", now, output);
        }
        Event::Work(is_planned) => alarms.plan_work("w1", *is_planned, now, output),
    }
}

/// Restores from what is stored, as text.
fn restart(checkpoint: &str, rows: &[Output]) -> PumpAlarms {
    let rows: Vec<Transition> = rows
        .iter()
        .cloned()
        .filter_map(row_of)
        .map(|row| serde_json::to_string(&row).expect("JSON"))
        .map(|row| serde_json::from_str(&row).expect("a row"))
        .collect();
    let standing = Standing::replay(&rows);
    assert_eq!(standing.missing(), 0);
    let checkpoint = serde_json::from_str(checkpoint).expect("a checkpoint");
    PumpAlarms::restore(Some(pump()), armed(&definitions()), Some(checkpoint), &standing)
}

fn checkpoint(alarms: &PumpAlarms) -> String {
    serde_json::to_string(&alarms.evaluator().checkpoint()).expect("JSON")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A pump's alarms that are restarted again and again produce what those do that run through.
    #[test]
    fn restarts_change_nothing(events in prop::collection::vec((event(), prop::bool::weighted(0.2)), 1..100)) {
        let mut through = PumpAlarms::new(Some(pump()), armed(&definitions()));
        let mut restarted = PumpAlarms::new(Some(pump()), armed(&definitions()));
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let mut now_s = 0;
        let mut readings = 0;
        for ((step_s, event), restarts) in events {
            now_s += step_s;
            if restarts {
                // The time at which it is restarted does not count as passed for the pump, so both get a tick before.
                through.tick(at_s(now_s), &mut expected);
                restarted.tick(at_s(now_s), &mut found);
                restarted = restart(&checkpoint(&restarted), &found);
                restarted.finish_replay(at_s(now_s), &mut found);
                restarted.tick(at_s(now_s), &mut found);
            }
            apply(&mut through, now_s, &event, &mut expected);
            apply(&mut restarted, now_s, &event, &mut found);
            readings += u64::from(matches!(event, Event::Reading(..)));
            prop_assert_eq!(&found, &expected);
        }
        prop_assert_eq!(through.evaluator().counts().evaluated, readings, "every reading is evaluated");
    }

    /// After a kill the readings since the checkpoint are evaluated again. No row is lost or changed by it, and no
    /// occurrence is announced twice.
    #[test]
    fn readings_that_are_evaluated_again_decide_nothing_new(
        events in prop::collection::vec(event(), 1..60),
        again_from in 0..60_usize,
    ) {
        let readings: Vec<(i64, Event)> = {
            let mut now_s = 0;
            let timed = events.into_iter().map(|(step_s, event)| {
                now_s += step_s.max(0);
                (now_s, event)
            });
            timed.filter(|(_, event)| matches!(event, Event::Reading(..))).collect()
        };
        let mut alarms = PumpAlarms::new(Some(pump()), armed(&definitions()));
        let again_from = again_from.min(readings.len());
        let (mut rows, mut stored) = (Vec::new(), checkpoint(&alarms));
        for (index, (now_s, event)) in readings.iter().enumerate() {
            if index == again_from {
                stored = checkpoint(&alarms);
            }
            apply(&mut alarms, *now_s, event, &mut rows);
        }
        let mut restarted = restart(&stored, &rows);
        let mut more = Vec::new();
        let from = if again_from == readings.len() { 0 } else { again_from };
        for (now_s, event) in &readings[from..] {
            apply(&mut restarted, *now_s, event, &mut more);
        }
        restarted.finish_replay(at_s(readings.last().map_or(0, |(now_s, _)| *now_s)), &mut more);
        for row in more.into_iter().filter_map(row_of) {
            prop_assert!(!row.announces, "{row:?}");
        }
        for (alarm, before) in restarted.alarms().zip(alarms.alarms()) {
            prop_assert_eq!(alarm.state(), before.state());
            prop_assert_eq!(alarm.status().occurrence(), before.status().occurrence());
            prop_assert_eq!(alarm.status().holds(), before.status().holds());
        }
        prop_assert_eq!(restarted.evaluator().counts(), alarms.evaluator().counts());
    }
}
