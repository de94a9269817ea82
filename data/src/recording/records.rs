//! The rows of a recording as cells, from the first row on, with what is no row told apart.

use std::io;

use super::{
    Source,
    layout::Layout,
    text::{Lines, Record, Splitter, decoded, trim},
};

/// One line below the header.
#[derive(Debug)]
pub(super) enum Line {
    /// As many cells as the header, or empty ones beyond that.
    Row(Record),
    /// Other than the header's number of cells.
    Ragged(Record),
    /// The file ends within it.
    CutOff,
    /// The header again, as where files were joined.
    Header,
    /// Zero bytes, as a logger leaves that lost power.
    Zeros,
    /// A quote that the line does not close.
    OpenQuote,
    /// Begins with `#`, and has other than the header's number of cells.
    Comment,
}

/// Reads them one by one.
pub(super) struct Records<'a> {
    lines: Lines<'a>,
    splitter: Splitter,
    layout: &'a Layout,
}

impl<'a> Records<'a> {
    pub(super) fn open(source: &Source<'a>, layout: &'a Layout) -> io::Result<Self> {
        let mut lines = Lines::new(decoded(source.open()?)?);
        while lines.number < layout.rows_after && lines.next()?.is_some() {}
        Ok(Self { lines, splitter: Splitter::new(layout.delimiter), layout })
    }

    /// The next line that is not blank, with its number.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Line)>> {
        loop {
            let Some(line) = self.lines.next()? else { return Ok(None) };
            let number = self.lines.number;
            if trim(&line).is_empty() {
                if line.contains('\0') {
                    return Ok(Some((number, Line::Zeros)));
                }
                continue;
            }
            // A time that was too wide for its column is #### too: what has the header's cells is a row.
            let record = self.splitter.split(&line);
            let columns = self.layout.columns.len();
            if line.starts_with('#') && record.as_ref().is_none_or(|record| record.len() != columns) {
                return Ok(Some((number, Line::Comment)));
            }
            let Some(record) = record else { return Ok(Some((number, Line::OpenQuote))) };
            if record.cells().all(str::is_empty) {
                continue;
            }
            return Ok(Some((number, self.kind(record))));
        }
    }

    fn kind(&self, record: Record) -> Line {
        let (cells, columns) = (record.len(), self.layout.columns.len());
        if record == self.layout.header {
            Line::Header
        } else if cells < columns && !self.lines.ended {
            Line::CutOff
        } else if cells < columns || (columns..cells).any(|place| !record.cell(place).is_empty()) {
            Line::Ragged(record)
        } else {
            Line::Row(record)
        }
    }
}
