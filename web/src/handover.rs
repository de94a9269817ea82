//! The shift handover: what happened to alarms, events and pumps in a time, in the order in which it happened, as texts.
//!
//! An example, since Monday 14:00, at 22:00:
//!
//! ```text
//! alarms raised     15:02  P-7 Bearing far too hot, high: 95 °C, limit 93 °C
//! alarms returned   16:10  P-7 Bearing far too hot: 90 °C
//! alarms stand      18:30  P-2 Oil pressure low, high, unacknowledged
//! commands          15:05  P-7 acknowledge alarm "Bearing far too hot": on my way (user asha)
//! events changed    15:20  P-7 Bearing too hot: planned for Fri 08:00 by ravi
//! planned work      Fri    P-7 new bearing, planned, until Fri 12:00
//! ```
//!
//! Does no I/O: the route reads the rows (`routes/handover.rs`). Each part has at most [`MAX_ITEMS`] items, and says how many
//! more there are.

use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::StandingAlarm;
use volute_alarm::{Cause, Evidence, Transition};
use volute_data::{AuditAction, AuditEntry};
use volute_plant::{
    MaintenanceEvent, PlannedWork, PumpId, Timestamp,
    event_status::{Finding, StatusChange},
};

mod item;
mod names;

use item::HandoverItem;
pub(crate) use names::AlarmNames;
use names::command;

/// The maximum number of items of a part.
pub(crate) const MAX_ITEMS: usize = 500;

/// A time: its begin is in it, its end is not.
pub(crate) type Span = (Timestamp, Timestamp);

/// What happened in a time, and what stands at its end.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Handover {
    /// Alarms that were announced.
    alarms_raised: HandoverPart,
    /// Alarms whose condition ended.
    alarms_returned: HandoverPart,
    /// Alarms that stand now, each at the time of its newest announcement.
    alarms_standing: HandoverPart,
    /// Commands to pumps, alarms and events that were carried out.
    commands: HandoverPart,
    /// Maintenance events that were opened.
    events_opened: HandoverPart,
    /// What people did about maintenance events.
    events_changed: HandoverPart,
    /// Maintenance events that were resolved because the pump has recovered.
    events_resolved: HandoverPart,
    /// Planned work that has begun, ended or been changed in this time, or is still to come, each at its begin.
    planned_work: HandoverPart,
}

/// A part of a handover, in the order of time.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct HandoverPart {
    /// At most 500 items: the newest.
    items: Vec<HandoverItem>,
    /// How many older ones were left out.
    more: usize,
}

/// The rows that a handover is made of. They may be of a longer time.
#[derive(Default)]
pub(crate) struct HandoverRows {
    pub(crate) transitions: Vec<Transition>,
    /// With the pump; none for alarms of the node itself.
    pub(crate) standing: Vec<(Option<PumpId>, StandingAlarm)>,
    pub(crate) names: AlarmNames,
    pub(crate) audit: Vec<AuditEntry>,
    pub(crate) events: Vec<MaintenanceEvent>,
    pub(crate) works: Vec<PlannedWork>,
}

/// Returns whether an event was opened, resolved or worked on in a time.
pub(crate) fn has_changed(event: &MaintenanceEvent, span: Span) -> bool {
    is_in(event.opened_at, span)
        || event.resolved_at.is_some_and(|at| is_in(at, span))
        || event.work.changes().iter().any(|change| is_in(change.at, span))
}

/// Makes the handover of a time.
pub(crate) fn compile(rows: HandoverRows, span: Span) -> Handover {
    let HandoverRows { transitions, standing, names, audit, events, works } = rows;
    let transitions = || transitions.iter().filter(|row| is_in(row.at, span));
    let commands = audit.into_iter().filter_map(|entry| {
        let action = AuditAction::named(&entry.action).filter(|action| action.is_in_handover())?;
        (entry.is_done() && is_in(entry.at, span)).then(|| command(entry, action, &names, &events))
    });
    let opened = events.iter().filter(|event| is_in(event.opened_at, span));
    let resolved =
        events.iter().filter_map(|event| Some((event, event.resolved_at?))).filter(|(_, at)| is_in(*at, span));
    let changes = events.iter().flat_map(|event| event.work.changes().iter().map(move |change| (event, change)));
    let changed = changes.filter(|(_, change)| is_in(change.at, span));
    let works = works.iter().filter(|work| work.end() >= span.0 || is_in(work.at, span));
    Handover {
        alarms_raised: part(transitions().filter(|row| row.announces).map(|row| raised(row, &names))),
        alarms_returned: part(transitions().filter_map(|row| returned(row, &names))),
        alarms_standing: part(
            standing
                .iter()
                .filter(|(_, alarm)| alarm.state.is_standing())
                .map(|(pump, alarm)| stands(pump.clone(), alarm, span.1)),
        ),
        commands: part(commands),
        events_opened: part(opened.map(|event| {
            let text = format!("{}, {}", event.title, event.severity.as_str());
            of_event(event, event.opened_at, text, None)
        })),
        events_changed: part(changed.map(|(event, change)| {
            let text = format!("{}: {}", event.title, change_text(change));
            of_event(event, change.at, text, Some(change.by.clone()))
        })),
        events_resolved: part(resolved.map(|(event, at)| of_event(event, at, event.title.clone(), None))),
        planned_work: part(works.map(|work| of_work(work, span.1))),
    }
}

fn is_in(at: Timestamp, (since, until): Span) -> bool {
    since <= at && at < until
}

/// Sorts items by time, and keeps the newest.
fn part(items: impl Iterator<Item = HandoverItem>) -> HandoverPart {
    let mut items: Vec<HandoverItem> = items.collect();
    items.sort_by_key(|item| item.at);
    let more = items.len().saturating_sub(MAX_ITEMS);
    items.drain(..more);
    HandoverPart { items, more }
}

fn raised(row: &Transition, names: &AlarmNames) -> HandoverItem {
    let key = row.key();
    let value = match &row.cause {
        Cause::Raised { evidence } => value_text(evidence, |value| names.value(&key, value)),
        _ => None,
    };
    let text = format!("{}, {}{}", names.title(&key), row.priority.as_str(), value.unwrap_or_default());
    of_alarm(row, text)
}

fn returned(row: &Transition, names: &AlarmNames) -> Option<HandoverItem> {
    let Cause::Returned { evidence, .. } = &row.cause else { return None };
    let key = row.key();
    let value = evidence.value.map(|value| format!(": {}", names.value(&key, value))).unwrap_or_default();
    Some(of_alarm(row, format!("{}{value}", names.title(&key))))
}

/// Returns `: 95 °C, limit 93 °C`.
fn value_text(evidence: &Evidence, text: impl Fn(f64) -> String) -> Option<String> {
    let value = text(evidence.value?);
    let limit = evidence.limit.map(|limit| format!(", limit {}", text(limit))).unwrap_or_default();
    Some(format!(": {value}{limit}"))
}

fn of_alarm(row: &Transition, text: String) -> HandoverItem {
    HandoverItem { at: row.at, pump_id: row.pump.clone(), text, by: row.by.clone(), id: Some(row.alarm.to_string()) }
}

fn stands(pump_id: Option<PumpId>, alarm: &StandingAlarm, now: Timestamp) -> HandoverItem {
    let state = if alarm.state.is_unacknowledged() { "unacknowledged" } else { "acknowledged" };
    let at = alarm.announced_at.or(alarm.raised.as_ref().map(|raised| raised.since));
    HandoverItem {
        at: at.unwrap_or(now),
        pump_id,
        text: format!("{}, {}, {state}", alarm.title, alarm.priority.as_str()),
        by: None,
        id: Some(alarm.id.to_string()),
    }
}

fn of_event(event: &MaintenanceEvent, at: Timestamp, text: String, by: Option<String>) -> HandoverItem {
    HandoverItem { at, pump_id: Some(event.pump.clone()), text, by, id: Some(event.key().to_string()) }
}

/// Returns the new status, with the plan or the finding, and the comment.
fn change_text(change: &StatusChange) -> String {
    let plan = change.plan.as_ref().map(|plan| format!(" for {} by {}", plan.on, plan.owner.as_str()));
    let finding = change.finding.as_ref().map(|finding| match finding {
        Finding::FailureMode { mode } => format!(", found {}", mode.as_str()),
        Finding::Other => ", another cause".to_owned(),
        Finding::Nothing => ", nothing found".to_owned(),
    });
    let comment = change.comment.as_ref().map(|comment| format!(": {}", comment.as_str()));
    let more: String = [plan, finding, comment].into_iter().flatten().collect();
    format!("{}{more}", change.status.as_str())
}

fn of_work(work: &PlannedWork, now: Timestamp) -> HandoverItem {
    HandoverItem {
        at: work.from,
        pump_id: Some(work.pump.clone()),
        text: format!("{}, {}, until {}", work.why.as_str(), work.status(now).as_str(), work.end()),
        by: Some(work.by.clone()),
        id: Some(work.id.clone()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use volute_access::Principal;
    use volute_alarm::{AlarmDefinition, AlarmId, Condition, Priority};
    use volute_plant::{
        Comment, Profile,
        event_status::{EventAction, ShortText, WorkPlan},
    };

    use super::*;

    const SPAN_S: std::ops::Range<i64> = 100..200;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_773_051_273_000 + 1_000 * second).expect("a time")
    }

    fn span() -> Span {
        (at(SPAN_S.start), at(SPAN_S.end))
    }

    fn texts(part: &HandoverPart) -> Vec<&str> {
        part.items.iter().map(|item| item.text.as_str()).collect()
    }

    fn event(opened: i64, resolved: Option<i64>) -> MaintenanceEvent {
        let event = json!({
            "pump": "P-7", "rule": "bearing-hot", "title": "Bearing too hot", "advice": "Check the lubrication.",
            "severity": "high", "cost": {"amount": 15000.0, "currency": "INR"}, "channel": "Tb", "limit": 85.0,
            "peak": 93.5, "peak_loss": null, "model": null, "opened_at": at(opened).to_string(),
            "last_seen_at": at(opened).to_string(), "resolved_at": resolved.map(|second| at(second).to_string()),
        });
        serde_json::from_value(event).expect("an event")
    }

    fn names() -> AlarmNames {
        let text = include_str!("../../config/profiles/centrifugal.toml");
        let profile = Profile::from_toml(text).expect("the profile is valid");
        let condition = Condition::High { channel: "Bearing_Temperature_C".into(), limit: 93.0 };
        let hot = AlarmId::try_from("hot").expect("an id");
        let mut names = AlarmNames::of_node();
        let pump = "P-7".parse().expect("a pump");
        names.add(&pump, &profile, vec![AlarmDefinition::new(hot, "Bearing too hot", Priority::High, condition)]);
        names
    }

    fn transition(second: i64, announces: bool, cause: Value) -> Transition {
        let mut row = json!({
            "seq": 1, "pump": "P-7", "alarm": "hot", "occurrence": 1, "announces": announces, "priority": "high",
            "from": "normal", "to": "unacknowledged", "at": at(second).to_string(),
        });
        for (name, value) in cause.as_object().expect("an object") {
            row[name] = value.clone();
        }
        serde_json::from_value(row).expect("a row")
    }

    #[test]
    fn alarms_come_and_go_in_the_order_of_time() {
        let raised = |second: i64| json!({"cause": "raised", "evidence": {"since": at(second).to_string(), "value": 95.0, "limit": 93.0}});
        let returned = |second: i64| json!({"cause": "returned", "latched": false, "evidence": {"since": at(second).to_string(), "value": 90.0}});
        let transitions = vec![
            transition(150, true, raised(150)),
            transition(120, true, raised(120)),
            transition(130, false, returned(130)),
            transition(99, true, raised(99)),
            transition(200, true, raised(200)),
        ];
        let rows = HandoverRows { transitions, names: names(), ..HandoverRows::default() };
        let handover = compile(rows, span());
        assert_eq!(texts(&handover.alarms_raised), ["Bearing too hot, high: 95 °C, limit 93 °C"; 2]);
        assert_eq!(handover.alarms_raised.items[0].at, at(120));
        assert_eq!(texts(&handover.alarms_returned), ["Bearing too hot: 90 °C"]);
    }

    #[test]
    fn an_alarm_that_is_no_longer_defined_has_its_id() {
        let raised =
            json!({"cause": "raised", "evidence": {"since": at(120).to_string(), "value": 95.237, "limit": 93.0}});
        let rows = HandoverRows { transitions: vec![transition(120, true, raised)], ..HandoverRows::default() };
        assert_eq!(texts(&compile(rows, span()).alarms_raised), ["hot, high: 95.24, limit 93"]);
    }

    #[test]
    fn only_commands_to_the_plant_that_were_carried_out_are_handed_over() {
        let who = Principal::LocalOperator { uid: 0 };
        let entry = |second: i64, action, object: &str| AuditEntry::done(at(second), &who, action, object);
        let key = event(50, None).key().to_string();
        let audit = vec![
            entry(120, AuditAction::AcknowledgeAlarm, "P-7 hot").detail("P-7 hot: on my way"),
            entry(121, AuditAction::ShelveAlarm, "P-7 hot").refused("no"),
            entry(122, AuditAction::Login, "ada"),
            entry(123, AuditAction::AcknowledgeAlarm, "2 alarms").detail("P-7 hot, P-8 gone: both"),
            entry(124, AuditAction::AcknowledgeEvent, &key).detail("going there"),
            entry(125, AuditAction::AcknowledgeAlarm, "node node-disk").detail("node node-disk"),
            entry(126, AuditAction::PlanWork, "P-7"),
            entry(99, AuditAction::PlanWork, "P-7"),
        ];
        let rows = HandoverRows { audit, names: names(), events: vec![event(50, None)], ..HandoverRows::default() };
        let commands = compile(rows, span()).commands;
        assert_eq!(
            texts(&commands),
            [
                "acknowledge alarm \"Bearing too hot\": on my way",
                "acknowledge alarm, 2 alarms, P-7 \"Bearing too hot\", P-8 \"gone\": both",
                "acknowledge event \"Bearing too hot\": going there",
                "acknowledge alarm \"The node's disk is nearly full\"",
                "plan work",
            ]
        );
        let about = |item: &HandoverItem| (item.pump_id.as_ref().map(ToString::to_string), item.id.clone());
        let pump = Some("P-7".to_owned());
        assert_eq!(
            commands.items.iter().map(about).collect::<Vec<_>>(),
            [
                (pump.clone(), Some("hot".to_owned())),
                (None, None),
                (pump.clone(), Some(key)),
                (None, Some("node-disk".to_owned())),
                (pump, None)
            ]
        );
        assert_eq!(commands.items[0].by.as_deref(), Some("uid 0"));
    }

    #[test]
    fn events_are_opened_changed_and_resolved() {
        let mut worked_on = event(50, Some(180));
        let plan = WorkPlan { on: at(9_000), owner: ShortText::try_from("ravi".to_owned()).expect("a name") };
        let comment = Comment::try_from("soon").ok();
        worked_on.work.act(EventAction::Acknowledge, "user asha", None, at(60)).expect("allowed");
        worked_on.work.act(EventAction::Plan(plan.clone()), "user asha", comment, at(150)).expect("allowed");
        let untouched = event(10, Some(20));
        assert!(has_changed(&worked_on, span()) && !has_changed(&untouched, span()));
        let rows = HandoverRows { events: vec![worked_on, untouched, event(110, None)], ..HandoverRows::default() };
        let handover = compile(rows, span());
        assert_eq!(texts(&handover.events_opened), ["Bearing too hot, high"]);
        let changed = format!("Bearing too hot: planned for {} by ravi: soon", plan.on);
        assert_eq!(texts(&handover.events_changed), [changed]);
        assert_eq!(handover.events_resolved.items[0].at, at(180));
    }

    proptest! {
        /// Whatever the number of events: each that was opened in the time is there or counted, in order.
        #[test]
        fn nothing_is_left_out_in_silence(opened in prop::collection::vec(0_i64..400, 0..1_200)) {
            let events: Vec<MaintenanceEvent> = opened.iter().map(|second| event(*second, None)).collect();
            let wanted = opened.iter().filter(|second| SPAN_S.contains(second)).count();
            let part = compile(HandoverRows { events, ..HandoverRows::default() }, span()).events_opened;
            prop_assert_eq!(part.items.len() + part.more, wanted);
            prop_assert!(part.items.len() <= MAX_ITEMS);
            prop_assert!(part.items.is_sorted_by_key(|item| item.at));
        }
    }
}
