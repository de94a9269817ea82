//! Documents: records that are rare and small, replaced as a whole when they change, and stored by the names of their
//! fields. Audit entries and maintenance events are documents. Readings and detections are not, because there are too
//! many.
//!
//! A kind of document is declared once, by implementing [`DocumentKind`]. The store derives the rest:
//!
//! ```text
//! commit      check that it can be read again, then write it to the journal as JSON with its table and key
//! head        the newest of each key, in memory until it is flushed (`head/other_rows.rs`)
//! flush       a row `table:[key]` with the same fields (`documents.rs`); the table is defined at the start
//! read        one by its key, or a page by pump and time, head and database as one (`Store::document`, `Store::documents`)
//! removal     documents of a pump are deleted with it (`removal.rs`)
//! retention   documents of a kind with a retention are deleted when they are older (`retention.rs`)
//! export      one JSON object per line (`export/documents.rs`), unless the kind is secret
//! backup      with the journal and the database that they are in
//! ```
//!
//! # A new kind
//!
//! Example: comments on a pump, kept for ten years. The file `store/comment.rs` is:
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
//!     const KEY_PREFIX: KeyPrefix = KeyPrefix::Pump;
//!     const BELONGS_TO_PUMP: bool = true;
//!     const RETENTION: Option<Duration> = Some(Duration::from_secs(10 * 365 * 86_400));
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
//! In addition it needs its `mod` in `store.rs` and a line in `document_kinds.rs`: `KindInfo::of::<Comment>()`. A
//! comment is stored with `Batch { documents: vec![Document::of(&comment)], .. }` and read with
//! `store.documents::<Comment>(..)`.
//!
//! No record user of the database can read a new kind. A kind that roles may read is defined in a migration, with the
//! permissions of its table, as in `schema/0013_permissions.surql`.
//!
//! A field that is added later is `#[serde(default)]`, because older rows do not have it. A version that does not know
//! a field ignores it when it reads a document, and drops it when it replaces the document. The meaning of a field
//! never changes.
//!
//! Does not delete single documents. For example, a session that has ended is marked in a field, and deleted by its
//! age. Does not look documents up by anything but key, pump and time.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use volute_plant::{PumpId, Timestamp};

/// The fields of a document by name.
pub(crate) type Fields = Map<String, Value>;

/// The field with the pump's id, in documents that belong to a pump.
pub(crate) const PUMP: &str = "pump";

/// A kind of document; see the module documentation.
pub trait DocumentKind: Sized {
    /// The table in the database, and the kind's name in the journal and in exports: lower-case letters and `_`. It
    /// never changes.
    const TABLE: &'static str;
    /// The field with the document's time, in milliseconds since 1970.
    const TIME_FIELD: &'static str = "at_ms";
    /// What keys of this kind begin with. It lets a page read only a part of the table.
    const KEY_PREFIX: KeyPrefix;
    /// Whether documents of this kind belong to the pump in their field `pump`, and are removed with it.
    const BELONGS_TO_PUMP: bool;
    /// Whether a document may belong to no pump, although its kind belongs to pumps.
    const PUMP_IS_OPTIONAL: bool = false;
    /// How long a document is kept, counted from its time; none: for ever.
    const RETENTION: Option<Duration>;
    /// Whether exports leave out this kind. Must be true for passwords and tokens.
    const SECRET: bool = false;

    /// The fields as they are stored. Their names never change, even if the names in the Rust type do.
    type Fields: Serialize + DeserializeOwned;

    /// Returns the document's key, which is unique within its kind: a document with the same key replaces it.
    fn key(&self) -> DocumentKey;

    /// Returns the fields to store.
    fn to_fields(&self) -> Self::Fields;

    /// Creates the document from stored fields. Fails if the fields contradict each other.
    fn from_fields(fields: Self::Fields) -> Result<Self, String>;
}

/// What the keys of a kind begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPrefix {
    /// The document's time, in milliseconds since 1970.
    Time,
    /// The id of its pump.
    Pump,
    /// Something else: every page reads the whole table.
    Other,
}

/// The key of a document within its kind: texts and numbers. The journal's encoding follows this type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DocumentKey(Vec<KeyPart>);

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyPart {
    /// A number, such as a time in milliseconds since 1970.
    Number(i64),
    /// A text, such as a pump's id.
    Text(String),
}

/// A document of any kind, in encoded form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    table: Cow<'static, str>,
    key: DocumentKey,
    /// Only for kinds that belong to a pump.
    pump: Option<PumpId>,
    /// Its fields as JSON.
    json: String,
}

impl DocumentKey {
    /// Creates a key from its parts.
    pub fn new(parts: impl IntoIterator<Item = KeyPart>) -> Self {
        Self(parts.into_iter().collect())
    }

    /// Returns its parts.
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
    /// Encodes a document. A document that could not be read again is refused by the commit.
    pub fn of<K: DocumentKind>(what: &K) -> Self {
        let fields = match serde_json::to_value(what.to_fields()) {
            Ok(Value::Object(fields)) => fields,
            // The commit refuses a document without fields.
            Ok(_) | Err(_) => Map::new(),
        };
        let pump = fields.get(PUMP).filter(|_| K::BELONGS_TO_PUMP).and_then(Value::as_str);
        let pump = pump.and_then(|pump| PumpId::from_stored(pump).ok());
        let json = Value::Object(fields).to_string();
        Self { table: Cow::Borrowed(K::TABLE), key: what.key(), pump, json }
    }

    /// Creates it from the journal's encoding.
    pub(crate) fn stored(table: String, key: DocumentKey, pump: Option<PumpId>, json: String) -> Self {
        Self { table: Cow::Owned(table), key, pump, json }
    }

    /// Returns the table, which is the name of its kind.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Returns its key.
    pub fn key(&self) -> &DocumentKey {
        &self.key
    }

    /// Returns the pump that it belongs to, if its kind belongs to pumps.
    pub fn pump(&self) -> Option<&PumpId> {
        self.pump.as_ref()
    }

    /// Returns its fields as JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Returns its fields by name.
    pub(crate) fn fields(&self) -> Result<Fields, String> {
        serde_json::from_str(&self.json).map_err(|error| error.to_string())
    }

    /// Decodes the document; none if it is of another kind.
    pub fn read<K: DocumentKind>(&self) -> Option<Result<K, String>> {
        (self.table == K::TABLE).then(|| self.fields().and_then(|fields| read(fields).map(|(_, what)| what)))
    }

    /// Returns its name for error messages.
    pub(crate) fn name(&self) -> String {
        let part = |part: &KeyPart| match part {
            KeyPart::Number(number) => number.to_string(),
            KeyPart::Text(text) => format!("{text:?}"),
        };
        let parts: Vec<String> = self.key.0.iter().map(part).collect();
        format!("{}:[{}]", self.table, parts.join(", "))
    }

    /// Returns about how many bytes of memory it takes.
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

/// Decodes a document from its fields. Returns it with its time.
pub(crate) fn read<K: DocumentKind>(fields: Fields) -> Result<(Timestamp, K), String> {
    let at = time(&fields, K::TIME_FIELD)?;
    let fields = serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    Ok((at, K::from_fields(fields)?))
}

/// Reads a field that holds a time.
pub(crate) fn time(fields: &Fields, name: &str) -> Result<Timestamp, String> {
    let ms = fields.get(name).and_then(Value::as_i64).ok_or_else(|| format!("it has no time in the field {name}"))?;
    Timestamp::from_millis(ms).map_err(|error| error.to_string())
}
