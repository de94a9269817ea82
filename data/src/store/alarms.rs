//! Alarms as documents.
//!
//! The rows of one alarm that is raised and acknowledged, in the order of the records:
//!
//! ```text
//! alarm_transition:[10:01:00, 'P-7', 'bearing-high', 1]   raised: normal -> unacknowledged
//! alarm:['P-7', 'bearing-high']                           its status after row 1
//! alarm_transition:[10:03:12, 'P-7', 'bearing-high', 2]   acknowledged by Ada: unacknowledged -> acknowledged
//! alarm:['P-7', 'bearing-high']                           its status after row 2, in place of the one before
//! alarm_checkpoint:['P-7']                                the evaluator's timers, once a minute
//! ```
//!
//! A transition never changes. A status is what its alarm's transitions give ([`volute_alarm::Status::apply`]); it is
//! stored so that a start does not read the transitions of years. Both are in one record of the journal, so that neither
//! is stored without the other.
//!
//! Does not decide when an alarm is raised; see `volute-alarm`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use volute_alarm::{
    AlarmDefinition, AlarmId, AlarmKey, EvaluatorCheckpoint, PastExcursion, Priority, State, Status, Transition,
};
use volute_plant::{PumpId, Timestamp};

use super::{
    Store, StoreError,
    document::{Document, DocumentKey, DocumentKind, KeyPart, KeyPrefix},
    types::{Completeness, DocumentFilter, PageRange, QueryResult},
};

/// How long transitions and past excursions are kept: two years.
const RETENTION: Duration = Duration::from_secs(2 * 365 * 86_400);
/// The maximum number of a pump's alarms that are read at a start. A pump has at most `MAX_ALARMS`, and those that are
/// no longer defined.
const MAX_STATUSES: usize = 10_000;

/// The status of an alarm after its newest transition.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmRecord {
    /// Which alarm.
    pub key: AlarmKey,
    /// Its title when it changed last, for a person who reads the table.
    pub title: String,
    /// Its priority then.
    pub priority: Priority,
    /// When it changed last, by the node's clock.
    pub at: Timestamp,
    /// What is known of it.
    pub status: Status,
}

/// The state of the evaluator of a pump's alarms.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmCheckpoint {
    /// The pump.
    pub pump: PumpId,
    /// Readings that were received before this time are evaluated, by the node's clock.
    pub at: Timestamp,
    /// Its timers and counts.
    pub evaluator: EvaluatorCheckpoint,
}

/// The alarms of one pump that differ from those of its profile.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmRules {
    /// The pump.
    pub pump: PumpId,
    /// When they were set, by the node's clock.
    pub at: Timestamp,
    /// Who set them, in the form of the audit log.
    pub by: String,
    /// Alarms that replace those of the profile with the same id, or are added to them.
    pub definitions: Vec<AlarmDefinition>,
    /// Alarms of the profile that this pump does not have.
    pub removed: Vec<AlarmId>,
    /// How often they were set: 1 for the first time.
    pub version: u64,
}

/// The stored alarms of a pump.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredAlarms {
    /// The status of each alarm that has a transition.
    pub statuses: BTreeMap<AlarmId, AlarmRecord>,
    /// The evaluator's state; none if none was stored yet.
    pub checkpoint: Option<AlarmCheckpoint>,
    /// The pump's own alarms; none if it has those of its profile.
    pub rules: Option<AlarmRules>,
}

impl Store {
    /// Returns the stored alarms of a pump. Fails while the database is unavailable.
    pub async fn stored_alarms(&self, pump: &PumpId) -> Result<StoredAlarms, StoreError> {
        let filter = DocumentFilter {
            pump: Some(pump.clone()),
            range: PageRange { limit: MAX_STATUSES, ..PageRange::default() },
        };
        let QueryResult { rows, completeness } = self.documents::<AlarmRecord>(&filter, |_| true).await?;
        if let Completeness::Partial { reason, .. } = completeness {
            return Err(StoreError::Unavailable { reason });
        }
        let key = DocumentKey::new([pump.as_str().into()]);
        Ok(StoredAlarms {
            statuses: rows.into_iter().map(|record| (record.key.alarm.clone(), record)).collect(),
            checkpoint: self.document(&key).await?,
            rules: self.document(&key).await?,
        })
    }
}

impl Store {
    /// Returns the stored alarms of the node itself. Fails while the database is unavailable.
    pub async fn stored_node_alarms(&self) -> Result<Vec<AlarmRecord>, StoreError> {
        // Reads the alarms of all pumps too: some thousand, once at a start.
        let filter = DocumentFilter { pump: None, range: PageRange { limit: usize::MAX, ..PageRange::default() } };
        let is_of_node = |record: &AlarmRecord| record.key.pump.is_none();
        let QueryResult { rows, completeness } = self.documents::<AlarmRecord>(&filter, is_of_node).await?;
        match completeness {
            Completeness::Complete => Ok(rows),
            Completeness::Partial { reason, .. } => Err(StoreError::Unavailable { reason }),
        }
    }

    /// Returns a pump's own alarms; none if it has those of its profile. Fails while the database is unavailable.
    pub async fn alarm_rules(&self, pump: &PumpId) -> Result<Option<AlarmRules>, StoreError> {
        self.document(&DocumentKey::new([pump.as_str().into()])).await
    }
}

/// The stored fields of a transition: its own, with the time as a number to sort by.
#[derive(Serialize, Deserialize)]
pub struct TransitionFields {
    at_ms: i64,
    #[serde(flatten)]
    row: Transition,
}

impl DocumentKind for Transition {
    const TABLE: &'static str = "alarm_transition";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Time;
    const BELONGS_TO_PUMP: bool = true;
    const PUMP_IS_OPTIONAL: bool = true;
    const RETENTION: Option<Duration> = Some(RETENTION);
    type Fields = TransitionFields;

    fn key(&self) -> DocumentKey {
        let seq = i64::try_from(self.seq).unwrap_or(i64::MAX);
        DocumentKey::new([
            self.at.millis().into(),
            pump_part(self.pump.as_ref()),
            self.alarm.as_str().into(),
            seq.into(),
        ])
    }

    fn to_fields(&self) -> TransitionFields {
        TransitionFields { at_ms: self.at.millis(), row: self.clone() }
    }

    fn from_fields(TransitionFields { at_ms, row }: TransitionFields) -> Result<Self, String> {
        if row.at.millis() == at_ms { Ok(row) } else { Err("its two times differ".into()) }
    }
}

/// The stored fields of a past excursion.
#[derive(Serialize, Deserialize)]
pub struct ExcursionFields {
    at_ms: i64,
    #[serde(flatten)]
    excursion: PastExcursion,
}

impl DocumentKind for PastExcursion {
    const TABLE: &'static str = "past_excursion";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Time;
    const BELONGS_TO_PUMP: bool = true;
    const PUMP_IS_OPTIONAL: bool = true;
    const RETENTION: Option<Duration> = Some(RETENTION);
    type Fields = ExcursionFields;

    fn key(&self) -> DocumentKey {
        let (from, to) = (self.from.millis(), self.to.millis());
        let alarm = self.alarm.as_str().into();
        DocumentKey::new([
            self.learned_at.millis().into(),
            pump_part(self.pump.as_ref()),
            alarm,
            from.into(),
            to.into(),
        ])
    }

    fn to_fields(&self) -> ExcursionFields {
        ExcursionFields { at_ms: self.learned_at.millis(), excursion: self.clone() }
    }

    fn from_fields(ExcursionFields { excursion, .. }: ExcursionFields) -> Result<Self, String> {
        Ok(excursion)
    }
}

/// The stored fields of a status.
#[derive(Serialize, Deserialize)]
pub struct RecordFields {
    at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pump: Option<PumpId>,
    alarm: AlarmId,
    title: String,
    priority: Priority,
    /// For a person who reads the table; it follows from `status`.
    state: State,
    status: Status,
}

impl DocumentKind for AlarmRecord {
    const TABLE: &'static str = "alarm";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Pump;
    const BELONGS_TO_PUMP: bool = true;
    const PUMP_IS_OPTIONAL: bool = true;
    const RETENTION: Option<Duration> = None;
    type Fields = RecordFields;

    fn key(&self) -> DocumentKey {
        Self::key_of(&self.key)
    }

    fn to_fields(&self) -> RecordFields {
        RecordFields {
            at_ms: self.at.millis(),
            pump: self.key.pump.clone(),
            alarm: self.key.alarm.clone(),
            title: self.title.clone(),
            priority: self.priority,
            state: self.status.state(),
            status: self.status.clone(),
        }
    }

    fn from_fields(fields: RecordFields) -> Result<Self, String> {
        let RecordFields { at_ms, pump, alarm, title, priority, state, status } = fields;
        if status.state() != state {
            return Err("its state and its status contradict each other".into());
        }
        Ok(Self { key: AlarmKey { pump, alarm }, title, priority, at: time(at_ms)?, status })
    }
}

/// The stored fields of a checkpoint.
#[derive(Serialize, Deserialize)]
pub struct CheckpointFields {
    at_ms: i64,
    pump: PumpId,
    evaluator: EvaluatorCheckpoint,
}

impl DocumentKind for AlarmCheckpoint {
    const TABLE: &'static str = "alarm_checkpoint";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Pump;
    const BELONGS_TO_PUMP: bool = true;
    const RETENTION: Option<Duration> = None;
    type Fields = CheckpointFields;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.pump.as_str().into()])
    }

    fn to_fields(&self) -> CheckpointFields {
        CheckpointFields { at_ms: self.at.millis(), pump: self.pump.clone(), evaluator: self.evaluator.clone() }
    }

    fn from_fields(CheckpointFields { at_ms, pump, evaluator }: CheckpointFields) -> Result<Self, String> {
        Ok(Self { pump, at: time(at_ms)?, evaluator })
    }
}

/// The stored fields of a pump's own alarms.
#[derive(Serialize, Deserialize)]
pub struct RulesFields {
    at_ms: i64,
    pump: PumpId,
    by: String,
    definitions: Vec<AlarmDefinition>,
    removed: Vec<AlarmId>,
    /// Rows before it was recorded do not have it.
    #[serde(default = "first_version")]
    version: u64,
}

fn first_version() -> u64 {
    1
}

impl DocumentKind for AlarmRules {
    const TABLE: &'static str = "alarm_rule";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Pump;
    const BELONGS_TO_PUMP: bool = true;
    const RETENTION: Option<Duration> = None;
    type Fields = RulesFields;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.pump.as_str().into()])
    }

    fn to_fields(&self) -> RulesFields {
        RulesFields {
            at_ms: self.at.millis(),
            pump: self.pump.clone(),
            by: self.by.clone(),
            definitions: self.definitions.clone(),
            removed: self.removed.clone(),
            version: self.version,
        }
    }

    fn from_fields(fields: RulesFields) -> Result<Self, String> {
        let RulesFields { at_ms, pump, by, definitions, removed, version } = fields;
        Ok(Self { pump, at: time(at_ms)?, by, definitions, removed, version })
    }
}

impl AlarmRecord {
    /// Returns the key of the status of an alarm.
    pub fn key_of(alarm: &AlarmKey) -> DocumentKey {
        DocumentKey::new([pump_part(alarm.pump.as_ref()), alarm.alarm.as_str().into()])
    }

    /// Returns the documents of a transition: the row, and the status after it.
    pub fn documents(&self, row: &Transition) -> [Document; 2] {
        [Document::of(row), Document::of(self)]
    }
}

/// Alarms of the node itself are stored under an empty pump id, which no pump has.
fn pump_part(pump: Option<&PumpId>) -> KeyPart {
    pump.map_or("", PumpId::as_str).into()
}

fn time(ms: i64) -> Result<Timestamp, String> {
    Timestamp::from_millis(ms).map_err(|error| error.to_string())
}
