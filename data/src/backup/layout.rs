//! The names of files and folders in a repository of backups.

/// The name of the manifest in a backup.
pub(super) const MANIFEST: &str = "manifest.json";
/// The extension of a backup, or of a restored directory, that is not complete yet.
pub(super) const PARTIAL: &str = "partial";
/// The lock file of a repository. Only one backup at a time is made in a repository.
pub(super) const LOCK: &str = ".lock";

/// Whether `name` is the name of a complete backup: its time, such as `2026-11-25T06-20-00Z`.
pub(super) fn is_name(name: &str) -> bool {
    let pattern = "0000-00-00T00-00-00Z";
    let matches = |(byte, pattern): (u8, u8)| if pattern == b'0' { byte.is_ascii_digit() } else { byte == pattern };
    name.len() == pattern.len() && name.bytes().zip(pattern.bytes()).all(matches)
}
