//! Prints the notes that reading a recording has produced.

use std::{
    io::{self, Write},
    path::Path,
};

use volute_data::Notes;

/// Prints the notes on standard error, one line for each.
pub fn print_notes(path: &Path, notes: &Notes) -> io::Result<()> {
    let mut output = io::stderr().lock();
    for line in notes.lines().into_iter().chain(notes.utc_line()) {
        writeln!(output, "{}: {line}", path.display())?;
    }
    Ok(())
}
