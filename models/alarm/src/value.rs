//! Names and levels that definitions, rows and commands share, and the error for a value that is not allowed.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use volute_plant::{OperatingState, PumpId};

/// A value that is not allowed: in which field it is, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value:?}; allowed: {allowed}")]
pub struct InvalidValue {
    /// The field, such as `alarms.bearing-high.condition.limit`.
    pub field: String,
    /// The value, as text.
    pub value: String,
    /// The allowed values.
    pub allowed: String,
}

impl InvalidValue {
    /// Creates the error for `value` in `field`.
    pub fn new(field: impl Into<String>, value: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Self { field: field.into(), value: value.to_string(), allowed: allowed.into() }
    }
}

/// An alarm's id, unique among the alarms of a pump: lower-case letters and digits, with single dashes between them,
/// such as `bearing-temperature-high`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlarmId(Arc<str>);

impl AlarmId {
    /// Which ids are valid, for error messages.
    pub const ALLOWED: &'static str =
        "1 to 120 lower-case letters (a to z) and digits, with single dashes between them";
    const MAX_BYTES: usize = 120;

    /// Makes an id of any text: `Bearing_Temperature_C` becomes `bearing-temperature-c`. A text without any letter or
    /// digit becomes `channel`.
    pub fn from_text(text: &str) -> Self {
        let mut id = String::with_capacity(text.len());
        for character in text.chars() {
            if character.is_ascii_alphanumeric() {
                id.push(character.to_ascii_lowercase());
            } else if !id.is_empty() && !id.ends_with('-') {
                id.push('-');
            }
        }
        id.truncate(Self::MAX_BYTES);
        let id = id.trim_end_matches('-');
        Self(if id.is_empty() { "channel".into() } else { id.into() })
    }

    /// What comes before every id in their order.
    pub(crate) fn before_all() -> Self {
        Self("".into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AlarmId {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if text.len() <= Self::MAX_BYTES && text.split('-').all(is_word) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidValue::new("id", text, Self::ALLOWED))
        }
    }
}

impl TryFrom<&str> for AlarmId {
    type Error = InvalidValue;

    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        text.to_owned().try_into()
    }
}

impl From<AlarmId> for String {
    fn from(id: AlarmId) -> Self {
        id.0.to_string()
    }
}

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Which alarm: of a pump, or of the node itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmKey {
    /// The pump; none for an alarm of the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pump: Option<PumpId>,
    /// The alarm.
    pub alarm: AlarmId,
}

/// How urgent an alarm is. ISA-18.2 recommends about 80 % low, 15 % medium, 5 % high and under 1 % critical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Look at it in this shift.
    Low,
    /// Act within the hour.
    Medium,
    /// Act within minutes.
    High,
    /// Act now.
    Critical,
}

impl Priority {
    /// All priorities, the lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Returns its name in profiles and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The operating states in which an alarm holds. In TOML and JSON a list, such as `["starting", "running"]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct StateSet(u8);

impl StateSet {
    /// All four.
    pub const ALL: Self = Self(0b1111);
    /// While the pump turns under power.
    pub const POWERED: Self = Self(0b0110);
    const NAMES: [&'static str; 4] = ["off", "starting", "running", "stopping"];

    /// Whether `state` is one of them.
    pub fn contains(self, state: OperatingState) -> bool {
        let bit = match state {
            OperatingState::Off => 0,
            OperatingState::Starting => 1,
            OperatingState::Running => 2,
            OperatingState::Stopping => 3,
        };
        self.0 & (1 << bit) != 0
    }
}

impl TryFrom<Vec<String>> for StateSet {
    type Error = InvalidValue;

    fn try_from(names: Vec<String>) -> Result<Self, InvalidValue> {
        let allowed = "one or more of off, starting, running, stopping";
        let mut set = 0;
        for name in &names {
            let Some(bit) = Self::NAMES.iter().position(|known| known == name) else {
                return Err(InvalidValue::new("holds_in", name, allowed));
            };
            set |= 1 << bit;
        }
        if set == 0 { Err(InvalidValue::new("holds_in", "[]", allowed)) } else { Ok(Self(set)) }
    }
}

impl From<StateSet> for Vec<String> {
    fn from(set: StateSet) -> Self {
        let bits = StateSet::NAMES.iter().enumerate().filter(|(bit, _)| set.0 & (1 << bit) != 0);
        bits.map(|(_, name)| (*name).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_words_with_single_dashes() {
        for good in ["a", "bearing-temperature-high", "zone-2", "7"] {
            assert_eq!(AlarmId::try_from(good).expect(good).as_str(), good);
        }
        for bad in ["", "-", "a-", "-a", "a--b", "A", "a_b", "ä", "a b", &"a".repeat(121)] {
            assert_eq!(AlarmId::try_from(bad), Err(InvalidValue::new("id", bad, AlarmId::ALLOWED)), "{bad}");
        }
        for (text, id) in [
            ("Bearing_Temperature_C", "bearing-temperature-c"),
            (" Volume  Flow RateRMS ", "volume-flow-raterms"),
            ("°C", "c"),
            ("___", "channel"),
        ] {
            assert_eq!(AlarmId::from_text(text).as_str(), id);
            AlarmId::try_from(id).expect("a valid id");
        }
    }

    #[test]
    fn state_sets_are_lists_of_names() {
        use OperatingState::{Off, Running, Starting, Stopping};
        let set: StateSet = serde_json::from_str(r#"["running", "starting"]"#).expect("a set");
        assert_eq!(set, StateSet::POWERED);
        assert_eq!([Off, Starting, Running, Stopping].map(|state| set.contains(state)), [false, true, true, false]);
        assert_eq!(serde_json::to_string(&set).expect("JSON"), r#"["starting","running"]"#);
        assert_eq!(serde_json::to_string(&StateSet::ALL).expect("JSON"), r#"["off","starting","running","stopping"]"#);
        let error = serde_json::from_str::<StateSet>(r#"["on"]"#).expect_err("no state").to_string();
        assert!(error.contains(r#"holds_in = "on"; allowed: one or more of off,"#), "{error}");
        serde_json::from_str::<StateSet>("[]").expect_err("no state at all");
    }
}
