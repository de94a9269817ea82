//! Maintenance rules of a profile. Does not evaluate them; see [`crate::RuleEvaluator`].

use serde::{Deserialize, Serialize};

use crate::{Money, Quantity};

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
    /// Estimated cost of the repair.
    pub cost: Money,
}
