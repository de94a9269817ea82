//! `volute restore`: restores a backup as the configured data directory, or lists the backups.

use std::io::Write;

use anyhow::Result;
use volute_data::{ListedBackup, list_backups, restore};

use crate::{cli::RestoreArgs, config::Config};

/// Restores a backup, or lists the backups.
pub fn run(args: &RestoreArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    if args.list {
        let backups = list_backups(&args.repository)?;
        if backups.is_empty() {
            writeln!(output, "there is no backup in {}", args.repository.display())?;
        }
        for backup in &backups {
            writeln!(output, "{}", line(backup))?;
        }
        return Ok(());
    }
    let data_dir = &config.store.dir;
    let restored = restore(&args.repository, args.which.as_deref(), data_dir)?;
    writeln!(output, "restored the backup of {} into {}", restored.created_at, data_dir.display())?;
    writeln!(output, "{} files, {} bytes, from {}", restored.files, restored.bytes, restored.dir.display())?;
    Ok(())
}

fn line(backup: &ListedBackup) -> String {
    match &backup.manifest {
        Ok(manifest) => format!(
            "{}  {} files  {} bytes  volute {}  schema {}",
            backup.name,
            manifest.files.len(),
            manifest.bytes(),
            manifest.product,
            manifest.schema
        ),
        Err(error) => format!("{}  unreadable: {error}", backup.name),
    }
}
