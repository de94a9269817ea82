//! What there is to say about a recording that was read.

use std::{
    io::{self, Write},
    path::Path,
};

use volute_data::Notes;

/// Prints it on standard error, a line for each note.
pub fn print_notes(path: &Path, notes: &Notes) -> io::Result<()> {
    let mut output = io::stderr().lock();
    for line in notes.lines().into_iter().chain(notes.utc_line()) {
        writeln!(output, "{}: {line}", path.display())?;
    }
    Ok(())
}
