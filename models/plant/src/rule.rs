//! When something becomes a matter for maintenance, as a profile says it. Does not apply rules; see [`crate::MaintenanceDesk`].

use serde::{Deserialize, Serialize};

use crate::{Money, Quantity};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Plan for it.
    Medium,
    /// Act soon.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// When something becomes a matter for maintenance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The rule's short name, unique in its profile.
    pub name: String,
    /// What is wrong, for people.
    pub title: String,
    /// What to do about it.
    pub advice: String,
    /// Which channels it looks at.
    pub quantity: Quantity,
    /// It holds while one of them is above this, in the channel's unit, and no verdict says that the window is normal.
    pub above: f64,
    /// How bad that is.
    pub severity: Severity,
    /// What the repair is estimated to cost.
    pub cost: Money,
}
