//! Keeps simulated and real readings apart: a folder of the database holds the one or the other.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

/// The file that marks a folder with simulated readings.
const MARK: &str = "SIMULATED";
const MARK_TEXT: &str = "The readings in this folder are simulated: a demo of Volute wrote them.\n";

/// Refuses a folder of the other kind, and marks a new one of a demo.
pub(super) fn check(dir: &Path, demo: bool) -> Result<()> {
    let marked = dir.join(MARK).exists();
    let in_use = dir.join("store.lock").exists();
    match (demo, marked) {
        (true, false) if in_use => {
            bail!("{} holds the readings of real pumps; a demo needs a folder of its own (--data-dir)", dir.display())
        }
        (true, false) => fs::create_dir_all(dir)
            .and_then(|()| fs::write(dir.join(MARK), MARK_TEXT))
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
        assert!(check(&real, true).expect_err("a demo").to_string().contains("real pumps"));
    }
}
