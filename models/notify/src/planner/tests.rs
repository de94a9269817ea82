//! Tables of what is sent and when, and a property: nothing is made twice, nothing is lost, and the limits hold.

use proptest::prelude::*;
use volute_alarm::{Alarm, AlarmId, AlarmKey, Command, Signal, Status};
use volute_plant::{Currency, Money};

use super::*;
use crate::{EmailPolicy, HOUR_MS, QuietHours, Recipient};

const MINUTE_MS: i64 = 60_000;

fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_773_050_400_000 + ms).expect("a time")
}

fn at(minute: i64) -> Timestamp {
    at_ms(minute * MINUTE_MS)
}

fn policy() -> Policy {
    let recipient = |address: &str, from| Recipient { address: address.into(), from };
    Policy {
        email: Some(EmailPolicy {
            recipients: vec![recipient("ops@x", Priority::Low), recipient("head@x", Priority::High)],
            escalate_to: vec!["boss@x".into()],
        }),
        webhook_from: Some(Priority::Low),
        at_once: Priority::Critical,
        digest_after_ms: HOUR_MS,
        remind_after_ms: 30 * MINUTE_MS,
        reminders: 2,
        escalate_after_ms: 45 * MINUTE_MS,
        max_per_pump_and_hour: 8,
        quiet: BTreeMap::new(),
        zone: chrono_tz::UTC,
    }
}

fn planner(policy: Policy) -> Planner {
    Planner::new(policy, Shared::begin(at(0)), Vec::new())
}

fn alarm(name: &str, priority: Priority) -> Alarm {
    let key = AlarmKey { pump: Some("P-7".parse().expect("an id")), alarm: AlarmId::from_text(name) };
    Alarm::new(key, priority, false, Status::default())
}

fn raise(alarm: &mut Alarm, now: Timestamp) -> Transition {
    let evidence = Evidence { value: Some(95.25), limit: Some(93.0), ..Evidence::at(now) };
    alarm.observe(Signal::Raise(evidence), now).expect("a row")
}

fn end(alarm: &mut Alarm, now: Timestamp) -> Transition {
    alarm.observe(Signal::Return(Evidence::at(now)), now).expect("a row")
}

fn acknowledge(alarm: &mut Alarm, now: Timestamp) -> Transition {
    let up_to = alarm.status().occurrence();
    alarm.command(Command::Acknowledge { up_to, comment: None }, "ada", now).expect("a row")
}

/// Returns kind and receiver of each message.
fn told(messages: &[Message]) -> Vec<(&'static str, &str)> {
    messages.iter().map(|message| (message.kind.as_str(), message.to.as_str())).collect()
}

fn observe(planner: &mut Planner, row: &Transition) -> Vec<Message> {
    planner.observe_alarm(row, "Hot", "cool it", row.at)
}

#[test]
fn a_critical_alarm_is_told_at_once_reminded_of_escalated_and_its_end_told() {
    let (mut planner, mut hot) = (planner(policy()), alarm("hot", Priority::Critical));
    let raised = observe(&mut planner, &raise(&mut hot, at(1)));
    assert_eq!(told(&raised), [("raised", "ops@x"), ("raised", "head@x"), ("raised", "webhook")]);
    let line = &raised[0].lines[0];
    assert_eq!((line.detail.as_str(), line.help.as_str(), line.occurrence), ("95.25, limit 93", "cool it", 1));
    assert!(planner.tick(at(30)).is_empty());
    assert_eq!(told(&planner.tick(at(31))), [("reminder", "ops@x"), ("reminder", "head@x"), ("reminder", "webhook")]);
    assert_eq!(told(&planner.tick(at(46))), [("escalation", "boss@x"), ("escalation", "webhook")]);
    assert!(planner.tick(at(46)).is_empty(), "once");
    assert!(observe(&mut planner, &acknowledge(&mut hot, at(50))).is_empty());
    assert!(planner.tick(at(100)).is_empty(), "acknowledged");
    let over = observe(&mut planner, &end(&mut hot, at(110)));
    assert_eq!(told(&over), [("returned", "ops@x"), ("returned", "head@x"), ("returned", "webhook")]);
}

#[test]
fn reminders_end_and_go_on_after_the_condition_is_over() {
    let (mut planner, mut hot) = (planner(policy()), alarm("hot", Priority::Critical));
    observe(&mut planner, &raise(&mut hot, at(1)));
    observe(&mut planner, &end(&mut hot, at(2)));
    let reminders =
        |messages: Vec<Message>| messages.iter().filter(|message| message.kind == MessageKind::Reminder).count();
    let counts: Vec<usize> = [31, 61, 91, 121].map(|minute| reminders(planner.tick(at(minute)))).to_vec();
    assert_eq!(counts, [3, 3, 0, 0], "to three receivers, twice");
}

#[test]
fn lower_priorities_are_in_the_digest_of_those_who_want_them() {
    let (mut planner, mut warm) = (planner(policy()), alarm("warm", Priority::Low));
    let mut leak = alarm("leak", Priority::High);
    assert_eq!(told(&observe(&mut planner, &raise(&mut warm, at(1)))), [("raised", "webhook")]);
    assert_eq!(told(&observe(&mut planner, &end(&mut warm, at(2)))), [("returned", "webhook")]);
    observe(&mut planner, &raise(&mut leak, at(3)));
    assert!(planner.tick(at(60)).is_empty());
    let digest = planner.tick(at(61));
    assert_eq!(told(&digest), [("digest", "ops@x"), ("digest", "head@x")]);
    assert_eq!(digest.iter().map(|message| message.lines.len()).collect::<Vec<_>>(), [3, 1]);
    assert!(planner.tick(at(200)).is_empty(), "nobody is reminded of them");
}

#[test]
fn nothing_is_sent_in_quiet_hours() {
    let quiet = QuietHours::parse("10:00-12:00").expect("hours");
    let policy = Policy { quiet: [(Priority::Critical, quiet)].into(), ..policy() };
    let (mut planner, mut hot) = (planner(policy), alarm("hot", Priority::Critical));
    // 10:10.
    let now = at(10);
    let raised = observe(&mut planner, &raise(&mut hot, now));
    assert_eq!(told(&raised), [("raised", "webhook")]);
    assert_eq!(raised[0].not_before, at(120), "the end of the quiet hours");
    assert!(planner.tick(at(119)).is_empty());
    let after: Vec<&str> = planner.tick(at(120)).iter().map(|message| message.kind.as_str()).collect();
    assert_eq!(after, ["reminder", "reminder", "reminder", "escalation", "escalation", "digest", "digest"]);
}

#[test]
fn what_exceeds_the_limit_is_held_back_and_summarised() {
    let (mut planner, mut warm) = (planner(policy()), alarm("warm", Priority::Low));
    let mut messages = Vec::new();
    for second in 0..10 {
        messages.extend(observe(&mut planner, &raise(&mut warm, at_ms(second * 1_000))));
        observe(&mut planner, &acknowledge(&mut warm, at_ms(second * 1_000)));
        messages.extend(observe(&mut planner, &end(&mut warm, at_ms(second * 1_000 + 500))));
    }
    assert_eq!(messages.len(), 6, "a quarter of eight is kept for critical ones");
    let mut hot = alarm("hot", Priority::Critical);
    let raised = observe(&mut planner, &raise(&mut hot, at(1)));
    assert!(told(&raised).contains(&("raised", "webhook")));
    observe(&mut planner, &acknowledge(&mut hot, at(1)));
    let summaries = planner.tick(at(61));
    let summary = summaries.iter().find(|message| message.kind == MessageKind::HeldBack).expect("a summary");
    // Of 20 calls of the webhook 6 were made.
    let line = &summary.lines[0];
    assert_eq!((line.title.as_str(), line.detail.as_str()), ("14 messages were held back", "Hot: 14"));
}

fn event(resolved: Option<Timestamp>) -> MaintenanceEvent {
    MaintenanceEvent {
        pump: "P-7".parse().expect("an id"),
        rule: "bearing".into(),
        title: "Bearing wears".into(),
        advice: "order one".into(),
        severity: Severity::Critical,
        cost: Money { amount: 1.0, currency: Currency::try_from("EUR".to_owned()).expect("a currency") },
        channel: "Tb".into(),
        limit: Some(90.0),
        peak: Some(95.0),
        peak_loss: None,
        model: None,
        opened_at: at(1),
        last_seen_at: at(1),
        resolved_at: resolved,
        source: None,
        recommendation: None,
        evidence: Vec::new(),
        work: Default::default(),
    }
}

#[test]
fn events_are_told_once_when_they_open_and_when_they_are_resolved() {
    let mut planner = planner(policy());
    assert_eq!(told(&planner.observe_event(&event(None), at(1))).len(), 3);
    let higher = MaintenanceEvent { peak: Some(97.0), ..event(None) };
    assert!(planner.observe_event(&higher, at(2)).is_empty());
    assert_eq!(planner.observe_event(&event(Some(at(3))), at(3))[0].kind, MessageKind::Returned);
    assert!(planner.observe_event(&event(Some(at(3))), at(4)).is_empty());
    let imported = MaintenanceEvent { source: Some("imported".into()), rule: "other".into(), ..event(None) };
    assert!(planner.observe_event(&imported, at(5)).is_empty());
    let old = MaintenanceEvent { opened_at: at(-1), ..event(None) };
    assert!(planner.observe_event(&old, at(5)).is_empty(), "opened before notifications began");
}

#[test]
fn a_pump_that_was_removed_begins_anew() {
    let (mut planner, mut hot) = (planner(policy()), alarm("hot", Priority::Critical));
    observe(&mut planner, &raise(&mut hot, at(1)));
    let pump: PumpId = "P-7".parse().expect("an id");
    assert_eq!(planner.open_pumps(), [pump.clone()].into());
    planner.forget(&pump);
    assert!(planner.tick(at(100)).is_empty());
    let mut hot = alarm("hot", Priority::Critical);
    assert_eq!(observe(&mut planner, &raise(&mut hot, at(101))).len(), 3);
}

#[derive(Debug, Clone)]
enum Step {
    Raise(usize),
    End(usize),
    Acknowledge(usize),
    Wait(i64),
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize).prop_map(Step::Raise),
        4 => (0..3_usize).prop_map(Step::End),
        2 => (0..3_usize).prop_map(Step::Acknowledge),
        4 => (1_000..2_000_000_i64).prop_map(Step::Wait),
        1 => Just(Step::Kill),
    ]
}

/// Stores what has changed, in the form of the store.
fn store(planner: &mut Planner, threads: &mut BTreeMap<Subject, String>, shared: &mut String) {
    let Some(changes) = planner.take_changes() else { return };
    for thread in changes.threads {
        threads.insert(thread.subject.clone(), serde_json::to_string(&thread).expect("JSON"));
    }
    *shared = serde_json::to_string(&changes.shared).expect("JSON");
}

proptest! {
    /// Whatever happens and whenever the node is killed: no message is made twice, at most N per pump, medium and hour are,
    /// and every occurrence has a message at once, a line in a digest, or is counted in a summary.
    #[test]
    fn messages_are_made_once_and_are_bounded(steps in prop::collection::vec(step(), 1..120)) {
        let policy = policy();
        let mut planner = planner(policy.clone());
        let priorities = [Priority::Low, Priority::High, Priority::Critical];
        let mut alarms: Vec<Alarm> =
            priorities.iter().enumerate().map(|(n, priority)| alarm(&format!("a-{n}"), *priority)).collect();
        let (mut rows, mut messages, mut threads) = (Vec::new(), Vec::<Message>::new(), BTreeMap::new());
        let mut shared = serde_json::to_string(planner.shared()).expect("JSON");
        let mut now = at(1);
        for step in steps {
            let row = match step {
                Step::Raise(n) => alarms[n].observe(Signal::Raise(Evidence::at(now)), now),
                Step::End(n) => alarms[n].observe(Signal::Return(Evidence::at(now)), now),
                Step::Acknowledge(n) => {
                    let command = Command::Acknowledge { up_to: alarms[n].status().occurrence(), comment: None };
                    alarms[n].command(command, "ada", now).ok()
                }
                Step::Wait(ms) => {
                    now = now.plus_ms(ms);
                    None
                }
                Step::Kill => {
                    let threads = threads.values().map(|thread: &String| serde_json::from_str(thread).expect("JSON"));
                    let shared = serde_json::from_str(&shared).expect("JSON");
                    planner = Planner::new(policy.clone(), shared, threads.collect());
                    // All rows are read again.
                    for row in &rows {
                        prop_assert!(planner.observe_alarm(row, "t", "h", now).is_empty(), "seen before");
                    }
                    None
                }
            };
            now = now.plus_ms(1);
            messages.extend(planner.tick(now));
            if let Some(row) = row {
                messages.extend(planner.observe_alarm(&row, row.alarm.as_str(), "", now));
                rows.push(row);
            }
            store(&mut planner, &mut threads, &mut shared);
        }
        let ids: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
        prop_assert_eq!(ids.len(), messages.len());
        for receiver in ["webhook", "ops@x", "boss@x"] {
            let of_pump = messages.iter().filter(|message| message.kind != MessageKind::Digest && message.to.as_str() == receiver);
            let times: Vec<Timestamp> = of_pump.map(|message| message.at).collect();
            for window in times.windows(policy.max_per_pump_and_hour + 1) {
                let first_to_last_ms = window[window.len() - 1].since_ms(window[0]);
                prop_assert!(first_to_last_ms >= HOUR_MS, "{} within {} ms", window.len(), first_to_last_ms);
            }
        }
        for row in rows.iter().filter(|row| row.announces) {
            let is_of_row = |line: &Line| line.occurrence == row.occurrence
                && matches!(&line.subject, Some(Subject::Alarm { alarm, .. }) if *alarm == row.alarm);
            let lines = messages.iter().flat_map(|message| &message.lines).chain(&planner.shared().lines);
            let is_told = lines.into_iter().any(|line| line.kind == MessageKind::Raised && is_of_row(line));
            let is_held = planner.shared().webhook.values().any(|budget| !budget.clone().is_over(at(i64::from(u16::MAX))))
                || messages.iter().any(|message| message.kind == MessageKind::HeldBack);
            prop_assert!(is_told || is_held, "occurrence {} of {} is lost", row.occurrence, row.alarm);
        }
    }
}
