//! Alarms of all pumps: which are armed, and which stand now.
//!
//! Each pump's actor owns its alarms (`pump/alarms.rs`) and is the only writer of its entry in [`StandingAlarms`], a view in
//! memory. Queries read the view, so a list of all standing alarms reads no rows and asks no actor. The alarms of the node
//! itself (`node_alarms.rs`) are in it too.
//!
//! An example: P-7's bearing alarm is raised. Its actor stores the transition, and replaces P-7's entry in the view.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;
use volute_alarm::{
    Alarm, AlarmDefinition, AlarmId, ArmedAlarms, CommandKind, Evidence, InvalidValue, Priority, Removal, Shelving,
    State, Suppression, profile_alarms, replaced,
};
use volute_data::AlarmRules;
use volute_plant::{Profile, PumpId, Timestamp, event_evidence::EvidenceAlarm};

/// An alarm that is not normal.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingAlarm {
    /// Its id, unique among the pump's alarms.
    pub id: AlarmId,
    /// What is wrong, for the operator.
    pub title: String,
    /// What to do about it, for the operator.
    pub help: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Where it stands.
    pub state: State,
    /// The commands that are allowed now.
    pub allowed: &'static [CommandKind],
    /// The newest occurrence; 0 before the first.
    pub occurrence: u32,
    /// The newest acknowledged occurrence.
    pub acknowledged_up_to: u32,
    /// Whether the condition holds.
    pub holds: bool,
    /// When the newest occurrence was announced, by the node's clock.
    pub announced_at: Option<Timestamp>,
    /// What raised it the last time.
    pub raised: Option<Evidence>,
    /// How it is shelved, if it is.
    pub shelving: Option<Shelving>,
    /// How it is out of service, if it is.
    pub out_of_service: Option<Removal>,
    /// Why it is suppressed by design; empty if it is not.
    pub suppressions: Vec<Suppression>,
}

/// The alarms that are not normal, of all registered pumps whose alarms are read from the store, and of the node itself.
/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct StandingAlarms {
    pumps: Arc<RwLock<BTreeMap<PumpId, Arc<[StandingAlarm]>>>>,
    node: Arc<RwLock<Arc<[StandingAlarm]>>>,
}

impl StandingAlarms {
    /// Returns the alarms of a pump.
    pub fn of(&self, pump: &PumpId) -> Arc<[StandingAlarm]> {
        self.pumps.read().get(pump).cloned().unwrap_or_default()
    }

    /// Returns the alarms of all pumps whose alarms are known, sorted by pump.
    pub fn all(&self) -> Vec<(PumpId, Arc<[StandingAlarm]>)> {
        self.pumps.read().iter().map(|(pump, alarms)| (pump.clone(), alarms.clone())).collect()
    }

    /// Returns the alarms of the node itself.
    pub fn of_node(&self) -> Arc<[StandingAlarm]> {
        self.node.read().clone()
    }

    /// Replaces the alarms of the node itself.
    pub(crate) fn set_node(&self, alarms: Vec<StandingAlarm>) {
        *self.node.write() = alarms.into();
    }

    /// Returns whether the alarms of a pump are known. At a start they are not, until its actor has read them.
    pub fn knows(&self, pump: &PumpId) -> bool {
        self.pumps.read().contains_key(pump)
    }

    /// Forgets a removed pump.
    pub(crate) fn remove(&self, pump: &PumpId) {
        self.pumps.write().remove(pump);
    }

    /// Replaces the alarms of a pump.
    pub(crate) fn set(&self, pump: &PumpId, alarms: Vec<StandingAlarm>) {
        self.pumps.write().insert(pump.clone(), alarms.into());
    }
}

/// The compiled alarms of each profile, so that pumps with the same alarms share them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArmedCache(Arc<RwLock<Vec<(Profile, ArmedAlarms)>>>);

/// The maximum number of profiles whose alarms are kept. A pump with its own interval has a profile of its own.
const MAX_CACHED: usize = 64;

impl ArmedCache {
    /// Returns the alarms of a pump. A pump with alarms of its own shares none.
    pub(crate) fn get(&self, pump: &PumpId, profile: &Profile, rules: Option<&AlarmRules>) -> ArmedAlarms {
        if rules.is_some() {
            return arm_stored(pump, profile, rules);
        }
        let known = self.0.read().iter().find(|(known, _)| known.is_same(profile)).map(|(_, armed)| armed.clone());
        if let Some(armed) = known {
            return armed;
        }
        let armed = arm_stored(pump, profile, None);
        let mut cache = self.0.write();
        if cache.len() >= MAX_CACHED {
            cache.remove(0);
        }
        cache.push((profile.clone(), armed.clone()));
        armed
    }
}

/// Returns what is shown of an alarm.
pub(crate) fn standing_alarm(alarm: &Alarm, definition: Option<&AlarmDefinition>) -> StandingAlarm {
    let (status, id) = (alarm.status(), alarm.key().alarm.clone());
    StandingAlarm {
        title: definition.map_or_else(|| id.to_string(), |definition| definition.title.clone()),
        help: definition.map(|definition| definition.help.clone()).unwrap_or_default(),
        priority: alarm.priority(),
        state: status.state(),
        allowed: status.state().allowed_commands(),
        occurrence: status.occurrence(),
        acknowledged_up_to: status.acknowledged_up_to(),
        holds: status.holds(),
        announced_at: status.announced_at(),
        raised: status.raised().copied(),
        shelving: status.shelving().cloned(),
        out_of_service: status.out_of_service().cloned(),
        suppressions: status.suppressions().iter().cloned().collect(),
        id,
    }
}

/// Returns the alarms of a pump that stand, as evidence of a maintenance event: those whose condition holds, also if they
/// are shelved or suppressed, and those that wait for a person. The highest priority comes first, and the oldest of these.
pub(crate) fn alarm_evidence(alarms: &[StandingAlarm]) -> Vec<EvidenceAlarm> {
    let mut standing: Vec<&StandingAlarm> =
        alarms.iter().filter(|alarm| alarm.holds || alarm.state.is_standing()).collect();
    standing.sort_by_key(|alarm| (std::cmp::Reverse(alarm.priority), alarm.announced_at));
    let evidence = standing.into_iter().map(|alarm| EvidenceAlarm {
        alarm: alarm.id.to_string(),
        title: alarm.title.clone(),
        priority: alarm.priority.as_str().to_owned(),
        state: alarm.state.as_str().to_owned(),
        occurrence: alarm.occurrence,
        raised_at: alarm.announced_at,
        value: alarm.raised.and_then(|raised| raised.value),
        limit: alarm.raised.and_then(|raised| raised.limit),
    });
    evidence.collect()
}

/// Returns the definitions of a pump: those of its profile, with the pump's own in place of those of the same id, and
/// without those that it does not have.
pub fn definitions(profile: &Profile, rules: Option<&AlarmRules>) -> Vec<AlarmDefinition> {
    let mut definitions = profile_alarms(profile);
    let Some(AlarmRules { definitions: own, removed, .. }) = rules else { return definitions };
    definitions.retain(|definition| !removed.contains(&definition.id));
    replaced(definitions, own.iter().cloned())
}

/// Checks and compiles the alarms of a pump. Returns all mistakes.
pub fn arm(profile: &Profile, rules: Option<&AlarmRules>) -> Result<ArmedAlarms, Vec<InvalidValue>> {
    ArmedAlarms::compile(profile, &definitions(profile, rules))
}

/// Checks and compiles the alarms of a pump. Stored rules that no longer fit the profile, because it was changed, are
/// left out, and the log says so.
pub(crate) fn arm_stored(pump: &PumpId, profile: &Profile, rules: Option<&AlarmRules>) -> ArmedAlarms {
    let refused = |what: &str, mistakes: Vec<InvalidValue>| {
        let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
        tracing::error!(pump = pump.as_str(), error = first, mistakes = mistakes.len(), "{what} not armed");
    };
    match (arm(profile, rules), rules) {
        (Ok(armed), _) => armed,
        (Err(mistakes), Some(_)) => {
            refused("the pump's own alarms are", mistakes);
            arm_stored(pump, profile, None)
        }
        (Err(mistakes), None) => {
            refused("the profile's alarms are", mistakes);
            ArmedAlarms::default()
        }
    }
}
