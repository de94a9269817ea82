//! Maintenance rules of a profile, and what they recommend. Does not evaluate them; see [`crate::RuleEvaluator`].
//!
//! A rule with a second, more severe level, as a profile has it:
//!
//! ```toml
//! [[rules]]
//! name = "bearing-hot"
//! title = "Bearing too hot"
//! advice = "Check the lubrication."
//! quantity = "bearing_temperature"
//! above = 85
//! severity = "high"
//! cost = { amount = 15000, currency = "INR" }                # the repair now
//! cost_if_it_fails = { amount = 90000, currency = "INR" }    # the repair after the pump has failed
//! failure_mode = "bearing_wear"
//! actions = ["Check the oil's level and colour.", "Check the alignment."]
//! spare_parts = [{ name = "Bearing set", number = "6312-C3", quantity = 2 }]
//!
//! [[rules.levels]]
//! severity = "critical"
//! above = 100
//! actions = ["Stop the pump.", "Replace the bearings."]
//! ```
//!
//! What a level does not have, it takes from the rule.

use serde::{Deserialize, Serialize};

use crate::{
    Money, Quantity,
    label::{LengthLimits, normalize},
};

/// How urgent a maintenance event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For information.
    Low,
    /// Plan the repair.
    Medium,
    /// Act soon.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// Returns its name in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A condition on a pump's channels that opens a maintenance event.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The rule's short name, unique in its profile.
    pub name: String,
    /// What is wrong, for the operator.
    pub title: String,
    /// What to do about it, for the operator.
    pub advice: String,
    /// The channels it applies to: all of this quantity.
    pub quantity: Quantity,
    /// The limit, in the channel's unit. The rule is violated while one of its channels is above it, unless the model
    /// says that the window is normal.
    pub above: f64,
    /// Severity of its events.
    pub severity: Severity,
    /// Estimated cost of the repair, if it is done now.
    pub cost: Money,
    /// Estimated cost if the pump is run until it fails.
    pub cost_if_it_fails: Option<Money>,
    /// Which failure mode the rule points to.
    pub failure_mode: Option<String>,
    /// What to do, step by step.
    #[serde(default)]
    pub actions: Vec<String>,
    /// What the repair needs.
    #[serde(default)]
    pub spare_parts: Vec<SparePart>,
    /// More severe levels, the least severe first.
    #[serde(default)]
    pub levels: Vec<RuleLevel>,
}

/// A level at which a rule's event becomes more severe. What is absent is that of the rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleLevel {
    /// The severity of the event from now on.
    pub severity: Severity,
    /// The level's limit, in the channel's unit.
    pub above: f64,
    /// Estimated cost of the repair, if it is done now.
    pub cost: Option<Money>,
    /// Estimated cost if the pump is run until it fails.
    pub cost_if_it_fails: Option<Money>,
    /// What to do, step by step.
    pub actions: Option<Vec<String>>,
    /// What the repair needs.
    pub spare_parts: Option<Vec<SparePart>>,
}

/// A spare part that a repair needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparePart {
    /// What it is.
    pub name: String,
    /// Its order number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// How many.
    #[serde(default = "one")]
    pub quantity: u32,
}

fn one() -> u32 {
    1
}

/// What a rule recommends at one severity, as it was when the event got this severity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// The profile that it comes from.
    pub profile: String,
    /// The severity that it is for.
    pub severity: Severity,
    /// Which failure mode the rule points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_mode: Option<String>,
    /// What to do, step by step.
    #[serde(default)]
    pub actions: Vec<String>,
    /// What the repair needs.
    #[serde(default)]
    pub spare_parts: Vec<SparePart>,
    /// Estimated cost of the repair, if it is done now.
    pub cost_now: Money,
    /// Estimated cost if the pump is run until it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_if_it_fails: Option<Money>,
}

/// A key of a rule with a value that is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidRule {
    /// The key, within the rule.
    pub key: String,
    /// The value in the file.
    pub value: String,
    /// The allowed values.
    pub allowed: &'static str,
}

/// The maximum number of actions, and of spare parts, of a rule's level.
const MAX_ITEMS: usize = 20;
/// The maximum number of a spare part's pieces.
const MAX_QUANTITY: u32 = 10_000;
/// The length of an action.
const ACTION_LENGTH: LengthLimits = LengthLimits { max_chars: 240, max_bytes: 960 };
/// The length of a spare part's name or number, and of a failure mode.
const NAME_LENGTH: LengthLimits = LengthLimits { max_chars: 100, max_bytes: 400 };

impl Rule {
    /// Returns the severity of a value above the rule's limit, and the limit that it is above.
    pub(crate) fn severity_of(&self, value: f64) -> (Severity, f64) {
        let exceeded = self.levels.iter().rev().find(|level| value > level.above);
        exceeded.map_or((self.severity, self.above), |level| (level.severity, level.above))
    }

    /// Returns what the rule recommends at this severity.
    pub(crate) fn recommendation(&self, severity: Severity, profile: &str) -> Recommendation {
        let level = self.levels.iter().find(|level| level.severity == severity);
        let actions = level.and_then(|level| level.actions.as_ref()).unwrap_or(&self.actions);
        let spare_parts = level.and_then(|level| level.spare_parts.as_ref()).unwrap_or(&self.spare_parts);
        Recommendation {
            profile: profile.to_owned(),
            severity,
            failure_mode: self.failure_mode.clone(),
            actions: actions.clone(),
            spare_parts: spare_parts.clone(),
            cost_now: level.and_then(|level| level.cost).unwrap_or(self.cost),
            cost_if_it_fails: level.and_then(|level| level.cost_if_it_fails).or(self.cost_if_it_fails),
        }
    }

    /// Checks limits, levels, costs, actions and spare parts.
    pub(crate) fn check(&self) -> Result<(), InvalidRule> {
        if !self.above.is_finite() {
            return invalid("above", self.above, "a number");
        }
        if let Some(mode) = &self.failure_mode {
            check_text("failure_mode", mode, NAME_LENGTH, "1 to 100 characters that can all be seen")?;
        }
        check_cost("cost", Some(self.cost), self.cost)?;
        check_cost("cost_if_it_fails", self.cost_if_it_fails, self.cost)?;
        check_actions("actions", &self.actions)?;
        check_spare_parts("spare_parts", &self.spare_parts)?;
        let mut previous = (self.severity, self.above);
        for (index, level) in self.levels.iter().enumerate() {
            self.check_level(&format!("levels[{index}]"), level, previous)?;
            previous = (level.severity, level.above);
        }
        Ok(())
    }

    fn check_level(&self, key: &str, level: &RuleLevel, previous: (Severity, f64)) -> Result<(), InvalidRule> {
        let (severity, above) = previous;
        if level.severity <= severity {
            let allowed = "more severe than the level before: medium, high or critical";
            return invalid(&format!("{key}.severity"), level.severity.as_str(), allowed);
        }
        if !(level.above.is_finite() && level.above > above) {
            return invalid(&format!("{key}.above"), level.above, "a number above the limit of the level before");
        }
        check_cost(&format!("{key}.cost"), level.cost, self.cost)?;
        check_cost(&format!("{key}.cost_if_it_fails"), level.cost_if_it_fails, self.cost)?;
        check_actions(&format!("{key}.actions"), level.actions.as_deref().unwrap_or_default())?;
        check_spare_parts(&format!("{key}.spare_parts"), level.spare_parts.as_deref().unwrap_or_default())
    }
}

/// Checks a cost. All costs of a rule have one currency, so that they can be compared.
fn check_cost(key: &str, cost: Option<Money>, of_rule: Money) -> Result<(), InvalidRule> {
    let Some(Money { amount, currency }) = cost else { return Ok(()) };
    if !(amount.is_finite() && amount >= 0.0) {
        return invalid(&format!("{key}.amount"), amount, "a number from 0");
    }
    if currency != of_rule.currency {
        return invalid(&format!("{key}.currency"), currency, "the currency of the rule's cost");
    }
    Ok(())
}

fn check_actions(key: &str, actions: &[String]) -> Result<(), InvalidRule> {
    if actions.len() > MAX_ITEMS {
        return invalid(key, actions.len(), "at most 20 actions");
    }
    for (index, action) in actions.iter().enumerate() {
        check_text(&format!("{key}[{index}]"), action, ACTION_LENGTH, "1 to 240 characters that can all be seen")?;
    }
    Ok(())
}

fn check_spare_parts(key: &str, parts: &[SparePart]) -> Result<(), InvalidRule> {
    if parts.len() > MAX_ITEMS {
        return invalid(key, parts.len(), "at most 20 spare parts");
    }
    for (index, SparePart { name, number, quantity }) in parts.iter().enumerate() {
        let allowed = "1 to 100 characters that can all be seen";
        check_text(&format!("{key}[{index}].name"), name, NAME_LENGTH, allowed)?;
        if let Some(number) = number {
            check_text(&format!("{key}[{index}].number"), number, NAME_LENGTH, allowed)?;
        }
        if !(1..=MAX_QUANTITY).contains(quantity) {
            return invalid(&format!("{key}[{index}].quantity"), quantity, "a whole number from 1 to 10000");
        }
    }
    Ok(())
}

fn check_text(key: &str, text: &str, length: LengthLimits, allowed: &'static str) -> Result<(), InvalidRule> {
    match normalize(text, length) {
        Ok(_) => Ok(()),
        Err(_) => invalid(key, text.chars().take(length.max_chars).collect::<String>(), allowed),
    }
}

fn invalid(key: &str, value: impl ToString, allowed: &'static str) -> Result<(), InvalidRule> {
    Err(InvalidRule { key: key.to_owned(), value: value.to_string(), allowed })
}
