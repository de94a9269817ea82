//! The names that a handover has in place of ids: titles of alarms and events, and the units of alarms' values.
//!
//! An example: the audit log has `acknowledge-alarm`, `P-7 hot`, and the detail `P-7 hot: on my way`. The handover has the pump
//! P-7, the alarm `hot`, and the text `acknowledge alarm "Bearing too hot": on my way`.
//!
//! An alarm that is no longer defined keeps its id.

use std::{collections::HashMap, str::FromStr};

use volute_alarm::{AlarmDefinition, AlarmId, AlarmKey, Condition, default_node_alarms};
use volute_data::{AuditAction, AuditEntry};
use volute_plant::{EventKey, MaintenanceEvent, Profile, PumpId};

use super::item::HandoverItem;

/// Titles and units of alarms.
#[derive(Default)]
pub(crate) struct AlarmNames(HashMap<AlarmKey, AlarmName>);

struct AlarmName {
    title: String,
    /// The unit of its values, with a space before it; empty if they have none.
    unit: String,
}

impl AlarmNames {
    /// Returns the names of the node's own alarms.
    pub(crate) fn of_node() -> Self {
        let mut names = Self::default();
        for AlarmDefinition { id, title, .. } in default_node_alarms() {
            names.0.insert(AlarmKey { pump: None, alarm: id }, AlarmName { title, unit: String::new() });
        }
        names
    }

    /// Adds those of a pump.
    pub(crate) fn add(&mut self, pump: &PumpId, profile: &Profile, definitions: Vec<AlarmDefinition>) {
        for AlarmDefinition { id, title, condition, .. } in definitions {
            let unit = unit(&condition, profile);
            self.0.insert(AlarmKey { pump: Some(pump.clone()), alarm: id }, AlarmName { title, unit });
        }
    }

    /// Returns an alarm's title.
    pub(super) fn title<'a>(&'a self, key: &'a AlarmKey) -> &'a str {
        self.0.get(key).map_or(key.alarm.as_str(), |name| &name.title)
    }

    /// Returns a value of an alarm with its unit: `95.2 °C`.
    pub(super) fn value(&self, key: &AlarmKey, value: f64) -> String {
        let unit = self.0.get(key).map_or("", |name| &name.unit);
        // More decimals say nothing about a pump.
        format!("{}{unit}", (value * 100.0).round() / 100.0)
    }
}

/// Returns the unit of the values that decide about a condition, with a space before it.
fn unit(condition: &Condition, profile: &Profile) -> String {
    let of_channel = |suffix: &str| {
        let channel =
            condition.channel().and_then(|name| profile.channels().iter().find(|channel| channel.name == name));
        channel.map_or_else(String::new, |channel| format!(" {}{suffix}", channel.unit))
    };
    match condition {
        Condition::RateOfChange { .. } => of_channel("/min"),
        Condition::Deviation { .. } => " spreads".to_owned(),
        Condition::NoData { .. } => " s".to_owned(),
        _ => of_channel(""),
    }
}

/// Returns a command that was carried out, with what it is about.
pub(super) fn command(
    entry: AuditEntry,
    action: AuditAction,
    names: &AlarmNames,
    events: &[MaintenanceEvent],
) -> HandoverItem {
    use AuditAction as Is;
    let AuditEntry { at, who, object, detail, .. } = entry;
    let words = action.as_str().replace('-', " ");
    let (pump_id, id, text) = match action {
        Is::AcknowledgeAlarm
        | Is::ResetAlarm
        | Is::ShelveAlarm
        | Is::UnshelveAlarm
        | Is::TakeAlarmOutOfService
        | Is::ReturnAlarmToService => of_alarms(&words, &object, &detail, names),
        Is::AcknowledgeEvent
        | Is::PlanEvent
        | Is::SubmitEvent
        | Is::ApproveEvent
        | Is::RejectEvent
        | Is::FinishEvent
        | Is::ReopenEvent => of_event(&words, &object, &detail, events),
        _ => match PumpId::from_str(&object) {
            Ok(pump) => (Some(pump), None, with_detail(words, &detail)),
            Err(_) => (None, None, with_detail(format!("{words} {object}"), &detail)),
        },
    };
    HandoverItem { at, pump_id, text, by: Some(who), id }
}

type Named = (Option<PumpId>, Option<String>, String);

/// The detail of a command to alarms begins with the alarms, at most five, separated by commas.
fn of_alarms(words: &str, object: &str, detail: &str, names: &AlarmNames) -> Named {
    if let Some(key) = alarm_key(object) {
        let comment = detail.strip_prefix(object).map_or(detail, |rest| rest.trim_start_matches(": "));
        let text = with_detail(format!("{words} \"{}\"", names.title(&key)), comment);
        return (key.pump, Some(key.alarm.to_string()), text);
    }
    let (alarms, comment) = detail.split_once(": ").unwrap_or((detail, ""));
    let titled = alarms.split(", ").map(|alarm| match alarm_key(alarm) {
        Some(key) => format!("{} \"{}\"", key.pump.as_ref().map_or("the node", PumpId::as_str), names.title(&key)),
        None => alarm.to_owned(),
    });
    let titled = titled.collect::<Vec<_>>().join(", ");
    (None, None, with_detail(format!("{words}, {object}, {titled}"), comment))
}

/// Returns the alarm that the audit log names: `P-7 hot`, or `node node-disk`.
fn alarm_key(text: &str) -> Option<AlarmKey> {
    let (owner, alarm) = text.rsplit_once(' ')?;
    let alarm = AlarmId::try_from(alarm).ok()?;
    if owner == "node" && default_node_alarms().iter().any(|definition| definition.id == alarm) {
        return Some(AlarmKey { pump: None, alarm });
    }
    // `3 alarms` is no alarm.
    if alarm.as_str() == "alarms" && owner.parse::<usize>().is_ok() {
        return None;
    }
    Some(AlarmKey { pump: Some(PumpId::from_str(owner).ok()?), alarm })
}

fn of_event(words: &str, object: &str, detail: &str, events: &[MaintenanceEvent]) -> Named {
    let Ok(key) = object.parse::<EventKey>() else {
        return (None, None, with_detail(format!("{words} {object}"), detail));
    };
    let title = events.iter().find(|event| event.key() == key).map_or(key.rule.as_str(), |event| event.title.as_str());
    let text = with_detail(format!("{words} \"{title}\""), detail);
    (Some(key.pump), Some(object.to_owned()), text)
}

fn with_detail(text: String, detail: &str) -> String {
    if detail.is_empty() { text } else { format!("{text}: {detail}") }
}
