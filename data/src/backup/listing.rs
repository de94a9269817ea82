//! Lists the backups of a repository.

use std::path::{Path, PathBuf};

use super::{
    error::BackupError,
    files::at,
    layout::{MANIFEST, is_name},
    manifest::Manifest,
};

/// A complete backup in a repository.
#[derive(Debug)]
pub struct ListedBackup {
    /// The name of its folder.
    pub name: String,
    /// The path of its folder.
    pub dir: PathBuf,
    /// Its manifest, or the error of reading it.
    pub manifest: Result<Manifest, BackupError>,
}

/// Returns the complete backups of a repository, oldest first.
pub fn list(repository: &Path) -> Result<Vec<ListedBackup>, BackupError> {
    let mut backups = Vec::new();
    for entry in repository.read_dir().map_err(at(repository))? {
        let entry = entry.map_err(at(repository))?;
        let dir = entry.path();
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_name(&name) && dir.is_dir() {
            let manifest = Manifest::load(&dir.join(MANIFEST));
            backups.push(ListedBackup { name, dir, manifest });
        }
    }
    backups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(backups)
}
