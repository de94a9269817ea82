//! Separates simulated readings from real ones. A data directory holds only one of the two.
//!
//! The directory of a demo has the file `SIMULATED`. A demo rejects a used directory without this file. A node without
//! `--demo`, and `volute import`, reject a directory with it.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result, bail};
use volute_data::{create_folder, write_file};

/// The file that marks a data directory with simulated readings.
const MARKER_FILE: &str = "SIMULATED";
const MARKER_TEXT: &str = "The readings in this folder are simulated: a demo of Volute wrote them.\n";

/// The store's lock file. It is never deleted, so it also marks a directory that a store has used.
const LOCK_FILE: &str = "store.lock";

/// Returns whether a store has used the directory.
pub fn has_store(dir: &Path) -> bool {
    dir.join(LOCK_FILE).exists()
}

/// Returns whether the directory holds simulated readings.
pub fn is_simulated(dir: &Path) -> bool {
    dir.join(MARKER_FILE).exists()
}

/// Returns whether other users can open the directory.
pub fn is_open_to_others(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|folder| folder.permissions().mode() & 0o077 != 0)
}

/// Marks a copy of a data directory as used, and as simulated if the original is.
pub fn mark_copy(dir: &Path, copy: &Path) -> io::Result<()> {
    if is_simulated(dir) {
        fs::write(copy.join(MARKER_FILE), MARKER_TEXT)?;
    }
    fs::write(copy.join(LOCK_FILE), "")
}

/// Returns an error if the directory is for the other kind of readings. Marks a new directory of a demo.
pub fn check_or_mark(dir: &Path, demo: bool) -> Result<()> {
    let marked = is_simulated(dir);
    let has_store = has_store(dir);
    match (demo, marked) {
        (true, false) if has_store => {
            bail!("{} holds the readings of real pumps; use another directory for a demo (--data-dir)", dir.display())
        }
        // The marker is written durably before the store is created. Without it, the store would count as one of real
        // pumps.
        (true, false) => create_folder(dir)
            .and_then(|()| write_file(&dir.join(MARKER_FILE), MARKER_TEXT.as_bytes()))
            .with_context(|| format!("the folder {} cannot be created", dir.display())),
        (false, true) => bail!(
            "{} holds simulated readings of a demo; start it with --demo, or use another directory (--data-dir)",
            dir.display()
        ),
        (true, true) | (false, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_holds_either_simulated_or_real_readings() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, demo) = (folder.path().join("real"), folder.path().join("demo"));
        check_or_mark(&demo, true).expect("a new demo");
        check_or_mark(&demo, true).expect("the same demo again");
        assert!(check_or_mark(&demo, false).expect_err("no demo").to_string().contains("simulated readings"));
        check_or_mark(&real, false).expect("a new folder");
        fs::create_dir_all(&real).and_then(|()| fs::write(real.join("store.lock"), "")).expect("in use");
        check_or_mark(&real, false).expect("the same folder again");
        for (from, is_demo) in [(&real, false), (&demo, true)] {
            let copy = folder.path().join(format!("copy-{is_demo}"));
            fs::create_dir(&copy).and_then(|()| mark_copy(from, &copy)).expect("marked");
            check_or_mark(&copy, is_demo).expect("a copy of the same kind");
            check_or_mark(&copy, !is_demo).expect_err("a copy of another kind");
        }
        assert!(check_or_mark(&real, true).expect_err("a demo").to_string().contains("real pumps"));
    }
}
