//! Tests of what a pump's commissioning does next.

use volute_data::StoreError;
use volute_plant::{StepRow, StepState, Window};

use super::*;
use crate::{
    commissioning::collection::{BaselineCollection, CollectionGoal, Counted},
    testing::{at, profile},
};

fn record() -> CommissioningRecord {
    CommissioningRecord { reason: "new".into(), requested: false, from: None, to: None, running_ms: 0 }
}

/// A pump that needs `needed_s` seconds of running, of which nothing is stored.
fn learning(needed_s: i64) -> PumpMode {
    PumpMode::Learning(BaselineCollection::new(
        CollectionGoal { needed_ms: needed_s * 1000, counted: Counted::Windows },
        record(),
    ))
}

/// Adds one second of normal running for each of `seconds`.
fn run(mode: &mut PumpMode, seconds: std::ops::Range<i64>) {
    let PumpMode::Learning(collection) = mode else { panic!("not learning") };
    for s in seconds {
        let (pump, values) = ("P-1".parse().expect("a name"), vec![50.0; 30].into());
        let row = StepRow { values: [50.0].into(), held: Default::default(), state: StepState::Running };
        collection.take(&profile(), at(s), &row, Some(&Window { pump, at: at(s), values, held: Default::default() }));
    }
}

fn persisted(commission: &mut Commission, mode: &mut PumpMode, is_stored: bool) -> NextAction {
    let NextAction::Persist(record) = commission.due(mode) else { panic!("nothing is due") };
    commission.persisted(mode, record, is_stored)
}

/// Returns the reason that is shown for the last failure.
fn last_error(mode: &PumpMode) -> String {
    let PumpMode::Learning(collection) = mode else { panic!("not learning") };
    collection.progress().last_error.map(|error| error.to_string()).unwrap_or_default()
}

fn pause_s(next: &NextAction) -> u64 {
    let NextAction::Retry { after, .. } = next else { panic!("{next:?}") };
    after.as_secs()
}

#[test]
fn a_baseline_is_requested_once_when_enough_running_is_stored() {
    let (mut commission, mut mode) = (Commission::new(1), learning(90));
    run(&mut mode, 0..59);
    assert_eq!(
        (commission.due(&mode), commission.next_action(&mode)),
        (NextAction::Idle, NextAction::Idle),
        "less than a minute"
    );
    run(&mut mode, 59..60);
    assert_eq!(persisted(&mut commission, &mut mode, true), NextAction::Idle, "a minute, which is not enough");
    run(&mut mode, 60..90);
    let NextAction::Request { from, to, reason, refines: false } = persisted(&mut commission, &mut mode, true) else {
        panic!("no request")
    };
    assert_eq!((from, to, reason.as_str()), (at(-29), at(89).plus_ms(1), "new"));
    commission.requested();
    assert_eq!(commission.next_action(&mode), NextAction::Idle, "a request is in flight");
}

#[test]
fn running_counted_during_a_write_is_persisted_next() {
    let (mut commission, mut mode) = (Commission::new(1), learning(1000));
    run(&mut mode, 0..60);
    let NextAction::Persist(first) = commission.due(&mode) else { panic!("nothing is due") };
    run(&mut mode, 60..130);
    assert_eq!(commission.due(&mode), NextAction::Idle, "one write at a time");
    let NextAction::Persist(second) = commission.persisted(&mut mode, first, true) else { panic!("nothing is due") };
    assert_eq!(second.running_ms, 130_000);
    assert_eq!(commission.persisted(&mut mode, second, true), NextAction::Idle);
}

#[test]
fn failed_attempts_are_repeated_after_growing_pauses() {
    let (mut commission, mut mode) = (Commission::new(1), learning(60));
    run(&mut mode, 0..60);
    let pauses: Vec<u64> = (0..3).map(|_| pause_s(&persisted(&mut commission, &mut mode, false))).collect();
    assert_eq!(pauses, [5, 10, 20]);
    assert!(last_error(&mode).contains("could not be stored"), "{}", last_error(&mode));
    assert!(matches!(persisted(&mut commission, &mut mode, true), NextAction::Request { .. }));
    assert_eq!(pause_s(&commission.deferred()), 40, "the queue was full");
    assert!(matches!(commission.next_action(&mode), NextAction::Request { .. }), "the request was not sent");
    commission.requested();
    let error = LearnError::Store(StoreError::DiskFull);
    assert_eq!(pause_s(&commission.failed(&mut mode, &error)), 80);
    assert!(last_error(&mode).contains("see the log"), "{}", last_error(&mode));
    assert!(matches!(commission.next_action(&mode), NextAction::Request { .. }), "again");
}

#[test]
fn too_few_windows_start_the_collection_over() {
    let (mut commission, mut mode) = (Commission::new(1), learning(60));
    run(&mut mode, 0..60);
    assert!(matches!(persisted(&mut commission, &mut mode, true), NextAction::Request { .. }));
    commission.requested();
    let error = LearnError::Learning(CommissioningError::TooFew { found: 3 });
    let NextAction::Persist(empty) = commission.failed(&mut mode, &error) else { panic!("nothing is due") };
    assert_eq!((empty.running_ms, empty.to), (0, None));
    assert_eq!(last_error(&mode), error.to_string());
    assert_eq!(commission.persisted(&mut mode, empty, true), NextAction::Idle);
    run(&mut mode, 100..160);
    assert!(matches!(persisted(&mut commission, &mut mode, true), NextAction::Request { .. }), "and requests again");
}

#[test]
fn a_new_mode_has_its_own_requests_and_pauses() {
    let (mut commission, mut mode) = (Commission::new(7), learning(60));
    run(&mut mode, 0..60);
    persisted(&mut commission, &mut mode, false);
    commission.requested();
    assert_eq!(commission.mode_number(), 7);
    commission.mode_changed();
    assert_eq!(commission.mode_number(), 8);
    assert!(matches!(persisted(&mut commission, &mut mode, true), NextAction::Request { .. }), "its own request");
    assert_eq!(pause_s(&commission.deferred()), 5, "and its own pauses");
    for mut other in [PumpMode::NoModel, PumpMode::BaselineNotLoaded] {
        assert_eq!((commission.due(&other), commission.next_action(&other)), (NextAction::Idle, NextAction::Idle));
        assert_eq!(commission.persisted(&mut other, record(), true), NextAction::Idle);
        assert_eq!(commission.failed(&mut other, &LearnError::Aborted), NextAction::Idle);
    }
}

#[test]
fn a_collection_is_below_one_window_until_a_windows_running_is_counted() {
    let mut mode = learning(60);
    for (seconds, expected) in [(0..29, true), (29..30, false), (30..60, false)] {
        run(&mut mode, seconds.clone());
        let PumpMode::Learning(collection) = &mode else { panic!("not learning") };
        assert_eq!(collection.is_below_one_window(&profile()), expected, "{seconds:?}");
    }
}
