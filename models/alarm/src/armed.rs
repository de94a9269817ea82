//! Armed alarms: definitions that were checked against a profile and compiled, so that evaluating a reading compares
//! numbers and looks nothing up.
//!
//! Shared by all pumps with the same definitions; cheap to clone. Alarms that explain others come first, so that within
//! one reading the explanation is raised before what it explains.

use std::{collections::HashSet, sync::Arc};

use serde::Serialize;
use volute_plant::{Channel, Profile, Quantity};

use crate::{
    AlarmDefinition, AlarmId, Condition, Direction, Expression, InvalidValue, NodePart, Side, StateSet,
    debounce::Delays, defaults::defaults, vibration::zone_limit_mm_s,
};

/// Checked and compiled alarms.
#[derive(Debug, Clone, Default)]
pub struct ArmedAlarms(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    alarms: Vec<ArmedAlarm>,
    /// Readings of the past that are at most so far apart belong to one excursion, in milliseconds.
    gap_ms: i64,
}

/// One checked and compiled alarm.
#[derive(Debug)]
pub struct ArmedAlarm {
    definition: AlarmDefinition,
    pub(crate) test: Test,
    pub(crate) deadband: f64,
    pub(crate) delays: Delays,
    pub(crate) holds_in: StateSet,
    /// The indexes of the alarms that this one explains.
    explains: Vec<usize>,
}

/// What an alarm uses, whether its definition says it or leaves it to its quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct InUse {
    /// In seconds.
    pub on_delay_s: f64,
    /// In seconds.
    pub off_delay_s: f64,
    /// In the unit of the limit.
    pub deadband: f64,
    /// The operating states in which it holds.
    pub holds_in: StateSet,
}

/// What is compared for a reading.
#[derive(Debug)]
pub(crate) enum Test {
    Level { channel: usize, bound: Bound },
    Rate { channel: usize, over_ms: i64, direction: Direction, bound: Bound },
    Deviation { channel: usize, bound: Bound },
    Expression { expression: Expression, bound: Bound },
    NoData { channel: Option<usize>, after_ms: i64 },
    BadQuality { channel: usize },
    External(External),
}

/// A condition that is determined elsewhere and passed to the evaluator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum External {
    /// The model's detections.
    ModelAnomaly,
    /// The health of a part of the node.
    Node(NodePart),
}

/// A limit with its side. The limit itself is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    Above(f64),
    Below(f64),
}

impl Bound {
    /// Whether a value is beyond the limit, or for a raised alarm not yet back by the deadband.
    pub(crate) fn is_beyond(self, value: f64, deadband: f64) -> bool {
        match self {
            Self::Above(limit) => value > limit - deadband,
            Self::Below(limit) => value < limit + deadband,
        }
    }

    pub(crate) fn limit(self) -> f64 {
        match self {
            Self::Above(limit) | Self::Below(limit) => limit,
        }
    }
}

impl Test {
    pub(crate) fn bound(&self) -> Option<Bound> {
        match self {
            Self::Level { bound, .. }
            | Self::Rate { bound, .. }
            | Self::Deviation { bound, .. }
            | Self::Expression { bound, .. } => Some(*bound),
            Self::NoData { .. } | Self::BadQuality { .. } | Self::External(_) => None,
        }
    }
}

/// Bounds of a definition's values, in seconds: a day of delay, 30 days without data.
const MAX_DELAY_S: f64 = 86_400.0;
const MAX_SILENCE_S: f64 = 2_592_000.0;
const MAX_SPREADS: f64 = 100.0;
/// The most alarms of a pump: a few for each of 64 channels.
pub const MAX_ALARMS: usize = 500;
/// The longest title and help, in characters.
const MAX_TITLE_CHARS: usize = 120;
const MAX_HELP_CHARS: usize = 2_000;
/// Readings of the past in one excursion are at most this far apart, in milliseconds and in intervals.
const MIN_GAP_MS: i64 = 60_000;
const GAP_INTERVALS: i64 = 5;

impl ArmedAlarms {
    /// Checks and compiles the alarms of a pump. Returns all mistakes.
    pub fn compile(profile: &Profile, definitions: &[AlarmDefinition]) -> Result<Self, Vec<InvalidValue>> {
        compile(profile.channels(), (GAP_INTERVALS * profile.interval_ms()).max(MIN_GAP_MS), false, definitions)
    }

    /// Checks and compiles the alarms of the node itself.
    pub fn compile_for_node(definitions: &[AlarmDefinition]) -> Result<Self, Vec<InvalidValue>> {
        compile(&[], MIN_GAP_MS, true, definitions)
    }

    /// The alarms. The order is not that of the definitions.
    pub fn alarms(&self) -> &[ArmedAlarm] {
        &self.0.alarms
    }

    /// The index of an alarm in [`Self::alarms`].
    pub fn index_of(&self, id: &AlarmId) -> Option<usize> {
        self.0.alarms.iter().position(|alarm| alarm.definition.id == *id)
    }

    pub(crate) fn gap_ms(&self) -> i64 {
        self.0.gap_ms
    }
}

impl ArmedAlarm {
    /// What it uses.
    pub fn in_use(&self) -> InUse {
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        let Delays { on_ms, off_ms } = self.delays;
        InUse {
            on_delay_s: seconds(on_ms),
            off_delay_s: seconds(off_ms),
            deadband: self.deadband,
            holds_in: self.holds_in,
        }
    }

    /// The definition.
    pub fn definition(&self) -> &AlarmDefinition {
        &self.definition
    }

    /// The id.
    pub fn id(&self) -> &AlarmId {
        &self.definition.id
    }

    /// The limit, in the unit of its condition.
    pub fn limit(&self) -> Option<f64> {
        self.test.bound().map(Bound::limit)
    }

    /// The deadband that is used, in the unit of the limit.
    pub fn deadband(&self) -> f64 {
        self.deadband
    }

    /// The delays that are used before a raise and before a return, in milliseconds.
    pub fn delays_ms(&self) -> (i64, i64) {
        (self.delays.on_ms, self.delays.off_ms)
    }

    /// The indexes of the alarms that this one explains.
    pub fn explains(&self) -> &[usize] {
        &self.explains
    }
}

fn compile(
    channels: &[Channel],
    gap_ms: i64,
    is_node: bool,
    definitions: &[AlarmDefinition],
) -> Result<ArmedAlarms, Vec<InvalidValue>> {
    let mut mistakes = Vec::new();
    if definitions.len() > MAX_ALARMS {
        mistakes.push(InvalidValue::new("alarms", definitions.len(), format!("at most {MAX_ALARMS} alarms")));
        return Err(mistakes);
    }
    let ordered = match explanations_first(definitions) {
        Ok(ordered) => ordered,
        Err(found) => {
            mistakes.extend(found);
            definitions.iter().collect()
        }
    };
    let mut ids = HashSet::new();
    let mut alarms = Vec::new();
    for &definition in &ordered {
        if !ids.insert(&definition.id) {
            mistakes.push(InvalidValue::new(format!("alarms.{}.id", definition.id), &definition.id, "a unique id"));
        }
        let mut check = Check { definition, channels, is_node, mistakes: Vec::new() };
        if let Some(mut alarm) = check.compile() {
            let explained = ordered.iter().enumerate().filter(|(_, other)| other.explained_by.contains(&definition.id));
            alarm.explains = explained.map(|(index, _)| index).collect();
            alarms.push(alarm);
        }
        mistakes.extend(check.mistakes);
    }
    if mistakes.is_empty() { Ok(ArmedAlarms(Arc::new(Inner { alarms, gap_ms }))) } else { Err(mistakes) }
}

/// Returns the definitions in an order in which each comes after those that explain it.
fn explanations_first(definitions: &[AlarmDefinition]) -> Result<Vec<&AlarmDefinition>, Vec<InvalidValue>> {
    let ids: HashSet<&AlarmId> = definitions.iter().map(|definition| &definition.id).collect();
    let field = |definition: &AlarmDefinition| format!("alarms.{}.explained_by", definition.id);
    let mut mistakes = Vec::new();
    for definition in definitions {
        for unknown in definition.explained_by.iter().filter(|id| !ids.contains(id)) {
            mistakes.push(InvalidValue::new(field(definition), unknown, "ids of other alarms of the pump"));
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let (mut ordered, mut placed) = (Vec::new(), HashSet::new());
    let mut waiting: Vec<&AlarmDefinition> = definitions.iter().collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        let (ready, rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|definition| definition.explained_by.iter().all(|id| placed.contains(id)));
        placed.extend(ready.iter().map(|definition| &definition.id));
        ordered.extend(ready);
        waiting = rest;
        if waiting.len() == before {
            let allowed = "no circle: an alarm must not explain itself, directly or through others";
            let mistake = |definition: &&AlarmDefinition| {
                let ids: Vec<&str> = definition.explained_by.iter().map(AlarmId::as_str).collect();
                InvalidValue::new(field(definition), ids.join(", "), allowed)
            };
            return Err(waiting.iter().map(mistake).collect());
        }
    }
    Ok(ordered)
}

/// The check of one definition.
struct Check<'a> {
    definition: &'a AlarmDefinition,
    channels: &'a [Channel],
    is_node: bool,
    mistakes: Vec<InvalidValue>,
}

impl<'a> Check<'a> {
    fn compile(&mut self) -> Option<ArmedAlarm> {
        let definition = self.definition;
        self.check_texts();
        let on_delay_s = self.number("on_delay_s", definition.on_delay_s, 0.0, MAX_DELAY_S, "0 to 86400");
        let off_delay_s = self.number("off_delay_s", definition.off_delay_s, 0.0, MAX_DELAY_S, "0 to 86400");
        let deadband = self.number("deadband", definition.deadband, 0.0, f64::MAX, "a number from 0");
        let test = self.test()?;
        self.check_deadband(&test);
        let channel = definition.condition.channel().and_then(|name| self.channels.iter().find(|c| c.name == name));
        let limit = test.bound().map_or(0.0, Bound::limit);
        let default = defaults(&definition.condition, channel, limit);
        let ms = |seconds: f64| (seconds * 1_000.0).round() as i64;
        Some(ArmedAlarm {
            definition: definition.clone(),
            test,
            deadband: deadband.unwrap_or(default.deadband),
            delays: Delays {
                on_ms: ms(on_delay_s.unwrap_or(default.on_delay_s)),
                off_ms: ms(off_delay_s.unwrap_or(default.off_delay_s)),
            },
            holds_in: definition.holds_in.unwrap_or(default.holds_in),
            explains: Vec::new(),
        })
    }

    /// With a larger deadband the value could never go back far enough, and a raised alarm would never return.
    fn check_deadband(&mut self, test: &Test) {
        let (Some(deadband), Some(bound)) = (self.definition.deadband, test.bound()) else { return };
        let most = match (test, bound) {
            (Test::Level { channel, .. }, Bound::Above(limit)) => {
                self.channels.get(*channel).map(|channel| limit - channel.plausible[0])
            }
            (Test::Level { channel, .. }, Bound::Below(limit)) => {
                self.channels.get(*channel).map(|channel| channel.plausible[1] - limit)
            }
            // Both are distances from 0.
            (Test::Rate { .. } | Test::Deviation { .. }, _) => Some(bound.limit()),
            _ => None,
        };
        if let Some(most) = most.filter(|most| deadband > *most) {
            self.mistake("deadband", deadband, &format!("0 to {most}, so that the value can go back that far"));
        }
    }

    fn check_texts(&mut self) {
        let AlarmDefinition { title, help, .. } = self.definition;
        if title.trim().is_empty() || title.chars().count() > MAX_TITLE_CHARS || title.chars().any(char::is_control) {
            let shown: String = title.chars().take(MAX_TITLE_CHARS).collect();
            self.mistake("title", shown, "1 to 120 characters in one line");
        }
        if help.chars().count() > MAX_HELP_CHARS {
            let shown: String = help.chars().take(60).collect();
            self.mistake("help", shown, "at most 2000 characters");
        }
    }

    fn test(&mut self) -> Option<Test> {
        let condition = &self.definition.condition;
        if self.is_node != matches!(condition, Condition::NodeHealth { .. }) {
            let allowed =
                if self.is_node { "node_health for an alarm of the node" } else { "any but node_health for a pump" };
            let kind = if self.is_node { "a condition of a pump" } else { "node_health" };
            self.mistake("condition.kind", kind, allowed);
            return None;
        }
        match condition {
            Condition::High { channel, limit } | Condition::HighHigh { channel, limit } => {
                Some(Test::Level { channel: self.limit_channel(channel, *limit)?, bound: Bound::Above(*limit) })
            }
            Condition::Low { channel, limit } | Condition::LowLow { channel, limit } => {
                Some(Test::Level { channel: self.limit_channel(channel, *limit)?, bound: Bound::Below(*limit) })
            }
            Condition::RateOfChange { channel, limit_per_min, over_s, direction } => {
                let channel = self.channel(channel);
                let limit = self.positive("condition.limit_per_min", *limit_per_min, f64::MAX, "a number above 0");
                let over_s = self.number("condition.over_s", Some(*over_s), 1.0, MAX_DELAY_S, "1 to 86400");
                let over_ms = (over_s? * 1_000.0).round() as i64;
                Some(Test::Rate { channel: channel?, over_ms, direction: *direction, bound: Bound::Above(limit?) })
            }
            Condition::Deviation { channel, limit_spreads } => {
                let channel = self.channel(channel);
                let limit = self.positive("condition.limit_spreads", *limit_spreads, MAX_SPREADS, "above 0, up to 100");
                Some(Test::Deviation { channel: channel?, bound: Bound::Above(limit?) })
            }
            Condition::Expression { expression, when, limit } => self.expression(expression, *when, *limit),
            Condition::VibrationZone { channel, category, power_kw, boundary } => {
                let channel = self.vibration_channel(channel);
                self.positive("condition.power_kw", *power_kw, f64::MAX, "the rated power in kW, above 0")?;
                let bound = Bound::Above(zone_limit_mm_s(*category, *power_kw, *boundary));
                Some(Test::Level { channel: channel?, bound })
            }
            Condition::NoData { channel, after_s } => {
                let index = channel.as_ref().map(|channel| self.channel(channel));
                let after_s = self.number("condition.after_s", Some(*after_s), 1.0, MAX_SILENCE_S, "1 to 2592000");
                let after_ms = (after_s? * 1_000.0).round() as i64;
                match index {
                    Some(index) => Some(Test::NoData { channel: Some(index?), after_ms }),
                    None => Some(Test::NoData { channel: None, after_ms }),
                }
            }
            Condition::BadQuality { channel } => Some(Test::BadQuality { channel: self.channel(channel)? }),
            Condition::ModelAnomaly {} => Some(Test::External(External::ModelAnomaly)),
            Condition::NodeHealth { part } => Some(Test::External(External::Node(*part))),
        }
    }

    fn expression(&mut self, text: &str, when: Side, limit: f64) -> Option<Test> {
        let names = self.channels.iter().map(|channel| channel.name.as_str());
        let parsed = Expression::parse(text, names);
        let limit = self.number("condition.limit", Some(limit), f64::MIN, f64::MAX, "a number");
        let bound = match when {
            Side::Above => Bound::Above(limit?),
            Side::Below => Bound::Below(limit?),
        };
        match parsed {
            Ok(expression) => Some(Test::Expression { expression, bound }),
            Err(error) => {
                let allowed = format!("at character {}, instead of {}: {}", error.position, error.found, error.allowed);
                self.mistake("condition.expression", text, &allowed);
                None
            }
        }
    }

    fn channel(&mut self, name: &str) -> Option<usize> {
        let found = self.channels.iter().position(|channel| channel.name == name);
        if found.is_none() {
            let names: Vec<&str> = self.channels.iter().map(|channel| channel.name.as_str()).collect();
            self.mistake("condition.channel", name, &names.join(", "));
        }
        found
    }

    /// A limit outside of the plausible range would be violated always or never.
    fn limit_channel(&mut self, name: &str, limit: f64) -> Option<usize> {
        let index = self.channel(name)?;
        let [low, high] = self.channels.get(index)?.plausible;
        let allowed = format!("a number within the channel's plausible range, {low} to {high}");
        self.number("condition.limit", Some(limit), low, high, &allowed)?;
        Some(index)
    }

    fn vibration_channel(&mut self, name: &str) -> Option<usize> {
        let index = self.channel(name)?;
        let channel = self.channels.get(index)?;
        if channel.quantity == Quantity::Vibration && channel.unit == "mm/s" {
            return Some(index);
        }
        self.mistake("condition.channel", name, "a channel of the quantity vibration in mm/s");
        None
    }

    /// Returns a number within the range.
    fn number(&mut self, field: &str, value: Option<f64>, low: f64, high: f64, allowed: &str) -> Option<f64> {
        let value = value?;
        if (low..=high).contains(&value) {
            return Some(value);
        }
        self.mistake(field, value, allowed);
        None
    }

    fn positive(&mut self, field: &str, value: f64, high: f64, allowed: &str) -> Option<f64> {
        self.number(field, Some(value), f64::MIN_POSITIVE, high, allowed)
    }

    fn mistake(&mut self, field: &str, value: impl std::fmt::Display, allowed: &str) {
        self.mistakes.push(InvalidValue::new(format!("alarms.{}.{field}", self.definition.id), value, allowed));
    }
}

#[cfg(test)]
mod tests;
