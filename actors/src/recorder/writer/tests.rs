//! What waits for the recorder: what goes into a record, and what comes back from one that failed.

use volute_data::{AuditEntry, PumpRecord};
use volute_plant::{Reading, Sample, Timestamp};

use super::*;

fn at(n: usize) -> Timestamp {
    Timestamp::from_millis(1_773_051_273_000 + 1000 * n as i64).expect("a time")
}

fn pump(name: &str) -> PumpId {
    name.parse().expect("a name")
}

fn state(name: &str, n: usize) -> PumpState {
    PumpState { pump: pump(name), at: at(n), document: format!("{name} {n}") }
}

fn verdict(n: usize) -> RecordDetection {
    let (contributions, model) = ([1.0].into(), "m".into());
    let detection =
        Detection { pump: pump("A"), at: at(n), loss: 0.5, threshold: 1.0, is_anomaly: false, contributions, model };
    RecordDetection { detection, received_at: at(n), since: Instant::now() }
}

#[test]
fn a_state_is_never_stored_before_a_detection_that_it_holds() {
    let mut results = Results::default();
    let all = 2 * MAX_BATCH_DETECTIONS + 1;
    for n in 0..all {
        results.add(verdict(n));
    }
    results.remember(state("A", all));
    let mut stored = 0;
    while !results.is_empty() {
        let (batch, found) = results.take();
        assert!(!found.is_empty(), "each takes some");
        assert_eq!(batch.detections.len(), found.len());
        stored += batch.detections.len();
        assert_eq!(batch.states.is_empty(), stored < all, "after {stored} of {all} detections");
    }
    assert_eq!(stored, all);
}

#[test]
fn of_each_pump_the_newest_state_is_kept_and_a_failed_record_brings_none_back_over_it() {
    let mut results = Results::default();
    for state in [state("A", 2), state("A", 1), state("B", 1)] {
        results.remember(state);
    }
    let (failed, found) = results.take();
    assert_eq!(failed.states, [state("A", 2), state("B", 1)]);
    results.remember(state("A", 3));
    results.put_back(failed, found);
    assert_eq!(results.take().0.states, [state("A", 3), state("B", 1)]);
    assert!(results.is_empty());
}

#[test]
fn a_failed_record_brings_back_what_people_did_before_what_they_did_since() {
    let entry = |n: usize| AuditEntry {
        at: at(n),
        who: "unknown".into(),
        action: "restart".into(),
        object: "gate".into(),
        outcome: "done".into(),
        detail: String::new(),
    };
    let mut results = Results::default();
    results.documents.push(Document::of(&entry(1)));
    assert!(!results.is_empty());
    let (failed, found) = results.take();
    assert!(!is_empty(&failed) && results.is_empty());
    results.documents.push(Document::of(&entry(2)));
    results.put_back(failed, found);
    assert_eq!(results.take().0.documents, [entry(1), entry(2)].map(|entry| Document::of(&entry)));
}

#[test]
fn who_waits_for_all_before_is_told_after_the_last_detection_and_holds_nobody_up() {
    let mut pending = Pending::default();
    let readings = |n: usize| {
        let (ack, stored) = oneshot::channel();
        let samples = [volute_plant::Sample::Good(1.0)].into();
        let reading = volute_plant::Reading { pump: pump("A"), at: at(n), received: at(n), samples, late: false };
        (RecordReadings { readings: vec![reading; n], register: None, ack, since: Instant::now() }, stored)
    };
    for n in 0..2 * MAX_BATCH_DETECTIONS + 1 {
        pending.results.add(verdict(n));
    }
    let ((before, _), (barrier, _), (after, _)) = (readings(1), readings(0), readings(2));
    pending.queue(before);
    pending.queue(barrier);
    pending.results.add(verdict(0));
    pending.queue(after);
    let mut taken = || {
        let Next { batch, told } = pending.take(1000);
        (batch.detections.len(), batch.readings.len(), told.acks.len())
    };
    assert_eq!(taken(), (MAX_BATCH_DETECTIONS, 1, 1), "the readings before it");
    assert_eq!(taken(), (MAX_BATCH_DETECTIONS, 0, 0));
    assert_eq!(taken(), (2, 2, 2), "with the last detection before it, and what came after it");
}

#[test]
fn a_record_that_failed_is_waited_for_again() {
    let mut pending = Pending::default();
    pending.results.add(verdict(1));
    let (ack, _stored) = oneshot::channel();
    let Next { batch, told } = pending.take(1000);
    pending.queue(RecordReadings { readings: Vec::new(), register: None, ack, since: Instant::now() });
    pending.results.put_back(batch, told.found);
    for n in 0..MAX_BATCH_DETECTIONS {
        pending.results.add(verdict(n));
    }
    let Next { batch, told } = pending.take(1000);
    assert_eq!((batch.detections.len(), told.acks.len()), (MAX_BATCH_DETECTIONS, 1), "its detection is the first");
}

#[test]
fn states_come_some_at_a_time() {
    let mut results = Results::default();
    for n in 0..MAX_BATCH_STATES + 1 {
        results.remember(state(&format!("P-{n}"), 1));
    }
    let mut taken = || results.take().0.states.len();
    assert_eq!((taken(), taken(), taken()), (MAX_BATCH_STATES, 1, 0));
}

fn readings(name: &str, register: bool) -> RecordReadings {
    let record =
        PumpRecord { id: pump(name), profile: "small".into(), channels: vec!["Tb".into()], registered_at: at(0) };
    let samples = [Sample::Good(1.0)].into();
    let reading = Reading { pump: pump(name), at: at(1), received: at(1), samples, late: false };
    let (ack, _) = oneshot::channel();
    RecordReadings { readings: vec![reading], register: register.then_some(record), ack, since: Instant::now() }
}

#[test]
fn a_pump_is_registered_in_the_record_of_its_first_readings_once_and_not_again_after_a_failure() {
    let mut pending = Pending::default();
    for (name, register) in [("A", true), ("B", false), ("A", true)] {
        pending.queue(readings(name, register));
    }
    let next = pending.take(10);
    let registered: Vec<&str> = next.batch.pumps.iter().map(|record| record.id.as_str()).collect();
    assert_eq!((registered, next.batch.readings.len()), (vec!["A"], 3));
    pending.results.put_back(next.batch, next.told.found);
    assert!(pending.results.is_empty(), "who posted is told, and may not come again");
}

#[test]
fn a_removal_is_a_record_of_its_own_and_nothing_of_its_pump_waits_after_it() {
    let mut pending = Pending::default();
    let (ack, _) = oneshot::channel();
    pending.results.add(verdict(1));
    pending.results.remember(state("A", 1));
    pending.results.remember(state("B", 1));
    pending.queue(readings("A", false));
    pending.queue(readings("B", false));
    pending.removals.push_back(RecordRemoval { pump: pump("A"), ack });
    let removal = pending.take(10);
    assert_eq!(removal.batch, Batch { removals: vec![pump("A")], ..Batch::default() });
    assert_eq!(removal.told.removed, Some(pump("A")));
    pending.forget(&pump("A"));
    let rest = pending.take(10).batch;
    assert_eq!((rest.detections.len(), rest.states, rest.readings.len()), (0, vec![state("B", 1)], 1));
    assert_eq!((pending.rows, pending.is_waited_for()), (0, false));
}
