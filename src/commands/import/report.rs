//! Prints what became of a recording's rows.

use std::io::Write;

use anyhow::Result;
use volute_data::Imported;
use volute_plant::{PumpId, Timestamp};

/// Prints the notes on the recording, and how many of its rows are stored or left out, and why.
pub fn report(
    dry_run: bool,
    pump: &PumpId,
    imported: &Imported,
    oldest_kept: Timestamp,
    output: &mut dyn Write,
) -> Result<()> {
    let Imported { stored, joined, known, empty, labelled, first, last, .. } = *imported;
    for line in imported.notes.lines().into_iter().chain(imported.notes.utc_line()) {
        writeln!(output, "{line}")?;
    }
    match dry_run {
        true => writeln!(output, "{stored} readings of {pump} would be stored; this was a dry run")?,
        false => writeln!(output, "{stored} readings of {pump} stored")?,
    }
    if let (Some(first), Some(last)) = (first, last) {
        writeln!(output, "from {first} to {last}")?;
    }
    if joined > 0 {
        writeln!(output, "{joined} of them hold further channels of a reading that is stored")?;
    }
    if stored == 0 && known > 0 {
        writeln!(output, "nothing is new: all that the file holds is stored")?;
    }
    if known > 0 {
        writeln!(output, "{known} rows left out: they are stored already")?;
    }
    if let Some(finding) = &imported.contradicted {
        writeln!(output, "{} rows left out: {finding}", finding.count)?;
    }
    if empty > 0 {
        writeln!(output, "{empty} rows left out: they hold no value")?;
    }
    if labelled > 0 {
        writeln!(output, "the labels of {labelled} rows are not stored")?;
    }
    if first.is_some_and(|first| first < oldest_kept) {
        writeln!(output, "what is older than {oldest_kept} will be deleted by the node (retention.readings_days)")?;
    }
    Ok(())
}
