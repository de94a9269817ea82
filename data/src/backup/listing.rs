//! Which backups a repository has.

use std::path::{Path, PathBuf};

use super::{
    error::BackupError,
    files::at,
    layout::{MANIFEST, is_name},
    manifest::Manifest,
};

/// A complete backup in a repository.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// What it holds; an error where its manifest cannot be read.
    pub manifest: Result<Manifest, BackupError>,
}

/// The complete backups of a repository, oldest first.
pub fn list(repository: &Path) -> Result<Vec<Listed>, BackupError> {
    let mut listed = Vec::new();
    for entry in repository.read_dir().map_err(at(repository))? {
        let entry = entry.map_err(at(repository))?;
        let dir = entry.path();
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_name(&name) && dir.is_dir() {
            let manifest = Manifest::load(&dir.join(MANIFEST));
            listed.push(Listed { name, dir, manifest });
        }
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}
