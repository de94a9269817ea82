//! Keeps simulated and real readings apart: a folder of the database holds the one or the other.

use std::{fs, io, path::Path};

use anyhow::{Context, Result, bail};
use volute_data::{create_folder, write_file};

/// The file that marks a folder with simulated readings.
const MARK: &str = "SIMULATED";
const MARK_TEXT: &str = "The readings in this folder are simulated: a demo of Volute wrote them.\n";

/// The store's lock; where it is, a store has been.
const LOCK: &str = "store.lock";

/// Whether a store has been in the folder.
pub fn in_use(dir: &Path) -> bool {
    dir.join(LOCK).exists()
}

/// Makes a copy of a folder's database one of the same kind, so that it is taken for nothing else.
pub fn mark_copy(dir: &Path, copy: &Path) -> io::Result<()> {
    if dir.join(MARK).exists() {
        fs::write(copy.join(MARK), MARK_TEXT)?;
    }
    fs::write(copy.join(LOCK), "")
}

/// Refuses a folder of the other kind, and marks a new one of a demo.
pub fn check(dir: &Path, demo: bool) -> Result<()> {
    let marked = dir.join(MARK).exists();
    let in_use = in_use(dir);
    match (demo, marked) {
        (true, false) if in_use => {
            bail!("{} holds the readings of real pumps; a demo needs a folder of its own (--data-dir)", dir.display())
        }
        // Durable before a store is made there: one without its mark would be taken for that of real pumps.
        (true, false) => create_folder(dir)
            .and_then(|()| write_file(&dir.join(MARK), MARK_TEXT.as_bytes()))
            .with_context(|| format!("the folder {} cannot be made", dir.display())),
        (false, true) => bail!(
            "{} holds simulated readings of a demo; start it with --demo, or name another folder (--data-dir)",
            dir.display()
        ),
        (true, true) | (false, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_and_real_readings_do_not_meet() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, demo) = (folder.path().join("real"), folder.path().join("demo"));
        check(&demo, true).expect("a new demo");
        check(&demo, true).expect("the same demo again");
        assert!(check(&demo, false).expect_err("no demo").to_string().contains("simulated readings"));
        check(&real, false).expect("a new folder");
        fs::create_dir_all(&real).and_then(|()| fs::write(real.join("store.lock"), "")).expect("in use");
        check(&real, false).expect("the same folder again");
        for (from, is_demo) in [(&real, false), (&demo, true)] {
            let copy = folder.path().join(format!("copy-{is_demo}"));
            fs::create_dir(&copy).and_then(|()| mark_copy(from, &copy)).expect("marked");
            check(&copy, is_demo).expect("a copy of the same kind");
            check(&copy, !is_demo).expect_err("and of no other");
        }
        assert!(check(&real, true).expect_err("a demo").to_string().contains("real pumps"));
    }
}
