//! Tables of what a pump's commissioning does next.

use volute_data::StoreError;
use volute_plant::Window;

use super::*;
use crate::{
    commissioning::collection::BaselineCollection,
    testing::{at, profile},
};

fn record() -> CommissioningRecord {
    CommissioningRecord { why: "new".into(), asked: false, from: None, to: None, running_ms: 0 }
}

/// A pump that needs so many seconds of running, and nothing of it is stored.
fn learning(needed_s: i64) -> PumpMode {
    PumpMode::Learning(BaselineCollection::new(needed_s * 1000, record()))
}

/// A second of running for each of these.
fn run(mode: &mut PumpMode, seconds: std::ops::Range<i64>) {
    let PumpMode::Learning(collection) = mode else { panic!("it learns") };
    for s in seconds {
        let (pump, values) = ("P-1".parse().expect("a name"), vec![50.0; 30].into());
        collection.take(&profile(), &Window { pump, at: at(s), values, held: Default::default() });
    }
}

fn persisted(commission: &mut Commission, mode: &mut PumpMode, is_stored: bool) -> Next {
    let Next::Persist(record) = commission.due(mode) else { panic!("it is due") };
    commission.persisted(mode, record, is_stored)
}

fn after(next: &Next) -> u64 {
    let Next::LookAgain { after, .. } = next else { panic!("{next:?}") };
    after.as_secs()
}

#[test]
fn with_enough_that_is_stored_a_baseline_is_requested_once() {
    let (mut commission, mut mode) = (Commission::new(1), learning(90));
    run(&mut mode, 0..59);
    assert_eq!((commission.due(&mode), commission.look(&mode)), (Next::Rest, Next::Rest), "not a minute yet");
    run(&mut mode, 59..60);
    assert_eq!(persisted(&mut commission, &mut mode, true), Next::Rest, "a minute, and not enough");
    run(&mut mode, 60..90);
    let Next::Request { from, to, why } = persisted(&mut commission, &mut mode, true) else { panic!("enough") };
    assert_eq!((from, to, why.as_str()), (at(-29), at(89).plus_ms(1), "new"));
    commission.requested();
    assert_eq!(commission.look(&mode), Next::Rest, "it is under way");
}

#[test]
fn what_comes_in_while_it_is_persisted_is_persisted_next() {
    let (mut commission, mut mode) = (Commission::new(1), learning(1000));
    run(&mut mode, 0..60);
    let Next::Persist(first) = commission.due(&mode) else { panic!("it is due") };
    run(&mut mode, 60..130);
    assert_eq!(commission.due(&mode), Next::Rest, "one at a time");
    let Next::Persist(second) = commission.persisted(&mut mode, first, true) else { panic!("it is due again") };
    assert_eq!(second.running_ms, 130_000);
    assert_eq!(commission.persisted(&mut mode, second, true), Next::Rest);
}

#[test]
fn what_fails_is_tried_again_after_pauses_that_grow() {
    let (mut commission, mut mode) = (Commission::new(1), learning(60));
    run(&mut mode, 0..60);
    let pauses: Vec<u64> = (0..3).map(|_| after(&persisted(&mut commission, &mut mode, false))).collect();
    assert_eq!(pauses, [5, 10, 20]);
    assert!(matches!(persisted(&mut commission, &mut mode, true), Next::Request { .. }));
    assert_eq!(after(&commission.deferred()), 40, "there was no room");
    assert!(matches!(commission.look(&mode), Next::Request { .. }), "it was not sent");
    commission.requested();
    let error = LearnError::Store(StoreError::DiskFull);
    assert_eq!(after(&commission.failed(&mut mode, &error)), 80);
    assert!(matches!(commission.look(&mode), Next::Request { .. }), "once more");
}

#[test]
fn with_too_few_windows_it_begins_anew() {
    let (mut commission, mut mode) = (Commission::new(1), learning(60));
    run(&mut mode, 0..60);
    assert!(matches!(persisted(&mut commission, &mut mode, true), Next::Request { .. }));
    commission.requested();
    let error = LearnError::Learning(CommissioningError::TooFew { found: 3 });
    let Next::Persist(empty) = commission.failed(&mut mode, &error) else { panic!("that is stored") };
    assert_eq!((empty.running_ms, empty.to), (0, None));
    assert_eq!(commission.persisted(&mut mode, empty, true), Next::Rest);
    run(&mut mode, 100..160);
    assert!(matches!(persisted(&mut commission, &mut mode, true), Next::Request { .. }), "and may request again");
}

#[test]
fn in_another_mode_nothing_of_before_counts() {
    let (mut commission, mut mode) = (Commission::new(7), learning(60));
    run(&mut mode, 0..60);
    persisted(&mut commission, &mut mode, false);
    commission.requested();
    assert_eq!(commission.number(), 7);
    commission.mode_changed();
    assert_eq!(commission.number(), 8);
    assert!(matches!(persisted(&mut commission, &mut mode, true), Next::Request { .. }), "a request of its own");
    assert_eq!(after(&commission.deferred()), 5, "and pauses of its own");
    for mut other in [PumpMode::NoModel, PumpMode::Unread] {
        assert_eq!((commission.due(&other), commission.look(&other)), (Next::Rest, Next::Rest));
        assert_eq!(commission.persisted(&mut other, record(), true), Next::Rest);
        assert_eq!(commission.failed(&mut other, &LearnError::BrokenOff), Next::Rest);
    }
}
