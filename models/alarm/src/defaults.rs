//! Defaults: delays, deadbands and operating states by quantity, and the alarms that a profile has without any
//! configuration.
//!
//! The delays and deadbands of flow, level, pressure and temperature are the starting points that ISA-18.2 recommends:
//!
//! | quantity | deadband, of the limit | delay |
//! | --- | --- | --- |
//! | flow, level, valve position | 5 % | 15 s, level 60 s |
//! | pressure, voltage | 2 % | 15 s |
//! | temperature | 1 % | 60 s |
//! | vibration | 5 % | 10 s, off 30 s |
//! | current, power, torque | 5 % | 15 s |
//! | speed | 2 % | 5 s |
//!
//! A deadband is at least twice the channel's resolution. A high-high or low-low alarm waits a third of the on-delay.

use volute_plant::{Channel, Profile, Quantity};

use crate::{AlarmDefinition, AlarmId, Condition, NodePart, Priority, StateSet};

/// What a definition gets where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Defaults {
    pub(crate) on_delay_s: f64,
    pub(crate) off_delay_s: f64,
    pub(crate) deadband: f64,
    pub(crate) holds_in: StateSet,
}

/// The deadband of a limit that belongs to no quantity, as a share of the limit: of a rate, a deviation, an expression.
const OTHER_DEADBAND: f64 = 0.1;

/// Returns the defaults of a condition. `channel` is the one that it is about, and `limit` its limit, if it has one.
pub(crate) fn defaults(condition: &Condition, channel: Option<&Channel>, limit: f64) -> Defaults {
    let of_limit = |on_delay_s: f64, off_delay_s: f64, holds_in: StateSet| Defaults {
        on_delay_s,
        off_delay_s,
        deadband: OTHER_DEADBAND * limit.abs(),
        holds_in,
    };
    let without_limit = |on_delay_s: f64, off_delay_s: f64| Defaults {
        on_delay_s,
        off_delay_s,
        deadband: 0.0,
        holds_in: StateSet::ALL,
    };
    match condition {
        Condition::RateOfChange { .. } => of_limit(0.0, 60.0, StateSet::ALL),
        Condition::Deviation { .. } => of_limit(60.0, 60.0, StateSet::POWERED),
        Condition::Expression { .. } => of_limit(15.0, 15.0, StateSet::ALL),
        Condition::NoData { .. } => without_limit(0.0, 30.0),
        Condition::BadQuality { .. } => without_limit(10.0, 60.0),
        Condition::ModelAnomaly {} => without_limit(0.0, 60.0),
        Condition::NodeHealth { .. } => without_limit(10.0, 60.0),
        Condition::High { .. }
        | Condition::HighHigh { .. }
        | Condition::Low { .. }
        | Condition::LowLow { .. }
        | Condition::VibrationZone { .. } => {
            let (share, on_delay_s, off_delay_s) = by_quantity(channel.map(|channel| channel.quantity));
            let resolution = channel.map_or(0.0, |channel| channel.resolution);
            let is_urgent = matches!(condition, Condition::HighHigh { .. } | Condition::LowLow { .. });
            Defaults {
                on_delay_s: if is_urgent { on_delay_s / 3.0 } else { on_delay_s },
                off_delay_s,
                deadband: (share * limit.abs()).max(2.0 * resolution),
                holds_in: states(condition, channel.map(|channel| channel.quantity)),
            }
        }
    }
}

/// Returns the deadband as a share of the limit, the on-delay and the off-delay, in seconds.
fn by_quantity(quantity: Option<Quantity>) -> (f64, f64, f64) {
    use Quantity as Q;
    match quantity {
        Some(Q::Flow | Q::ValvePosition) => (0.05, 15.0, 15.0),
        Some(Q::Level) => (0.05, 60.0, 60.0),
        Some(Q::OilPressure | Q::SuctionPressure | Q::DischargePressure | Q::Voltage) => (0.02, 15.0, 15.0),
        Some(
            Q::Temperature
            | Q::BearingTemperature
            | Q::CasingTemperature
            | Q::AmbientTemperature
            | Q::FluidTemperature
            | Q::OilTemperature,
        ) => (0.01, 60.0, 60.0),
        Some(Q::Vibration) => (0.05, 10.0, 30.0),
        Some(Q::Current | Q::Power | Q::Torque) | None => (0.05, 15.0, 15.0),
        Some(Q::RotationalSpeed) => (0.02, 5.0, 5.0),
    }
}

/// A hot bearing is a fault in a stopped machine too. Low pressure, flow and current are not, and neither is vibration,
/// which a neighbour can cause.
fn states(condition: &Condition, quantity: Option<Quantity>) -> StateSet {
    let is_low = matches!(condition, Condition::Low { .. } | Condition::LowLow { .. });
    let needs_power =
        matches!(quantity, Some(Quantity::Vibration | Quantity::Current | Quantity::Power | Quantity::Torque));
    if needs_power || (is_low && quantity != Some(Quantity::Level)) { StateSet::POWERED } else { StateSet::ALL }
}

/// A pump is stale after at least this time without a reading, in seconds, and after this many intervals.
const MIN_STALE_S: f64 = 60.0;
const STALE_INTERVALS: f64 = 10.0;

/// Returns the alarms of a profile that names none: those of its limits, and for missing and bad data.
///
/// A warning limit becomes an alarm of low priority, and an alarm limit one of medium or, for bearing, oil and
/// vibration, of high priority. An alarm limit explains the warning limit on the same side.
pub fn default_alarms(profile: &Profile) -> Vec<AlarmDefinition> {
    let stale_s = stale_after_s(profile);
    let stale = AlarmId::from_text("pump-stale");
    let mut alarms = vec![
        AlarmDefinition {
            help: "Check the pump's gateway, its network and its token.".into(),
            ..AlarmDefinition::new(
                stale.clone(),
                "No data from the pump",
                Priority::Medium,
                Condition::NoData { channel: None, after_s: stale_s },
            )
        },
        AlarmDefinition {
            help: "Look at the channels that explain the anomaly.".into(),
            ..AlarmDefinition::new(
                AlarmId::from_text("model-anomaly"),
                "The pump does not run as usual",
                Priority::Low,
                Condition::ModelAnomaly {},
            )
        },
    ];
    let mut slugs = Vec::new();
    for channel in profile.channels() {
        let slug = unique_slug(&channel.name, &slugs);
        alarms.extend(limit_alarms(channel, &slug));
        let name = || channel.name.clone();
        let after_s = stale_s.max(channel.hold_s.unwrap_or(0) as f64);
        alarms.push(AlarmDefinition {
            help: "Check the sensor and its wiring.".into(),
            explained_by: vec![stale.clone()],
            ..AlarmDefinition::new(
                AlarmId::from_text(&format!("{slug}-no-data")),
                format!("No values of {}", channel.name),
                Priority::Low,
                Condition::NoData { channel: Some(name()), after_s },
            )
        });
        alarms.push(AlarmDefinition {
            help: "Check the sensor and its wiring.".into(),
            ..AlarmDefinition::new(
                AlarmId::from_text(&format!("{slug}-bad")),
                format!("Implausible values of {}", channel.name),
                Priority::Low,
                Condition::BadQuality { channel: name() },
            )
        });
        slugs.push(slug);
    }
    alarms
}

/// Returns the alarms of the node itself.
pub fn default_node_alarms() -> Vec<AlarmDefinition> {
    let text = |part: NodePart| match part {
        NodePart::Disk => {
            (Priority::High, "The node's disk is nearly full", "Free space, or keep readings for less time.")
        }
        NodePart::Database => (
            Priority::Medium,
            "The node's database does not respond",
            "Readings are safe in the journal. Look at the node's log.",
        ),
        NodePart::Journal => (
            Priority::Critical,
            "The node's journal cannot write",
            "No reading is taken. Check the disk, restart the node.",
        ),
        NodePart::Actor => {
            (Priority::High, "A part of the node failed", "Look at the failed part, and restart it or the node.")
        }
    };
    let alarm = |part: NodePart| {
        let (priority, title, help) = text(part);
        let id = AlarmId::from_text(&format!("node-{}", part.as_str()));
        let definition = AlarmDefinition::new(id, title, priority, Condition::NodeHealth { part });
        AlarmDefinition { help: help.into(), ..definition }
    };
    NodePart::ALL.into_iter().map(alarm).collect()
}

/// Returns after how many seconds of silence a pump is stale.
fn stale_after_s(profile: &Profile) -> f64 {
    let intervals_s = STALE_INTERVALS * profile.interval_ms() as f64 / 1_000.0;
    MIN_STALE_S.max(intervals_s).max(profile.min_hold_s() as f64)
}

/// Returns the part of the ids that stands for a channel. Names that differ only in case or signs get a number.
fn unique_slug(name: &str, taken: &[String]) -> String {
    let slug: String = AlarmId::from_text(name).as_str().chars().take(80).collect();
    let slug = slug.trim_end_matches('-').to_owned();
    let mut unique = slug.clone();
    let mut number = 2;
    while taken.contains(&unique) {
        unique = format!("{slug}-{number}");
        number += 1;
    }
    unique
}

fn limit_alarms(channel: &Channel, slug: &str) -> Vec<AlarmDefinition> {
    let limits = &channel.limits;
    let is_vital = matches!(
        channel.quantity,
        Quantity::BearingTemperature | Quantity::OilPressure | Quantity::OilTemperature | Quantity::Vibration
    );
    let urgent = if is_vital { Priority::High } else { Priority::Medium };
    let name = || channel.name.clone();
    let sides = [
        (
            "low-low",
            urgent,
            "far too low",
            None,
            limits.low_alarm.map(|limit| Condition::LowLow { channel: name(), limit }),
        ),
        (
            "low",
            Priority::Low,
            "low",
            limits.low_alarm.map(|_| "low-low"),
            limits.low_warning.map(|limit| Condition::Low { channel: name(), limit }),
        ),
        (
            "high",
            Priority::Low,
            "high",
            limits.high_alarm.map(|_| "high-high"),
            limits.high_warning.map(|limit| Condition::High { channel: name(), limit }),
        ),
        (
            "high-high",
            urgent,
            "far too high",
            None,
            limits.high_alarm.map(|limit| Condition::HighHigh { channel: name(), limit }),
        ),
    ];
    let id = |side: &str| AlarmId::from_text(&format!("{slug}-{side}"));
    let alarm = |(side, priority, how, explained_by, condition): (&str, _, &str, Option<&str>, Option<Condition>)| {
        let definition = AlarmDefinition::new(id(side), format!("{} {how}", channel.name), priority, condition?);
        Some(AlarmDefinition { explained_by: explained_by.map(id).into_iter().collect(), ..definition })
    };
    sides.into_iter().filter_map(alarm).collect()
}

#[cfg(test)]
mod tests;
