//! Tests of an alarm's lifecycle: the example and the table of the module, each error, and random sequences.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    Standing,
    testing::{at_s, id},
};

fn key(name: &str) -> AlarmKey {
    AlarmKey { pump: Some("P-7".parse().expect("a pump")), alarm: id(name) }
}

fn alarm(latching: bool) -> Alarm {
    Alarm::new(key("bearing-hot"), Priority::High, latching, Status::default())
}

fn text(text: &str) -> Comment {
    text.try_into().expect("a comment")
}

fn raise(s: i64) -> Signal {
    Signal::Raise(Evidence { value: Some(95.0), limit: Some(93.0), ..Evidence::at(at_s(s)) })
}

fn over(s: i64) -> Signal {
    Signal::Return(Evidence { value: Some(90.0), limit: Some(93.0), ..Evidence::at(at_s(s)) })
}

fn off() -> Suppression {
    Suppression::OperatingState
}

fn acknowledge(up_to: u32) -> Command {
    Command::Acknowledge { up_to, comment: None }
}

fn shelve(until_s: i64) -> Command {
    Command::Shelve { until: at_s(until_s), reason: text("later") }
}

fn remove() -> Command {
    Command::TakeOutOfService { reason: text("broken") }
}

#[test]
fn life_of_the_module() {
    let mut alarm = alarm(false);
    let mut rows = Vec::new();
    let clock = |hour: i64, minute: i64| 3_600 * (hour - 10) + 60 * minute;
    let mut signal = |alarm: &mut Alarm, (hour, minute): (i64, i64), signal: Signal| {
        let row = alarm.observe(signal, at_s(clock(hour, minute))).expect("a row");
        let found = (row.to, row.occurrence);
        rows.push(row);
        found
    };
    assert_eq!(signal(&mut alarm, (10, 1), raise(0)), (State::Unacknowledged, 1));
    let command = Command::Acknowledge { up_to: 1, comment: Some(text("oil is low, will top up")) };
    let acknowledged = alarm.command(command, "ada", at_s(clock(10, 3))).expect("done");
    let expected = Transition {
        seq: 2,
        pump: key("bearing-hot").pump,
        alarm: id("bearing-hot"),
        occurrence: 1,
        announces: false,
        priority: Priority::High,
        from: State::Unacknowledged,
        to: State::Acknowledged,
        at: at_s(180),
        cause: Cause::Acknowledged { up_to: 1 },
        by: Some("ada".into()),
        comment: Some(text("oil is low, will top up")),
    };
    assert_eq!(acknowledged, expected);
    assert_eq!(signal(&mut alarm, (10, 20), over(1_200)), (State::Normal, 1));
    assert_eq!(signal(&mut alarm, (11, 0), raise(3_600)), (State::Unacknowledged, 2));
    assert_eq!(signal(&mut alarm, (11, 10), over(4_200)), (State::ReturnedUnacknowledged, 2));
    assert_eq!(signal(&mut alarm, (11, 30), raise(5_400)), (State::Unacknowledged, 3));
    let command = |alarm: &mut Alarm, (hour, minute): (i64, i64), command: Command| {
        alarm.command(command, "ben", at_s(clock(hour, minute))).expect("done").to
    };
    assert_eq!(command(&mut alarm, (11, 31), acknowledge(2)), State::Unacknowledged);
    assert_eq!(command(&mut alarm, (11, 32), acknowledge(3)), State::Acknowledged);
    assert_eq!(command(&mut alarm, (11, 40), shelve(clock(13, 40))), State::Shelved);
    assert_eq!(alarm.observe(Signal::Tick, at_s(clock(13, 40) - 1)), None);
    assert_eq!(signal(&mut alarm, (13, 40), Signal::Tick), (State::Unacknowledged, 4));
    assert_eq!(command(&mut alarm, (13, 41), acknowledge(4)), State::Acknowledged);
    assert_eq!(signal(&mut alarm, (13, 41), Signal::Suppress(off())), (State::Suppressed, 4));
    assert_eq!(signal(&mut alarm, (13, 41), over(0)), (State::Suppressed, 4));
    assert_eq!(signal(&mut alarm, (15, 0), Signal::Unsuppress(off())), (State::Normal, 4));
    let announced: Vec<u64> = rows.iter().filter(|row| row.announces).map(|row| row.seq).collect();
    assert_eq!(announced, [1, 4, 6, 10]);
    let evidence = Evidence { since: at_s(0), value: Some(95.0), limit: Some(93.0), evaluation: None };
    assert_eq!(rows[0].cause, Cause::Raised { evidence });
}

/// An alarm in the state that a line of the table is about.
fn alarm_in(state: &str, latching: bool) -> Alarm {
    let latching = latching || state.starts_with('L');
    let mut alarm = alarm(latching);
    let now = at_s(0);
    let is_raised = matches!(state, "U" | "A" | "R" | "LU" | "LA");
    if is_raised {
        alarm.observe(raise(0), now).expect("raised");
    }
    if matches!(state, "A" | "LA") {
        alarm.command(acknowledge(1), "ada", now).expect("acknowledged");
    }
    match state {
        "R" => {
            // A latching alarm has no such state; its line is for the others.
            alarm.redefine(Priority::High, false);
            alarm.observe(over(0), now).expect("returned");
            alarm.redefine(Priority::High, latching);
        }
        "LU" | "LA" => drop(alarm.observe(over(0), now).expect("returned")),
        "S" => drop(alarm.command(shelve(60), "ada", now).expect("shelved")),
        "D" => drop(alarm.observe(Signal::Suppress(off()), now).expect("suppressed")),
        "O" => drop(alarm.command(remove(), "ada", now).expect("removed")),
        _ => {}
    }
    assert_eq!(letters(alarm.state()), state);
    alarm
}

fn letters(state: State) -> &'static str {
    match state {
        State::Normal => "N",
        State::Unacknowledged => "U",
        State::Acknowledged => "A",
        State::ReturnedUnacknowledged => "R",
        State::LatchedUnacknowledged => "LU",
        State::LatchedAcknowledged => "LA",
        State::Shelved => "S",
        State::Suppressed => "D",
        State::OutOfService => "O",
    }
}

/// Does what a column of the table is about. Returns the cell.
fn cell(alarm: &mut Alarm, column: &str) -> &'static str {
    let now = at_s(60);
    let up_to = alarm.status().occurrence();
    let signal = match column {
        "raise" => Some(raise(60)),
        "return" => Some(over(60)),
        "time" => Some(Signal::Tick),
        "suppress" => Some(Signal::Suppress(off())),
        "unsuppress" => Some(Signal::Unsuppress(off())),
        _ => None,
    };
    let command = match column {
        "acknowledge" => acknowledge(up_to),
        "shelve" => shelve(120),
        "unshelve" => Command::Unshelve { comment: None },
        "remove" => remove(),
        "restore" => Command::ReturnToService { comment: None },
        _ => Command::Reset { comment: None },
    };
    let before = alarm.clone();
    let row = match signal {
        Some(signal) => Ok(alarm.observe(signal, now)),
        None => alarm.command(command, "ada", now).map(Some),
    };
    let Ok(row) = row else {
        assert_eq!(*alarm, before, "a refused command changes nothing");
        return "x";
    };
    let Some(row) = row else {
        assert_eq!(*alarm, before, "without a row nothing changes");
        return ".";
    };
    assert_eq!((row.from, row.to, row.seq), (before.state(), alarm.state(), before.status().seq() + 1));
    letters(row.to)
}

#[test]
fn table_of_the_module_is_what_happens() {
    let lines: Vec<Vec<&str>> = include_str!("../alarm.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    let (columns, rows) = (&lines[0][1..], &lines[2..]);
    assert_eq!((columns.len(), rows.len()), (11, State::ALL.len()));
    for row in rows {
        let state = row[0].split(' ').next().expect("a state");
        for (column, expected) in columns.iter().zip(&row[1..]) {
            let (plain, latching) = match expected.split_once(" (") {
                Some((plain, latching)) => (plain, latching.trim_end_matches(')')),
                None => (*expected, *expected),
            };
            for (is_latching, expected) in [(false, plain), (true, latching)] {
                let found = cell(&mut alarm_in(state, is_latching), column);
                assert_eq!(found, expected, "{state}, {column}, latching: {is_latching}");
            }
        }
    }
}

#[test]
fn refused_commands_say_what_is_allowed() {
    let now = at_s(60);
    let error =
        |alarm: &Alarm, command: Command| alarm.clone().command(command, "ada", now).expect_err("refused").to_string();
    let normal = alarm(false);
    assert_eq!(
        error(&normal, acknowledge(1)),
        "acknowledge is not possible while the alarm is normal; allowed: shelve, take_out_of_service"
    );
    let latched = alarm_in("LU", true);
    assert_eq!(
        error(&latched, Command::Reset { comment: None }),
        "reset is not possible while the alarm is latched_unacknowledged; allowed: acknowledge, shelve, \
         take_out_of_service"
    );
    let raised = alarm_in("U", false);
    assert_eq!(
        error(&raised, acknowledge(2)),
        "occurrence = \"2\"; allowed: 1 to 1, the occurrences that nobody has acknowledged"
    );
    assert_eq!(
        error(&alarm_in("S", false), acknowledge(0)),
        "occurrence = \"0\"; allowed: none: every occurrence is acknowledged"
    );
    let allowed = "after 2026-03-09T10:01:00.000Z, by at most 7 days; for longer, take the alarm out of service";
    for (until_s, is_allowed) in [(60, false), (61, true), (60 + 7 * 86_400, true), (61 + 7 * 86_400, false)] {
        let result = raised.clone().command(shelve(until_s), "ada", now);
        let refused = CommandError::Value(InvalidValue::new("until", at_s(until_s), allowed));
        assert_eq!(result.err(), (!is_allowed).then_some(refused), "{until_s}");
    }
}

#[test]
fn what_nobody_acknowledged_stays_in_view_while_suppressed() {
    let mut alarm = alarm_in("U", false);
    let signal = |alarm: &mut Alarm, signal| letters(alarm.observe(signal, at_s(60)).expect("a row").to);
    assert_eq!(signal(&mut alarm, Signal::Suppress(off())), "U");
    assert_eq!(signal(&mut alarm, over(60)), "R");
    assert_eq!(signal(&mut alarm, raise(60)), "R", "a new one is not announced");
    assert_eq!(alarm.status().occurrence(), 1);
    assert_eq!(letters(alarm.command(acknowledge(1), "ada", at_s(60)).expect("done").to), "D");
    let row = alarm.observe(Signal::Unsuppress(off()), at_s(60)).expect("a row");
    assert_eq!((letters(row.to), row.occurrence, row.announces), ("U", 2, true));
}

#[test]
fn occurrence_that_lasts_over_a_suppression_stays_acknowledged() {
    let mut alarm = alarm_in("A", false);
    let explained = Suppression::ExplainedBy { alarm: id("pump-stale") };
    assert_eq!(letters(alarm.observe(Signal::Suppress(off()), at_s(60)).expect("a row").to), "D");
    assert_eq!(letters(alarm.observe(Signal::Suppress(explained.clone()), at_s(60)).expect("a row").to), "D");
    assert_eq!(
        letters(alarm.observe(Signal::Unsuppress(off()), at_s(60)).expect("a row").to),
        "D",
        "one reason is left"
    );
    let row = alarm.observe(Signal::Unsuppress(explained), at_s(60)).expect("a row");
    assert_eq!((letters(row.to), row.occurrence, row.announces), ("A", 1, false));
}

#[test]
fn standing_condition_is_announced_again_after_shelving_and_service() {
    for (hide, show) in
        [(shelve(120), Command::Unshelve { comment: None }), (remove(), Command::ReturnToService { comment: None })]
    {
        let mut acknowledged = alarm_in("A", false);
        acknowledged.command(hide.clone(), "ada", at_s(60)).expect("hidden");
        let row = acknowledged.command(show.clone(), "ada", at_s(60)).expect("shown");
        assert_eq!((letters(row.to), row.occurrence, row.announces), ("U", 2, true));
        let mut unacknowledged = alarm_in("U", false);
        unacknowledged.command(hide, "ada", at_s(60)).expect("hidden");
        let row = unacknowledged.command(show, "ada", at_s(60)).expect("shown");
        assert_eq!((letters(row.to), row.occurrence, row.announces), ("U", 2, true), "people are told again");
    }
}

#[test]
fn strongest_of_three_hides_the_others() {
    let mut alarm = alarm_in("D", false);
    let now = at_s(60);
    let mut states = vec![letters(alarm.command(shelve(120), "ada", now).expect("shelved").to)];
    states.push(letters(alarm.command(remove(), "ada", now).expect("removed").to));
    states.push(letters(alarm.observe(raise(60), now).expect("a row").to));
    states.push(letters(alarm.command(Command::ReturnToService { comment: None }, "ada", now).expect("back").to));
    states.push(letters(alarm.observe(Signal::Tick, at_s(120)).expect("ended").to));
    states.push(letters(alarm.observe(Signal::Unsuppress(off()), now).expect("a row").to));
    assert_eq!(states, ["S", "O", "O", "S", "D", "U"]);
    assert_eq!(alarm.status().occurrence(), 1, "announced once, in the end");
}

#[test]
fn latch_survives_what_happens_out_of_view() {
    let mut alarm = alarm_in("LA", true);
    let now = at_s(60);
    alarm.observe(Signal::Suppress(off()), now).expect("suppressed");
    alarm.observe(raise(60), now).expect("hidden");
    alarm.observe(over(60), now).expect("over");
    assert_eq!(letters(alarm.observe(Signal::Unsuppress(off()), now).expect("a row").to), "LA");
    assert_eq!(letters(alarm.command(Command::Reset { comment: None }, "ada", now).expect("reset").to), "N");
    alarm.observe(Signal::Suppress(off()), now).expect("suppressed");
    alarm.observe(raise(60), now).expect("hidden");
    alarm.observe(over(60), now).expect("over");
    assert_eq!(letters(alarm.observe(Signal::Unsuppress(off()), now).expect("a row").to), "N", "nobody was told");
}

#[test]
fn shelving_ends_also_if_the_clock_is_set_back() {
    for (now_s, ends) in [(60, true), (59, false), (0, false), (-60, false), (-61, true)] {
        let mut alarm = alarm_in("S", false);
        assert_eq!(alarm.observe(Signal::Tick, at_s(now_s)).is_some(), ends, "{now_s} s");
    }
    let mut alarm = alarm_in("S", false);
    alarm.command(shelve(120), "ben", at_s(50)).expect("longer");
    assert_eq!(alarm.observe(Signal::Tick, at_s(119)), None);
    let shelving = alarm.status().shelving().expect("shelved");
    assert_eq!((shelving.until, shelving.by.as_deref()), (at_s(120), Some("ben")));
}

#[test]
fn reading_decides_once() {
    let by = |evaluation, s| Evidence { evaluation: Some(evaluation), ..Evidence::at(at_s(s)) };
    let mut alarm = alarm(false);
    alarm.observe(Signal::Raise(by(5, 0)), at_s(0)).expect("raised");
    alarm.observe(Signal::Return(by(8, 3)), at_s(3)).expect("returned");
    for (evaluation, decides) in [(5, false), (8, false), (9, true)] {
        assert_eq!(alarm.clone().observe(Signal::Raise(by(evaluation, 0)), at_s(9)).is_some(), decides, "{evaluation}");
    }
    assert!(alarm.observe(raise(0), at_s(9)).is_some(), "time decides without a number");
    assert_eq!(alarm.clone().observe(Signal::Return(by(8, 3)), at_s(9)), None);
}

#[test]
fn rows_have_a_flat_form() {
    let mut alarm = alarm_in("N", false);
    let row = alarm.observe(raise(1), at_s(2)).expect("a row");
    let json = serde_json::to_value(&row).expect("JSON");
    let expected = serde_json::json!({
        "seq": 1, "pump": "P-7", "alarm": "bearing-hot", "occurrence": 1, "announces": true, "priority": "high",
        "from": "normal", "to": "unacknowledged", "at": "2026-03-09T10:00:02.000Z", "cause": "raised",
        "evidence": { "since": "2026-03-09T10:00:01.000Z", "value": 95.0, "limit": 93.0 },
    });
    assert_eq!(json, expected);
    let command: Command = serde_json::from_str(r#"{"command":"acknowledge","up_to":3}"#).expect("a command");
    assert_eq!(command, acknowledge(3));
    let error = serde_json::from_str::<Command>(r#"{"command":"shelve","until":"2026-03-09T10:00:02Z","reason":" "}"#);
    let error = error.expect_err("no reason").to_string();
    assert!(error.contains("allowed: 1 to 1000 characters"), "{error}");
}

/// Something that happens in a random sequence.
#[derive(Debug, Clone)]
enum Event {
    Signal(usize, Signal),
    Command(usize, Command),
    /// The node's clock moves, also backwards, in seconds.
    Clock(i64),
    /// The node restarts, with what is in the stored rows.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let which = 0..2_usize;
    let why = prop_oneof![
        Just(off()),
        Just(Suppression::ExplainedBy { alarm: id("other") }),
        Just(Suppression::PlannedWork { work: "w1".into() }),
    ];
    let signal = prop_oneof![
        4 => Just(raise(0)),
        4 => Just(over(0)),
        1 => why.clone().prop_map(Signal::Suppress),
        1 => why.prop_map(Signal::Unsuppress),
        2 => Just(Signal::Tick),
    ];
    let command = prop_oneof![
        4 => (0..6_u32).prop_map(acknowledge),
        1 => (1..400_i64).prop_map(shelve),
        1 => Just(Command::Unshelve { comment: None }),
        1 => Just(remove()),
        2 => Just(Command::ReturnToService { comment: Some(text("mended")) }),
        2 => Just(Command::Reset { comment: None }),
    ];
    prop_oneof![
        8 => (which.clone(), signal).prop_map(|(which, signal)| Event::Signal(which, signal)),
        6 => (which, command).prop_map(|(which, command)| Event::Command(which, command)),
        2 => (1..200_i64).prop_map(Event::Clock),
        1 => (-400..400_i64).prop_map(Event::Clock),
        1 => Just(Event::Restart),
    ]
}

/// What a bookkeeper would write down, without any of the code.
#[derive(Debug, Default)]
struct Book {
    announced: u32,
    acknowledged: u32,
    holds: bool,
    rows: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn random_sequences(events in prop::collection::vec(event(), 1..120), latching in any::<bool>()) {
        let names = ["a", "b"];
        let mut alarms = names.map(|name| Alarm::new(key(name), Priority::Low, latching, Status::default()));
        let mut books: BTreeMap<usize, Book> = BTreeMap::from([(0, Book::default()), (1, Book::default())]);
        let mut log: Vec<String> = Vec::new();
        let mut now_s = 0;
        for event in events {
            let (which, row) = match event {
                Event::Clock(s) => {
                    now_s += s;
                    continue;
                }
                Event::Restart => {
                    let rows: Vec<Transition> =
                        log.iter().map(|row| serde_json::from_str(row).expect("a row")).collect();
                    // Rows can be read twice.
                    let standing = Standing::replay(rows.iter().chain(&rows));
                    prop_assert_eq!(standing.missing(), 0);
                    for (alarm, name) in alarms.iter_mut().zip(names) {
                        let status = standing.status(&key(name));
                        prop_assert_eq!(&status, alarm.status());
                        *alarm = Alarm::new(key(name), Priority::Low, latching, status);
                    }
                    continue;
                }
                Event::Signal(which, signal) => {
                    let book = books.get_mut(&which).expect("a book");
                    match signal {
                        Signal::Raise(_) => book.holds = true,
                        Signal::Return(_) => book.holds = false,
                        _ => {}
                    }
                    (which, alarms[which].observe(signal, at_s(now_s)))
                }
                Event::Command(which, command) => {
                    let command = match command {
                        Command::Shelve { until, reason } => {
                            Command::Shelve { until: until.plus_ms(1_000 * now_s), reason }
                        }
                        command => command,
                    };
                    (which, alarms[which].command(command, "ada", at_s(now_s)).ok())
                }
            };
            let (alarm, book) = (&alarms[which], books.get_mut(&which).expect("a book"));
            if let Some(row) = row {
                book.rows += 1;
                prop_assert_eq!(row.seq, book.rows);
                prop_assert_eq!(row.to, alarm.state());
                if row.announces {
                    book.announced += 1;
                    prop_assert_eq!(row.to, State::Unacknowledged);
                }
                prop_assert_eq!(row.occurrence, book.announced, "one occurrence per announcement");
                if let Cause::Acknowledged { up_to } = row.cause {
                    prop_assert!(up_to <= book.announced, "nothing is acknowledged before it is announced");
                    book.acknowledged = book.acknowledged.max(up_to);
                    prop_assert!(row.by.is_some());
                }
                log.push(serde_json::to_string(&row).expect("JSON"));
            }
            // Both alarms: what happens to one changes nothing of the other.
            for (index, alarm) in alarms.iter().enumerate() {
                let (book, status, state) = (&books[&index], alarm.status(), alarm.state());
                prop_assert_eq!(status.occurrence(), book.announced);
                prop_assert_eq!(status.acknowledged_up_to(), book.acknowledged);
                prop_assert_eq!(status.holds(), book.holds);
                let waits = book.announced > book.acknowledged;
                prop_assert_eq!(status.has_unacknowledged(), waits);
                if !matches!(state, State::Shelved | State::OutOfService) {
                    prop_assert_eq!(state.is_unacknowledged(), waits, "in view unless a person put it away");
                }
                let in_view = matches!(state, State::Normal | State::ReturnedUnacknowledged);
                if in_view && book.holds {
                    prop_assert!(!status.suppressions().is_empty(), "a condition in view is announced");
                }
            }
        }
        // Shelving ends by itself, and with it every other reason the alarm is in view again.
        for (index, alarm) in alarms.iter_mut().enumerate() {
            let was_shelved = alarm.status().shelving().is_some();
            // The clock may have been set back to shortly before the beginning, from where it has to pass the end.
            let ticks = [1_000, 2_000].map(|s| alarm.observe(Signal::Tick, at_s(now_s + s)));
            let ended = ticks.into_iter().flatten().filter(|row| row.cause == Cause::ShelvingEnded).count();
            prop_assert_eq!(ended, usize::from(was_shelved));
            prop_assert!(alarm.status().shelving().is_none());
            prop_assert_eq!(alarm.status().holds(), books[&index].holds);
        }
    }
}
