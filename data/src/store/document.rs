//! Documents: records that are rare and small, changed by being replaced as a whole, and stored by the names of their
//! fields. Audit entries and maintenance events are documents; readings and detections are not, there are too many.
//!
//! A kind of document is declared once ([`DocumentKind`]), and the rest follows from that:
//!
//! ```text
//! commit      checked to be readable again, then written to the journal as JSON under table and key
//! head        the newest of each key, in memory until it is flushed (`head/news.rs`)
//! flush       a row `table:[key]` with the same fields (`documents.rs`); the table is defined at the start
//! read        one by its key, or a page by pump and time, head and database as one (`Store::document`, `Store::documents`)
//! removal     those with a pump go with it (`removal.rs`)
//! retention   those with an age go when they are older (`retention.rs`)
//! export      one JSON object a line (`export/documents.rs`), unless the kind is secret
//! backup      with the journal and the database that they are in
//! ```
//!
//! # A new kind
//!
//! Comments on a pump, kept for ten years, are a file `store/comment.rs`:
//!
//! ```text
//! #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
//! pub struct Comment {
//!     pub pump: PumpId,
//!     pub at_ms: i64,
//!     pub who: String,
//!     pub text: String,
//! }
//!
//! impl DocumentKind for Comment {
//!     const TABLE: &'static str = "comment";
//!     const KEY_BEGINS: KeyBegins = KeyBegins::WithPump;
//!     const WITH_PUMP: bool = true;
//!     const AGE: Option<Duration> = Some(Duration::from_secs(10 * 365 * 86_400));
//!     type Fields = Self;
//!
//!     fn key(&self) -> DocumentKey {
//!         DocumentKey::new([self.pump.as_str().into(), self.at_ms.into(), self.who.as_str().into()])
//!     }
//!     fn to_fields(&self) -> Self {
//!         self.clone()
//!     }
//!     fn from_fields(fields: Self) -> Result<Self, String> {
//!         Ok(fields)
//!     }
//! }
//! ```
//!
//! its `mod` in `store.rs`, and a line in `kinds.rs`: `KindInfo::of::<Comment>()`. It is stored with `Batch { documents: vec![Document::of(&comment)], .. }`
//! and read with `store.documents::<Comment>(..)`.
//!
//! A field that is added later is `#[serde(default)]`: older rows do not have it. Fields that a version does not know are
//! passed over when it reads, and are gone when it replaces the document. A field is never given another meaning.
//!
//! Does not delete a single document: a session that has ended says so in a field, and goes by its age. Does not look one
//! up by anything but key, pump and time.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use volute_plant::{PumpId, Timestamp};

/// The fields of a document by their names.
pub(crate) type Fields = Map<String, Value>;

/// The field that names the pump of a document that goes with one.
pub(crate) const PUMP: &str = "pump";

/// A kind of document; see the module's head.
pub trait DocumentKind: Sized {
    /// Its table in the database, and its name in the journal and in exports: small letters and `_`. It never changes.
    const TABLE: &'static str;
    /// The field that holds its time, in milliseconds since 1970.
    const TIME: &'static str = "at_ms";
    /// What its keys begin with, so that a page need not read the whole table.
    const KEY_BEGINS: KeyBegins;
    /// Whether it is removed with its pump, which the field `pump` names.
    const WITH_PUMP: bool;
    /// How long it is kept from its time on; none: for good.
    const AGE: Option<Duration>;
    /// Whether it is left out of exports, as passwords and tokens are.
    const SECRET: bool = false;

    /// Its fields as they are stored. Their names never change, whatever becomes of the type's own.
    type Fields: Serialize + DeserializeOwned;

    /// What tells it from the others of its kind: a document of the same key takes its place.
    fn key(&self) -> DocumentKey;

    /// What is stored of it.
    fn to_fields(&self) -> Self::Fields;

    /// What was stored. An error where the fields contradict each other.
    fn from_fields(fields: Self::Fields) -> Result<Self, String>;
}

/// What the keys of a kind begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyBegins {
    /// The document's time, in milliseconds since 1970.
    WithTime,
    /// The id of its pump.
    WithPump,
    /// Neither: every page reads the whole table.
    Otherwise,
}

/// What tells a document from the others of its kind: texts and numbers. It is written to the journal as it is here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DocumentKey(Vec<KeyPart>);

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyPart {
    /// A number, as a time in milliseconds since 1970.
    Number(i64),
    /// A text, as a pump's id.
    Text(String),
}

/// A document of any kind, on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    table: Cow<'static, str>,
    key: DocumentKey,
    /// Only where it goes with its pump.
    pump: Option<PumpId>,
    /// Its fields.
    json: String,
}

impl DocumentKey {
    /// A key of these parts.
    pub fn new(parts: impl IntoIterator<Item = KeyPart>) -> Self {
        Self(parts.into_iter().collect())
    }

    /// Its parts.
    pub(crate) fn parts(&self) -> &[KeyPart] {
        &self.0
    }
}

impl From<i64> for KeyPart {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for KeyPart {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Document {
    /// As it is committed. Where it could not be read again, the commit refuses it.
    pub fn of<K: DocumentKind>(what: &K) -> Self {
        let fields = match serde_json::to_value(what.to_fields()) {
            Ok(Value::Object(fields)) => fields,
            // Without any field: refused.
            Ok(_) | Err(_) => Map::new(),
        };
        let pump = fields.get(PUMP).filter(|_| K::WITH_PUMP).and_then(Value::as_str);
        let pump = pump.and_then(|pump| PumpId::stored(pump).ok());
        let json = Value::Object(fields).to_string();
        Self { table: Cow::Borrowed(K::TABLE), key: what.key(), pump, json }
    }

    /// As it came back from the journal.
    pub(crate) fn stored(table: String, key: DocumentKey, pump: Option<PumpId>, json: String) -> Self {
        Self { table: Cow::Owned(table), key, pump, json }
    }

    /// Its kind.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// What tells it from the others of its kind.
    pub fn key(&self) -> &DocumentKey {
        &self.key
    }

    /// The pump that it is removed with.
    pub fn pump(&self) -> Option<&PumpId> {
        self.pump.as_ref()
    }

    /// Its fields, as JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Its fields by name.
    pub(crate) fn fields(&self) -> Result<Fields, String> {
        serde_json::from_str(&self.json).map_err(|error| error.to_string())
    }

    /// The typed document; none where it is of another kind.
    pub fn read<K: DocumentKind>(&self) -> Option<Result<K, String>> {
        (self.table == K::TABLE).then(|| self.fields().and_then(|fields| read(fields).map(|(_, what)| what)))
    }

    /// Its name in errors.
    pub(crate) fn name(&self) -> String {
        let part = |part: &KeyPart| match part {
            KeyPart::Number(number) => number.to_string(),
            KeyPart::Text(text) => format!("{text:?}"),
        };
        let parts: Vec<String> = self.key.0.iter().map(part).collect();
        format!("{}:[{}]", self.table, parts.join(", "))
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let part = |part: &KeyPart| match part {
            KeyPart::Number(_) => 0,
            KeyPart::Text(text) => text.len(),
        };
        size_of::<Self>()
            + self.json.len()
            + self.key.0.iter().map(|key| size_of::<KeyPart>() + part(key)).sum::<usize>()
    }
}

/// The document that these fields are, and its time.
pub(crate) fn read<K: DocumentKind>(fields: Fields) -> Result<(Timestamp, K), String> {
    let at = time(&fields, K::TIME)?;
    let fields = serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    Ok((at, K::from_fields(fields)?))
}

/// A field that holds a time.
pub(crate) fn time(fields: &Fields, name: &str) -> Result<Timestamp, String> {
    let ms = fields.get(name).and_then(Value::as_i64).ok_or_else(|| format!("it has no time in the field {name}"))?;
    Timestamp::from_millis(ms).map_err(|error| error.to_string())
}
