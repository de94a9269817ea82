//! The migrations of the schema. Each runs once, in order, in one transaction with a row that records it.
//!
//! A released migration never changes. A new one is a new file and a line in [`ALL`]. Example: a database that has the
//! rows `migration:1` to `migration:11` runs number 12 at the next start; one that has `migration:13` is refused by a
//! binary that knows only 12.

use sha2::{Digest, Sha256};
use surrealdb::types::{RecordId, SurrealValue};

use super::{StoreError, engine::DatabaseEngine};

/// One change of the schema.
#[derive(Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) version: u32,
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// The text and the creation of its record, in one transaction.
    pub(crate) transaction: &'static str,
}

macro_rules! migration {
    ($version:expr, $name:literal, $text:expr) => {
        $crate::store::migrations::Migration {
            version: $version,
            name: $name,
            text: $text,
            transaction: concat!("BEGIN;\n", $text, "\nCREATE migration CONTENT $record RETURN NONE;\nCOMMIT;"),
        }
    };
}
#[cfg(test)]
pub(crate) use migration;

/// Every migration, oldest first, numbered from 1.
pub(crate) const ALL: &[Migration] = &[
    migration!(1, "initial", include_str!("../../schema/0001_initial.surql")),
    migration!(2, "limit_alone", include_str!("../../schema/0002_limit_alone.surql")),
    migration!(3, "baseline", include_str!("../../schema/0003_baseline.surql")),
    migration!(BLOCKS, "blocks", include_str!("../../schema/0004_blocks.surql")),
    migration!(5, "pump_state", include_str!("../../schema/0005_pump_state.surql")),
    migration!(6, "audit_log", include_str!("../../schema/0006_audit_log.surql")),
    migration!(7, "pump_removal", include_str!("../../schema/0007_pump_removal.surql")),
    migration!(8, "event_source", include_str!("../../schema/0008_event_source.surql")),
    migration!(9, "pump_setting", include_str!("../../schema/0009_pump_setting.surql")),
    migration!(10, "pump_name", include_str!("../../schema/0010_pump_name.surql")),
    migration!(11, "channel_holds", include_str!("../../schema/0011_channel_holds.surql")),
    migration!(12, "documents", include_str!("../../schema/0012_documents.surql")),
    migration!(13, "permissions", include_str!("../../schema/0013_permissions.surql")),
    migration!(14, "planned_work", include_str!("../../schema/0014_planned_work.surql")),
];

/// The migration that replaces single rows of readings and detections by blocks. The rows must be read before it runs
/// ([`super::legacy`]).
pub(crate) const BLOCKS: u32 = 4;

/// Creates the table that records which migrations have run. It is not itself a migration.
const MIGRATION_TABLE: &str = "
    DEFINE TABLE IF NOT EXISTS migration SCHEMAFULL PERMISSIONS NONE;
    DEFINE FIELD IF NOT EXISTS name ON migration TYPE string;
    DEFINE FIELD IF NOT EXISTS sha256 ON migration TYPE string;
";

/// `migration:version`
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct Record {
    id: RecordId,
    name: String,
    sha256: String,
}

/// A record without its table.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct Applied {
    version: u32,
    sha256: String,
}

/// Returns the newest migration that has run; 0: none.
pub(crate) async fn version(engine: &DatabaseEngine) -> Result<u32, StoreError> {
    Ok(applied(engine).await?.iter().map(|applied| applied.version).max().unwrap_or(0))
}

async fn applied(engine: &DatabaseEngine) -> Result<Vec<Applied>, StoreError> {
    engine.execute(MIGRATION_TABLE, []).await?;
    engine.rows("SELECT VALUE { version: record::id(id), sha256: sha256 } FROM migration", []).await
}

/// Runs those of `migrations` that have not run yet.
pub(crate) async fn apply<'a>(
    engine: &DatabaseEngine,
    migrations: impl IntoIterator<Item = &'a Migration>,
) -> Result<(), StoreError> {
    let migrations: Vec<&Migration> = migrations.into_iter().collect();
    let applied = applied(engine).await?;
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
    if let Some(found) = applied.iter().map(|applied| applied.version).max().filter(|found| *found > known) {
        return Err(StoreError::Newer { found, known });
    }
    for migration in migrations {
        let &Migration { version, name, .. } = migration;
        let sha256 = sha256(migration.text);
        match applied.iter().find(|applied| applied.version == version) {
            Some(applied) if applied.sha256 == sha256 => {}
            Some(_) => return Err(StoreError::OtherMigration { version, name }),
            None => {
                let id = RecordId::new("migration", i64::from(version));
                let record = Record { id, name: name.to_owned(), sha256 };
                engine.execute(migration.transaction, [("record", record.into_value())]).await?;
                // The first migrations of a new database are logged at debug level.
                match applied.is_empty() {
                    true => tracing::debug!(version, name, "migrated"),
                    false => tracing::info!(version, name, "migrated"),
                }
            }
        }
    }
    Ok(())
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
