//! One column of a recording: what it is, and its heading in one notation. Which column is what: `columns.rs`.

/// What a column of the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The profile's channel at this place.
    Channel(usize),
    /// The whole time, or the date with [`Column::TimeOfDay`] beside it.
    Time,
    TimeOfDay,
    MachineStatus,
    Anomaly,
    PumpId,
    /// How good a channel's value is, or the whole row.
    Quality(Of),
    /// Known to recordings, and nothing that is read.
    Aside,
    /// A running number, or the empty column behind a trailing delimiter.
    Unnamed,
    Unknown,
}

/// What a quality is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The channel at this place of the profile.
    Channel(usize),
    /// All of the row.
    Row,
}

/// A header's cell: the name in one notation, and the unit if there is one.
pub(super) struct Heading<'a> {
    /// The text before the unit.
    pub base: String,
    /// The whole, the unit included.
    pub whole: String,
    /// The unit as written.
    pub unit: Option<&'a str>,
}

impl<'a> Heading<'a> {
    pub(super) fn new(cell: &'a str) -> Self {
        let (base, unit) = split_unit(cell);
        Self { base: fold(base), whole: fold(cell), unit }
    }
}

fn split_unit(cell: &str) -> (&str, Option<&str>) {
    for (open, close) in [('[', ']'), ('(', ')'), ('{', '}')] {
        if let Some(start) = cell.strip_suffix(close).and_then(|inner| inner.find(open))
            && start > 0
        {
            return (&cell[..start], Some(cell[start + 1..cell.len() - 1].trim()));
        }
    }
    (cell, None)
}

/// A name in one notation.
pub(super) fn fold(name: &str) -> String {
    let mut folded = String::new();
    for letter in name.chars() {
        if letter.is_alphanumeric() {
            folded.extend(letter.to_lowercase());
        } else if !folded.is_empty() && !folded.ends_with('_') {
            folded.push('_');
        }
    }
    folded.truncate(folded.trim_end_matches('_').len());
    folded
}
