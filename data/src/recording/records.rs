//! The lines below a recording's header, split into cells and classified: rows, comments, repeated headers, damaged
//! lines.

use std::io;

use super::{
    column::Column,
    layout::Layout,
    source::Source,
    text::{Lines, Record, Splitter, decode, trim},
};

/// One line below the header.
#[derive(Debug)]
pub(super) enum Line {
    /// Has as many cells as the header, or further empty ones.
    Row(Record),
    /// Has another number of cells than the header.
    Ragged(Record),
    /// The last row of a file, without a line end. Its last cell may be cut off, such as `6` of `61.5`. The record does
    /// not have this cell; the second field is the cell's text.
    Unterminated(Record, String),
    /// The file ends within the line: before its last cell, or in a cell that the row needs. `cells` is the number of
    /// cells that are reported as whole.
    Truncated { cells: usize },
    /// The header again, as in files that were concatenated.
    RepeatedHeader,
    /// Zero bytes, as a logger leaves them after a power failure.
    ZeroBytes,
    /// Has a quote that is not closed within the line.
    UnclosedQuote,
    /// Begins with `#`, and has another number of cells than the header.
    Comment,
}

/// Reads the lines below the header one by one.
pub(super) struct Records<'a> {
    lines: Lines<'a>,
    splitter: Splitter,
    layout: &'a Layout,
}

impl<'a> Records<'a> {
    pub(super) fn open(source: &Source<'a>, layout: &'a Layout) -> io::Result<Self> {
        let mut lines = Lines::new(decode(source.open()?)?);
        while lines.number < layout.lines_before_rows && lines.next()?.is_some() {}
        Ok(Self { lines, splitter: Splitter::new(layout.delimiter), layout })
    }

    /// Returns the next line that is not blank, with its number.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Line)>> {
        loop {
            let Some(line) = self.lines.next()? else { return Ok(None) };
            let number = self.lines.number;
            if trim(&line).is_empty() {
                if line.contains('\0') {
                    return Ok(Some((number, Line::ZeroBytes)));
                }
                continue;
            }
            // A spreadsheet writes a time that is too wide for its column as ####: with the header's number of cells
            // the line is a row, not a comment.
            let record = self.splitter.split(&line);
            let columns = self.layout.columns.len();
            if line.starts_with('#') && record.as_ref().is_none_or(|record| record.len() != columns) {
                return Ok(Some((number, Line::Comment)));
            }
            let Some(record) = record else {
                let unclosed = if self.lines.ended { Line::UnclosedQuote } else { Line::Truncated { cells: 0 } };
                return Ok(Some((number, unclosed)));
            };
            if record.cells().all(str::is_empty) {
                continue;
            }
            return Ok(Some((number, self.classify(&line, record))));
        }
    }

    fn classify(&self, line: &str, record: Record) -> Line {
        let (cells, columns) = (record.len(), self.layout.columns.len());
        if record == self.layout.header {
            Line::RepeatedHeader
        } else if cells < columns && !self.lines.ended {
            Line::Truncated { cells }
        } else if cells == columns && !self.lines.ended && !line.ends_with('"') {
            self.unterminated(record)
        } else if cells < columns || (columns..cells).any(|index| !record.cell(index).is_empty()) {
            Line::Ragged(record)
        } else {
            Line::Row(record)
        }
    }

    /// Classifies the last row of a file without a line end by whether its last cell is certainly complete.
    fn unterminated(&self, mut record: Record) -> Line {
        let last = record.len() - 1;
        let text = record.cell(last).to_owned();
        let is_complete = match self.layout.columns[last] {
            Column::Unnamed | Column::Unknown | Column::Ignored => true,
            Column::Channel(_) => text.is_empty(),
            Column::MachineStatus => matches!(text.as_str(), "" | "NORMAL" | "BROKEN" | "RECOVERING"),
            Column::Anomaly => matches!(text.as_str(), "" | "0" | "1" | "0.0" | "1.0"),
            Column::Time | Column::TimeOfDay => text.ends_with('Z'),
            Column::PumpId | Column::Quality(_) => false,
        };
        match self.layout.columns[last] {
            _ if is_complete => Line::Row(record),
            Column::Channel(_) | Column::MachineStatus | Column::Anomaly => {
                record.clear_from(last);
                Line::Unterminated(record, text)
            }
            _ => Line::Truncated { cells: last },
        }
    }
}
