//! Tests of the projection.

use super::*;
use crate::{
    Alarm, Command, Comment, Evidence, Priority, Signal,
    testing::{at_s, id},
};

fn key(pump: &str, alarm: &str) -> AlarmKey {
    AlarmKey { pump: Some(pump.parse().expect("a pump")), alarm: id(alarm) }
}

/// Rows of an alarm that is raised, acknowledged, and shelved.
fn rows(pump: &str, alarm: &str) -> Vec<Transition> {
    let mut alarm = Alarm::new(key(pump, alarm), Priority::Low, false, Status::default());
    let reason: Comment = "later".try_into().expect("a comment");
    let mut rows = vec![alarm.observe(Signal::Raise(Evidence::at(at_s(0))), at_s(0)).expect("raised")];
    for command in [Command::Acknowledge { up_to: 1, comment: None }, Command::Shelve { until: at_s(60), reason }] {
        rows.push(alarm.command(command, "ada", at_s(1)).expect("done"));
    }
    rows
}

fn names<'a>(alarms: impl Iterator<Item = (&'a AlarmKey, &'a Status)>) -> Vec<String> {
    let name = |key: &AlarmKey| format!("{} {}", key.pump.as_ref().expect("a pump").as_str(), key.alarm);
    alarms.map(|(key, _)| name(key)).collect()
}

#[test]
fn lists_follow_from_the_rows() {
    let (shelved, raised) = (rows("P-2", "a"), rows("P-1", "b"));
    let mut standing = Standing::replay(shelved.iter().chain(&raised[..2]));
    assert_eq!(names(standing.in_view()), ["P-1 b"]);
    assert_eq!(names(standing.out_of_view()), ["P-2 a"]);
    assert_eq!(standing.status(&key("P-1", "b")).state(), State::Acknowledged);
    assert_eq!(standing.status(&key("P-1", "c")), Status::default());
    assert!(standing.apply(&raised[2]), "a new row");
    assert!(!standing.apply(&raised[2]), "known");
    assert_eq!(standing.missing(), 0);
    let of = |pump: &str| names(standing.of_pump(Some(&pump.parse().expect("a pump"))));
    assert_eq!((of("P-1"), of("P-2"), of("P-0")), (vec!["P-1 b".to_owned()], vec!["P-2 a".to_owned()], vec![]));
    standing.remove_pump(&"P-2".parse().expect("a pump"));
    assert_eq!(names(standing.all()), ["P-1 b"]);
}

#[test]
fn missing_row_is_counted_and_the_later_ones_count() {
    let rows = rows("P-1", "a");
    let standing = Standing::replay([&rows[0], &rows[2]]);
    assert_eq!((standing.missing(), standing.status(&key("P-1", "a")).state()), (1, State::Shelved));
}

#[test]
fn stored_status_stands_for_its_rows() {
    let rows = rows("P-1", "a");
    let whole = Standing::replay(&rows);
    let json = serde_json::to_string(&Standing::replay(&rows[..2]).status(&key("P-1", "a"))).expect("JSON");
    let mut standing = Standing::default();
    standing.insert(key("P-1", "a"), serde_json::from_str(&json).expect("JSON"));
    standing.apply(&rows[2]);
    assert_eq!(standing, whole);
}
