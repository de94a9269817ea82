//! Exports all documents to one file, one JSON object per line.
//!
//! ```text
//! {"kind":"audit_log","key":[1773051273000,"5d1f..."],"fields":{"action":"restart","at_ms":1773051273000, ...}}
//! {"kind":"maintenance_events","key":["P-1","bearing-hot",1773051273000],"fields":{"advice": ...}}
//! ```
//!
//! Secret kinds of documents are left out. Does not import such a file; use a backup for that.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use serde_json::{Value, json};

use super::ExportError;
use crate::{KeyPart, NewFile, Store, store::DOCUMENT_KINDS};

/// Writes all documents to a new file and syncs it. Returns the number of documents.
///
/// Blocks on disk I/O, so it must run on a thread that may block.
pub async fn export_documents(store: &Store, path: &Path) -> Result<u64, ExportError> {
    let file_error = |source| ExportError::File { path: path.to_owned(), source };
    let file = NewFile::create(path).map_err(file_error)?;
    let mut written = 0;
    let mut out = BufWriter::new(file.handle().map_err(file_error)?);
    for kind in DOCUMENT_KINDS.iter().filter(|kind| !kind.secret) {
        for (key, fields) in store.all_documents(kind).await? {
            let key: Vec<Value> = key.parts().iter().map(key_part).collect();
            writeln!(out, "{}", json!({ "kind": kind.table, "key": key, "fields": fields })).map_err(file_error)?;
            written += 1;
        }
    }
    out.flush().map_err(file_error)?;
    drop(out);
    match file.publish() {
        Ok(_) => Ok(written),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(ExportError::Exists { path: path.to_owned() })
        }
        Err(source) => Err(file_error(source)),
    }
}

fn key_part(part: &KeyPart) -> Value {
    match part {
        KeyPart::Number(number) => (*number).into(),
        KeyPart::Text(text) => text.as_str().into(),
    }
}
