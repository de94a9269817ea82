//! Reports the outcome of importing one recording.

use std::io::Write;

use anyhow::Result;
use volute_data::ImportReport;
use volute_plant::{PumpId, Timestamp};

/// Prints the notes on the recording, how many of its rows are stored, and how many are left out and why.
pub fn report(
    dry_run: bool,
    pump: &PumpId,
    imported: &ImportReport,
    retention_start: Timestamp,
    output: &mut dyn Write,
) -> Result<()> {
    let ImportReport { stored, merged, already_stored, empty, labelled, first, last, .. } = *imported;
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
    if merged > 0 {
        writeln!(output, "{merged} of them hold further channels of a reading that is stored")?;
    }
    if stored == 0 && already_stored > 0 {
        writeln!(output, "nothing new: everything in the file is stored already")?;
    }
    if already_stored > 0 {
        writeln!(output, "{already_stored} rows left out: they are stored already")?;
    }
    if let Some(finding) = &imported.conflicting {
        writeln!(output, "{} rows left out: {finding}", finding.count)?;
    }
    if empty > 0 {
        writeln!(output, "{empty} rows left out: they have no value")?;
    }
    if labelled > 0 {
        writeln!(output, "the labels of {labelled} rows are not stored")?;
    }
    if first.is_some_and(|first| first < retention_start) {
        writeln!(output, "the node will delete readings before {retention_start} (retention.readings_days)")?;
    }
    Ok(())
}
