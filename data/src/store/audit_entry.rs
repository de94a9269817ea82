//! What people order of a node, as it stands in the audit log.
//!
//! An entry is a document that never changes and is never deleted. Its key is made of its fields, so that what the journal
//! brings again is the same row. Does not say who may order what.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use volute_plant::Timestamp;

use super::document::{DocumentKey, DocumentKind, KeyBegins};

/// The longest text of an entry, in characters: a path can be as long as its sender likes.
const LONGEST: usize = 300;
/// The outcome of what was carried out.
const DONE: &str = "done";

/// What can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// To build an actor, or a stage, anew.
    Restart,
    /// To learn a pump's normal.
    Commission,
    /// To judge a pump by another version of its baseline.
    ActivateBaseline,
    /// To remove a pump with all that is stored of it.
    RemovePump,
    /// To set what holds for a pump alone.
    SetPump,
    /// To name a pump for people, or to take its name away.
    NamePump,
    /// To add a kind of pump.
    AddProfile,
    /// To assign another profile to a pump.
    AssignProfile,
    /// To make pumps up, in a demo.
    StartSimulation,
    /// To end that.
    StopSimulation,
    /// To make a backup.
    Backup,
    /// To write a pump's readings into a file.
    Export,
    /// To believe the node's clock.
    ConfirmClock,
}

impl AuditAction {
    /// Each of them.
    pub const ALL: [Self; 13] = [
        Self::Restart,
        Self::Commission,
        Self::ActivateBaseline,
        Self::RemovePump,
        Self::SetPump,
        Self::NamePump,
        Self::AddProfile,
        Self::AssignProfile,
        Self::StartSimulation,
        Self::StopSimulation,
        Self::Backup,
        Self::Export,
        Self::ConfirmClock,
    ];

    /// Its name in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Commission => "commission",
            Self::ActivateBaseline => "activate-baseline",
            Self::RemovePump => "remove-pump",
            Self::SetPump => "set-pump",
            Self::NamePump => "name-pump",
            Self::AddProfile => "add-profile",
            Self::AssignProfile => "assign-profile",
            Self::StartSimulation => "start-simulation",
            Self::StopSimulation => "stop-simulation",
            Self::Backup => "backup",
            Self::Export => "export",
            Self::ConfirmClock => "confirm-clock",
        }
    }
}

/// What a person did, or was refused. It never changes; two that are alike in every field are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditEntry {
    /// When it was asked for.
    pub at: Timestamp,
    /// Who asked: there are no users yet, so the peer's address, `uid 0` for a command on the node's machine, or `unknown`.
    pub who: String,
    /// What was asked for, as `restart`; a binary may find the name of one that it does not know.
    pub action: String,
    /// Of what: an actor's or a pump's id, say.
    pub object: String,
    /// `done`, or why it was refused.
    pub outcome: String,
    /// More about it, in short; may be empty.
    pub detail: String,
}

impl AuditEntry {
    /// That something was asked for and done. A long text is cut.
    pub fn done(at: Timestamp, who: String, action: AuditAction, object: &str) -> Self {
        let action = action.as_str().into();
        Self { at, who, action, object: short(object), outcome: DONE.into(), detail: String::new() }
    }

    /// Whether it was carried out.
    pub fn is_done(&self) -> bool {
        self.outcome == DONE
    }

    /// With more about it.
    pub fn detail(self, detail: &str) -> Self {
        Self { detail: short(detail), ..self }
    }

    /// It was not done, and why not.
    pub fn refused(self, why: &str) -> Self {
        Self { outcome: short(why), ..self }
    }
}

/// The fields; their meaning stands in `schema/0006_audit_log.surql`.
#[derive(Serialize, Deserialize)]
pub struct AuditFields {
    at_ms: i64,
    who: String,
    action: String,
    object: String,
    outcome: String,
    detail: String,
}

impl DocumentKind for AuditEntry {
    const TABLE: &'static str = "audit_log";
    const KEY_BEGINS: KeyBegins = KeyBegins::WithTime;
    const WITH_PUMP: bool = false;
    const AGE: Option<Duration> = None;
    type Fields = AuditFields;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.at.millis().into(), hash(self).as_str().into()])
    }

    fn to_fields(&self) -> AuditFields {
        let Self { at, who, action, object, outcome, detail } = self.clone();
        AuditFields { at_ms: at.millis(), who, action, object, outcome, detail }
    }

    fn from_fields(fields: AuditFields) -> Result<Self, String> {
        let AuditFields { at_ms, who, action, object, outcome, detail } = fields;
        let at = Timestamp::from_millis(at_ms).map_err(|error| error.to_string())?;
        Ok(Self { at, who, action, object, outcome, detail })
    }
}

/// The first half of a SHA-256 over all fields but the time, each behind its length.
fn hash(entry: &AuditEntry) -> String {
    let AuditEntry { at: _, who, action, object, outcome, detail } = entry;
    let mut hasher = Sha256::new();
    for field in [who, action, object, outcome, detail] {
        hasher.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The text, or its beginning.
fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_two_characters() {
        for text in ["", "P-1", &"é".repeat(LONGEST)] {
            assert_eq!(short(text), text);
        }
        assert_eq!(short(&"é".repeat(LONGEST + 1)), "é".repeat(LONGEST) + "…");
    }
}
