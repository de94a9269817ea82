//! Subjects: what messages are about.

use serde::{Deserialize, Serialize};
use volute_alarm::AlarmId;
use volute_plant::{PumpId, Timestamp};

/// What messages are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// An alarm.
    Alarm {
        /// Its pump; none for the node itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pump: Option<PumpId>,
        /// The alarm.
        alarm: AlarmId,
    },
    /// A maintenance event.
    Event {
        /// Its pump.
        pump: PumpId,
        /// The rule that opened it.
        rule: String,
        /// When it was opened, in device time.
        opened_at: Timestamp,
    },
}

impl Subject {
    /// Returns its pump; none for the node itself.
    pub fn pump(&self) -> Option<&PumpId> {
        match self {
            Self::Alarm { pump, .. } => pump.as_ref(),
            Self::Event { pump, .. } => Some(pump),
        }
    }

    /// Returns its id among those of its pump: `alarm bearing-hot`, or `event bearing 1773050400000`.
    pub fn local_id(&self) -> String {
        match self {
            Self::Alarm { alarm, .. } => format!("alarm {alarm}"),
            Self::Event { rule, opened_at, .. } => format!("event {rule} {}", opened_at.millis()),
        }
    }
}
