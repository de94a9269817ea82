//! All documents in one file: a JSON object a line.
//!
//! ```text
//! {"kind":"audit_log","key":[1773051273000,"5d1f..."],"fields":{"action":"restart","at_ms":1773051273000, ...}}
//! {"kind":"maintenance_events","key":["P-1","bearing-hot",1773051273000],"fields":{"advice": ...}}
//! ```
//!
//! Kinds that are secret are left out. Does not read such a file back; a backup does that.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use serde_json::{Value, json};

use super::ExportError;
use crate::{KeyPart, NewFile, Store, store::KINDS};

/// Writes all documents into a new file, down to the disk. Returns how many they are.
///
/// Blocks on the disk: for a thread that may.
pub async fn export_documents(store: &Store, path: &Path) -> Result<u64, ExportError> {
    let failed = |source| ExportError::File { path: path.to_owned(), source };
    let file = NewFile::create(path).map_err(failed)?;
    let mut written = 0;
    let mut out = BufWriter::new(file.handle().map_err(failed)?);
    for kind in KINDS.iter().filter(|kind| !kind.secret) {
        for (key, fields) in store.all_documents(kind).await? {
            let key: Vec<Value> = key.parts().iter().map(part).collect();
            writeln!(out, "{}", json!({ "kind": kind.table, "key": key, "fields": fields })).map_err(failed)?;
            written += 1;
        }
    }
    out.flush().map_err(failed)?;
    drop(out);
    match file.publish() {
        Ok(_) => Ok(written),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(ExportError::Exists { path: path.to_owned() })
        }
        Err(source) => Err(failed(source)),
    }
}

fn part(part: &KeyPart) -> Value {
    match part {
        KeyPart::Number(number) => (*number).into(),
        KeyPart::Text(text) => text.as_str().into(),
    }
}
