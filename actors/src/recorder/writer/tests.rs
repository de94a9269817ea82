//! Tests of the waiting rows: which rows go into a record, and which stay after a failed record.

use volute_data::{AuditEntry, PumpRecord};
use volute_plant::{Reading, Sample, Timestamp};

use super::*;

fn at(n: usize) -> Timestamp {
    Timestamp::from_millis(1_773_051_273_000 + 1000 * n as i64).expect("a time")
}

fn pump(name: &str) -> PumpId {
    name.parse().expect("a name")
}

fn checkpoint(name: &str, n: usize) -> PumpCheckpoint {
    PumpCheckpoint { pump: pump(name), at: at(n), document: format!("{name} {n}") }
}

fn detection(n: usize) -> RecordDetection {
    let (contributions, model) = ([1.0].into(), "m".into());
    let detection =
        Detection { pump: pump("A"), at: at(n), loss: 0.5, threshold: 1.0, is_anomaly: false, contributions, model };
    RecordDetection { detection, received_at: at(n), sent_at: Instant::now() }
}

#[test]
fn a_checkpoint_is_never_stored_before_a_detection_that_it_covers() {
    let mut results = Results::default();
    let all = 2 * MAX_BATCH_DETECTIONS + 1;
    for n in 0..all {
        results.add_detection(detection(n));
    }
    results.add_checkpoint(checkpoint("A", all));
    let mut stored = 0;
    while !results.is_empty() {
        let (batch, times) = results.take();
        assert!(!times.is_empty(), "each record has some");
        assert_eq!(batch.detections.len(), times.len());
        stored += batch.detections.len();
        assert_eq!(batch.checkpoints.is_empty(), stored < all, "after {stored} of {all} detections");
    }
    assert_eq!(stored, all);
}

#[test]
fn the_newest_checkpoint_of_each_pump_is_kept_also_after_a_failed_record() {
    let mut results = Results::default();
    for checkpoint in [checkpoint("A", 2), checkpoint("A", 1), checkpoint("B", 1)] {
        results.add_checkpoint(checkpoint);
    }
    let (failed, times) = results.take();
    assert_eq!(failed.checkpoints, [checkpoint("A", 2), checkpoint("B", 1)]);
    results.add_checkpoint(checkpoint("A", 3));
    results.put_back(failed, times);
    assert_eq!(results.take().0.checkpoints, [checkpoint("A", 3), checkpoint("B", 1)]);
    assert!(results.is_empty());
}

#[test]
fn audit_entries_of_a_failed_record_stay_before_later_ones() {
    let entry = |n: usize| AuditEntry::new(at(n), "unknown", "restart", "gate");
    let mut results = Results::default();
    results.documents.push(Document::of(&entry(1)));
    assert!(!results.is_empty());
    let (failed, times) = results.take();
    assert!(!is_empty(&failed) && results.is_empty());
    results.documents.push(Document::of(&entry(2)));
    results.put_back(failed, times);
    assert_eq!(results.take().0.documents, [entry(1), entry(2)].map(|entry| Document::of(&entry)));
}

#[test]
fn rows_that_the_store_refuses_as_invalid_are_dropped_and_the_others_stay_with_their_times() {
    let mut results = Results::default();
    for n in 0..3 {
        results.add_detection(detection(n));
        results.add_checkpoint(checkpoint(&format!("P-{n}"), n));
        results.documents.push(Document::of(&AuditEntry::new(at(n), "unknown", "restart", "gate")));
    }
    let (mut batch, mut times) = results.take();
    let all = batch.clone();
    let first_received = times[0].received_at;
    // The row of time 1 of each kind is invalid.
    let is_valid = |row: &Batch| {
        assert_eq!(row.detections.len() + row.documents.len() + row.checkpoints.len(), 1, "each row is checked alone");
        row.detections.iter().all(|row| row.at != at(1))
            && row.documents.iter().all(|row| *row != all.documents[1])
            && row.checkpoints.iter().all(|row| row.at != at(1))
    };
    assert_eq!(drop_invalid_rows(&mut batch, &mut times, is_valid), 3);
    assert_eq!(batch.detections, [all.detections[0].clone(), all.detections[2].clone()]);
    assert_eq!(batch.documents, [all.documents[0].clone(), all.documents[2].clone()]);
    assert_eq!(batch.checkpoints, [all.checkpoints[0].clone(), all.checkpoints[2].clone()]);
    assert_eq!([times[0].received_at, times[1].received_at], [first_received, at(2)]);
}

#[test]
fn an_empty_message_is_acknowledged_after_all_detections_before_it_and_delays_no_others() {
    let mut pending = Pending::default();
    let readings = |n: usize| {
        let (ack, stored) = oneshot::channel();
        let samples = [volute_plant::Sample::Good(1.0)].into();
        let reading = volute_plant::Reading { pump: pump("A"), at: at(n), received: at(n), samples, late: false };
        (RecordReadings { readings: vec![reading; n], register: None, ack, sent_at: Instant::now() }, stored)
    };
    for n in 0..2 * MAX_BATCH_DETECTIONS + 1 {
        pending.results.add_detection(detection(n));
    }
    let ((before, _), (barrier, _), (after, _)) = (readings(1), readings(0), readings(2));
    pending.queue(before);
    pending.queue(barrier);
    pending.results.add_detection(detection(0));
    pending.queue(after);
    let mut taken = || {
        let NextRecord { batch, waiters } = pending.next_record(1000);
        (batch.detections.len(), batch.readings.len(), waiters.acks.len())
    };
    assert_eq!(taken(), (MAX_BATCH_DETECTIONS, 1, 1), "the readings before it");
    assert_eq!(taken(), (MAX_BATCH_DETECTIONS, 0, 0));
    assert_eq!(taken(), (2, 2, 2), "with the last detection before it, and the readings after it");
}

#[test]
fn an_empty_message_waits_for_detections_of_a_failed_record() {
    let mut pending = Pending::default();
    pending.results.add_detection(detection(1));
    let (ack, _stored) = oneshot::channel();
    let NextRecord { batch, waiters } = pending.next_record(1000);
    pending.queue(RecordReadings { readings: Vec::new(), register: None, ack, sent_at: Instant::now() });
    pending.results.put_back(batch, waiters.detections);
    for n in 0..MAX_BATCH_DETECTIONS {
        pending.results.add_detection(detection(n));
    }
    let NextRecord { batch, waiters } = pending.next_record(1000);
    assert_eq!((batch.detections.len(), waiters.acks.len()), (MAX_BATCH_DETECTIONS, 1), "its detection is the first");
}

#[test]
fn checkpoints_are_spread_over_several_records() {
    let mut results = Results::default();
    for n in 0..MAX_BATCH_CHECKPOINTS + 1 {
        results.add_checkpoint(checkpoint(&format!("P-{n}"), 1));
    }
    let mut taken = || results.take().0.checkpoints.len();
    assert_eq!((taken(), taken(), taken()), (MAX_BATCH_CHECKPOINTS, 1, 0));
}

fn readings(name: &str, register: bool) -> RecordReadings {
    let record =
        PumpRecord { id: pump(name), profile: "small".into(), channels: vec!["Tb".into()], registered_at: at(0) };
    let samples = [Sample::Good(1.0)].into();
    let reading = Reading { pump: pump(name), at: at(1), received: at(1), samples, late: false };
    let (ack, _) = oneshot::channel();
    RecordReadings { readings: vec![reading], register: register.then_some(record), ack, sent_at: Instant::now() }
}

#[test]
fn a_registration_is_in_the_record_of_the_first_readings_once_and_not_put_back_after_a_failure() {
    let mut pending = Pending::default();
    for (name, register) in [("A", true), ("B", false), ("A", true)] {
        pending.queue(readings(name, register));
    }
    let next = pending.next_record(10);
    let registered: Vec<&str> = next.batch.pumps.iter().map(|record| record.id.as_str()).collect();
    assert_eq!((registered, next.batch.readings.len()), (vec!["A"], 3));
    pending.results.put_back(next.batch, next.waiters.detections);
    assert!(pending.results.is_empty(), "the client was notified, and may not post again");
}

#[test]
fn a_removal_is_a_record_of_its_own_and_drops_its_pumps_waiting_rows() {
    let mut pending = Pending::default();
    let (ack, _) = oneshot::channel();
    pending.results.add_detection(detection(1));
    pending.results.add_checkpoint(checkpoint("A", 1));
    pending.results.add_checkpoint(checkpoint("B", 1));
    pending.queue(readings("A", false));
    pending.queue(readings("B", false));
    pending.removals.push_back(RecordRemoval { pump: pump("A"), ack });
    let removal = pending.next_record(10);
    assert_eq!(removal.batch, Batch { removals: vec![pump("A")], ..Batch::default() });
    assert_eq!(removal.waiters.removed, Some(pump("A")));
    pending.remove_pump(&pump("A"));
    let remaining = pending.next_record(10).batch;
    assert_eq!(
        (remaining.detections.len(), remaining.checkpoints, remaining.readings.len()),
        (0, vec![checkpoint("B", 1)], 1)
    );
    assert_eq!((pending.rows, pending.has_unacknowledged()), (0, false));
}
