//! `volute restore`: a backup put back as the configured data directory, or the list of those that there are.

use std::io::Write;

use anyhow::Result;
use volute_data::{Listed, list_backups, restore};

use crate::{cli::RestoreArgs, config::Config};

/// Puts a backup back, or lists them.
pub fn run(args: &RestoreArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    if args.list {
        let backups = list_backups(&args.repository)?;
        if backups.is_empty() {
            writeln!(output, "{} holds no backup", args.repository.display())?;
        }
        for backup in &backups {
            writeln!(output, "{}", line(backup))?;
        }
        return Ok(());
    }
    let into = &config.store.dir;
    let restored = restore(&args.repository, args.which.as_deref(), into)?;
    writeln!(output, "{} is now the backup of {}", into.display(), restored.created_at)?;
    writeln!(output, "{} files, {} bytes, from {}", restored.files, restored.bytes, restored.dir.display())?;
    Ok(())
}

fn line(backup: &Listed) -> String {
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
