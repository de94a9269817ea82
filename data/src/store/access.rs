//! Users, sessions and pump tokens as documents, and reading all of them.
//!
//! A running node holds all of them in memory: it reads them at the start, and after that only writes them. If the
//! database cannot be opened at the start, the node reads a copy from the file `access`. Without the copy, it would
//! have to admit everybody or to refuse its own pumps. Records in the journal are newer than the copy.
//!
//! The records themselves are in [`volute_access`]. They contain hashes of passwords and secrets, and are not exported.

use std::{collections::BTreeMap, io, time::Duration};

use serde::Deserialize;
use volute_access::{PumpToken, Record, Session, User};
use volute_journal::durable::write_file;

use super::{
    Store, StoreError,
    document::{self, Document, DocumentKey, DocumentKind, KeyPrefix},
    document_kinds::{KindInfo, kind_of},
    folder,
};

/// How long a session is kept after its login: longer than any session lasts.
const SESSION_RETENTION: Duration = Duration::from_secs(90 * 86_400);

/// Declares a kind of document whose record is stored as it is.
macro_rules! access_kind {
    ($kind:ident, $table:literal, $retention:expr, $key:ident) => {
        impl DocumentKind for $kind {
            const TABLE: &'static str = $table;
            const KEY_PREFIX: KeyPrefix = KeyPrefix::Other;
            const BELONGS_TO_PUMP: bool = false;
            const RETENTION: Option<Duration> = $retention;
            const SECRET: bool = true;
            type Fields = Self;

            fn key(&self) -> DocumentKey {
                DocumentKey::new([self.$key.as_str().into()])
            }

            fn to_fields(&self) -> Self {
                self.clone()
            }

            fn from_fields(fields: Self) -> Result<Self, String> {
                Ok(fields)
            }
        }
    };
}

access_kind!(User, "user", None, name);
access_kind!(Session, "session", Some(SESSION_RETENTION), id);
access_kind!(PumpToken, "api_token", None, id);

impl Document {
    /// Encodes a user, session or token.
    pub fn of_access(record: &Record) -> Self {
        match record {
            Record::User(user) => Self::of(user),
            Record::Session(session) => Self::of(session),
            Record::PumpToken(token) => Self::of(token),
        }
    }
}

/// The content of the file `access`.
#[derive(Deserialize)]
struct AccessCopy {
    records: Vec<Record>,
}

impl Store {
    /// Returns all users, sessions and tokens. While the database is unavailable, reads them from the copy and the
    /// head; fails if there is no copy.
    pub async fn access_records(&self) -> Result<Vec<Record>, StoreError> {
        let stored = async {
            let users = self.access_kind::<User>().await?.into_iter().map(Record::User);
            let sessions = self.access_kind::<Session>().await?.into_iter().map(Record::Session);
            let tokens = self.access_kind::<PumpToken>().await?.into_iter().map(Record::PumpToken);
            Ok(users.chain(sessions).chain(tokens).collect())
        };
        match stored.await {
            Ok(records) => Ok(records),
            Err(error) => {
                let reason = StoreError::into_outage_reason(error)?;
                tracing::warn!(reason, "users and tokens are read from their copy");
                self.copied_access_records()
            }
        }
    }

    /// Writes the copy. Blocks on the disk.
    pub fn write_access_copy(&self, records: &[Record]) -> io::Result<()> {
        let bytes = serde_json::to_vec(&serde_json::json!({ "records": records })).map_err(io::Error::other)?;
        write_file(&self.dir().join(folder::ACCESS), &bytes)
    }

    async fn access_kind<K: DocumentKind>(&self) -> Result<Vec<K>, StoreError> {
        let kind: &KindInfo = kind_of::<K>();
        let all = self.all_documents(kind).await?;
        let read = |(key, fields)| {
            let document = Document::stored(K::TABLE.to_owned(), key, None, String::new());
            let unreadable = |reason| StoreError::Unreadable { row: document.name(), reason };
            document::read::<K>(fields).map(|(_, record)| record).map_err(unreadable)
        };
        all.into_iter().map(read).collect()
    }

    fn copied_access_records(&self) -> Result<Vec<Record>, StoreError> {
        let path = self.dir().join(folder::ACCESS);
        let unavailable = |reason: String| StoreError::Unavailable { reason };
        let bytes = std::fs::read(&path).map_err(|error| unavailable(format!("{}: {error}", path.display())))?;
        let copy: AccessCopy = serde_json::from_slice(&bytes).map_err(|error| unavailable(error.to_string()))?;
        let key = |record: &Record| {
            let document = Document::of_access(record);
            (document.table().to_owned(), document.key().clone())
        };
        let mut records: BTreeMap<(String, DocumentKey), Record> =
            copy.records.into_iter().map(|record| (key(&record), record)).collect();
        let head = self.0.head();
        let rows = head.other_rows();
        let users = read_all(rows.documents(User::TABLE), Record::User);
        let sessions = read_all(rows.documents(Session::TABLE), Record::Session);
        let tokens = read_all(rows.documents(PumpToken::TABLE), Record::PumpToken);
        for record in [users?, sessions?, tokens?].into_iter().flatten() {
            records.insert(key(&record), record);
        }
        Ok(records.into_values().collect())
    }
}

fn read_all<'a, K: DocumentKind>(
    documents: impl Iterator<Item = &'a Document>,
    record: fn(K) -> Record,
) -> Result<Vec<Record>, StoreError> {
    let read = |document: &Document| {
        let read = document.fields().and_then(document::read::<K>);
        read.map(|(_, what)| record(what)).map_err(|reason| StoreError::Unreadable { row: document.name(), reason })
    };
    documents.map(read).collect()
}
