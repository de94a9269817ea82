//! What things are called in a repository of backups.

/// The manifest's name in a backup.
pub(super) const MANIFEST: &str = "manifest.json";
/// The ending of a backup, or of a restored directory, that is not complete yet.
pub(super) const PARTIAL: &str = "partial";
/// The file that keeps two backups from being made in one repository at the same time.
pub(super) const LOCK: &str = ".lock";

/// Whether it is the name of a complete backup: its time, as `2026-11-25T06-20-00Z`.
pub(super) fn is_name(name: &str) -> bool {
    let form = "0000-00-00T00-00-00Z";
    let fits = |(given, form): (u8, u8)| if form == b'0' { given.is_ascii_digit() } else { given == form };
    name.len() == form.len() && name.bytes().zip(form.bytes()).all(fits)
}
