//! Entries of the audit log: what users requested of a node, and the outcome.
//!
//! An entry is a document that never changes. When it is stored, it becomes a link of a chain (`audit_chain.rs`), and
//! its key is the negative of its time and its number in the chain, so that the table's first rows are the newest
//! entries. Entries of versions without the chain have their time and a hash of their fields as the key. Does not check
//! who may request what.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use volute_access::Principal;
use volute_plant::Timestamp;

use super::{
    audit_action::AuditAction,
    audit_chain::{ChainHash, ChainLink},
    document::{DocumentKey, DocumentKind, KeyPrefix},
};

/// The maximum length of a text in an entry, in characters: a client can send a path of any length.
const MAX_TEXT_CHARS: usize = 300;
/// The maximum length of a value before or after a change, in characters. A profile is recorded by its hash.
const MAX_VALUE_CHARS: usize = 2_000;
/// The outcome of an action that was carried out.
const DONE: &str = "done";

/// What a user requested, and the outcome. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditEntry {
    /// The time of the request.
    pub at: Timestamp,
    /// Who requested it: `user ada`, `token gateway-1 <id>`, `uid 0` for a command on the node's machine, or the
    /// address of a client without credentials.
    pub who: String,
    /// The action, such as `restart`. A stored entry may have an action that this binary does not know.
    pub action: String,
    /// What it applies to, such as the id of an actor or a pump.
    pub object: String,
    /// `done`, or the reason of the refusal.
    pub outcome: String,
    /// More details, in short; may be empty.
    pub detail: String,
    /// The request.
    pub request: RequestOrigin,
    /// What the action changed.
    pub change: Change,
    /// Its place in the chain. None until it is stored, and for entries of versions without the chain.
    pub link: Option<ChainLink>,
}

/// Where a request comes from. Empty for a command on the node's machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestOrigin {
    /// The client's address and port.
    pub peer: Option<String>,
    /// The header `Origin`: the site whose page sent it.
    pub origin: Option<String>,
    /// The id of the request, which its response and the log have too.
    pub id: Option<String>,
}

/// A value before and after an action; none if there is no such value.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The value before.
    pub before: Option<String>,
    /// The value after.
    pub after: Option<String>,
}

impl Change {
    /// Creates a change. Long values are truncated.
    pub fn new(before: Option<String>, after: Option<String>) -> Self {
        let short = |value: Option<String>| value.map(|value| truncated(&value, MAX_VALUE_CHARS));
        Self { before: short(before), after: short(after) }
    }
}

impl AuditEntry {
    /// Creates the entry of an action that was carried out. A long text is truncated.
    pub fn done(at: Timestamp, who: &Principal, action: AuditAction, object: &str) -> Self {
        Self::new(at, &who.to_string(), action.as_str(), object)
    }

    /// Creates the entry of an action that was carried out, with texts. A long text is truncated.
    pub fn new(at: Timestamp, who: &str, action: &str, object: &str) -> Self {
        Self {
            at,
            who: short(who),
            action: short(action),
            object: short(object),
            outcome: DONE.into(),
            detail: String::new(),
            request: RequestOrigin::default(),
            change: Change::default(),
            link: None,
        }
    }

    /// Returns whether the action was carried out.
    pub fn is_done(&self) -> bool {
        self.outcome == DONE
    }

    /// Returns the entry with these details.
    pub fn detail(self, detail: &str) -> Self {
        Self { detail: short(detail), ..self }
    }

    /// Returns the entry with the origin of its request. A long header is truncated.
    pub fn from_request(self, RequestOrigin { peer, origin, id }: RequestOrigin) -> Self {
        Self { request: RequestOrigin { peer, origin: origin.map(|origin| short(&origin)), id }, ..self }
    }

    /// Returns the entry with what the action changed.
    pub fn changed(self, change: Change) -> Self {
        Self { change, ..self }
    }

    /// Returns the entry as refused, with the reason.
    pub fn refused(self, why: &str) -> Self {
        Self { outcome: short(why), ..self }
    }

    /// Returns the entry as the link `number` of the chain, after the entry with the hash `previous`.
    pub(super) fn linked(self, number: u64, previous: ChainHash) -> Result<Self, String> {
        let open = Self { link: Some(ChainLink { number, previous, hash: ChainHash::ZERO }), ..self };
        let fields = serde_json::to_value(open.to_fields()).map_err(|error| error.to_string())?;
        let fields = fields.as_object().ok_or("it has no fields")?;
        let hash = ChainHash::of(fields);
        Ok(Self { link: Some(ChainLink { number, previous, hash }), ..open })
    }
}

/// The stored fields. `schema/0006_audit_log.surql` describes the first six; later ones are absent in older entries.
#[derive(Serialize, Deserialize)]
pub struct AuditFields {
    at_ms: i64,
    who: String,
    action: String,
    object: String,
    outcome: String,
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// Its number in the chain, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    /// The hash of the entry before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<ChainHash>,
    /// The hash of this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<ChainHash>,
}

impl DocumentKind for AuditEntry {
    const TABLE: &'static str = "audit_log";
    // Keys of both forms are in the table; see `audit.rs` for how pages are read.
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Other;
    const BELONGS_TO_PUMP: bool = false;
    // The oldest are deleted in the order of the chain; see `audit_retention.rs`.
    const RETENTION: Option<Duration> = None;
    type Fields = AuditFields;

    fn key(&self) -> DocumentKey {
        match &self.link {
            Some(link) => {
                DocumentKey::new([(-self.at.millis()).into(), (-i64::try_from(link.number).unwrap_or(i64::MAX)).into()])
            }
            None => DocumentKey::new([self.at.millis().into(), hash(self).as_str().into()]),
        }
    }

    fn to_fields(&self) -> AuditFields {
        let Self { at, who, action, object, outcome, detail, request, change, link } = self.clone();
        let RequestOrigin { peer, origin, id } = request;
        let Change { before, after } = change;
        AuditFields {
            at_ms: at.millis(),
            who,
            action,
            object,
            outcome,
            detail,
            peer,
            origin,
            request_id: id,
            before,
            after,
            number: link.map(|link| link.number),
            previous: link.map(|link| link.previous),
            hash: link.map(|link| link.hash),
        }
    }

    fn from_fields(fields: AuditFields) -> Result<Self, String> {
        let AuditFields { at_ms, who, action, object, outcome, detail, peer, origin, request_id, .. } = fields;
        let AuditFields { before, after, number, previous, hash, .. } = fields;
        let at = Timestamp::from_millis(at_ms).map_err(|error| error.to_string())?;
        let (request, change) = (RequestOrigin { peer, origin, id: request_id }, Change { before, after });
        let link = match (number, previous, hash) {
            (Some(number), Some(previous), Some(hash)) => Some(ChainLink { number, previous, hash }),
            _ => None,
        };
        Ok(Self { at, who, action, object, outcome, detail, request, change, link })
    }
}

/// Returns the first half of a SHA-256 over the fields that entries without the chain have, except the time, each
/// preceded by its length.
fn hash(entry: &AuditEntry) -> String {
    let AuditEntry { who, action, object, outcome, detail, .. } = entry;
    let mut hasher = Sha256::new();
    for field in [who, action, object, outcome, detail] {
        hasher.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the text, truncated if it is too long.
fn short(text: &str) -> String {
    truncated(text, MAX_TEXT_CHARS)
}

fn truncated(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_two_characters() {
        for text in ["", "P-1", &"é".repeat(MAX_TEXT_CHARS)] {
            assert_eq!(short(text), text);
        }
        assert_eq!(short(&"é".repeat(MAX_TEXT_CHARS + 1)), "é".repeat(MAX_TEXT_CHARS) + "…");
    }
}
