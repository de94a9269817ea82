//! The rows of a recording as cells, from the first row on, with what is no row told apart.

use std::io;

use super::{
    column::Column,
    layout::Layout,
    source::Source,
    text::{Lines, Record, Splitter, decoded, trim},
};

/// One line below the header.
#[derive(Debug)]
pub(super) enum Line {
    /// As many cells as the header, or empty ones beyond that.
    Row(Record),
    /// Other than the header's number of cells.
    Ragged(Record),
    /// The last row of a file that does not end its line, without the value of its last cell: that may be cut off, as `6` of
    /// `61.5` is. With it the text of the cell.
    OpenEnd(Record, String),
    /// The file ends within it: before its last cell, or in one without which there is no row.
    CutOff { cells: usize },
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
            let Some(record) = record else {
                let open = if self.lines.ended { Line::OpenQuote } else { Line::CutOff { cells: 0 } };
                return Ok(Some((number, open)));
            };
            if record.cells().all(str::is_empty) {
                continue;
            }
            return Ok(Some((number, self.kind(&line, record))));
        }
    }

    fn kind(&self, line: &str, record: Record) -> Line {
        let (cells, columns) = (record.len(), self.layout.columns.len());
        if record == self.layout.header {
            Line::Header
        } else if cells < columns && !self.lines.ended {
            Line::CutOff { cells }
        } else if cells == columns && !self.lines.ended && !line.ends_with('"') {
            self.open_end(record)
        } else if cells < columns || (columns..cells).any(|place| !record.cell(place).is_empty()) {
            Line::Ragged(record)
        } else {
            Line::Row(record)
        }
    }

    /// The last row of a file that does not end its line: what it says where its last cell tells that it is whole.
    fn open_end(&self, mut record: Record) -> Line {
        let last = record.len() - 1;
        let text = record.cell(last).to_owned();
        let is_whole = match self.layout.columns[last] {
            Column::Unnamed | Column::Unknown | Column::Aside => true,
            Column::Channel(_) => text.is_empty(),
            Column::MachineStatus => matches!(text.as_str(), "" | "NORMAL" | "BROKEN" | "RECOVERING"),
            Column::Anomaly => matches!(text.as_str(), "" | "0" | "1" | "0.0" | "1.0"),
            Column::Time | Column::TimeOfDay => text.ends_with('Z'),
            Column::PumpId | Column::Quality(_) => false,
        };
        match self.layout.columns[last] {
            _ if is_whole => Line::Row(record),
            Column::Channel(_) | Column::MachineStatus | Column::Anomaly => {
                record.cut(last);
                Line::OpenEnd(record, text)
            }
            _ => Line::CutOff { cells: last },
        }
    }
}
