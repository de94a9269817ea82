//! The role of a column, and its heading in normalized form. The roles are assigned in `columns.rs`.

/// The role of a column of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The profile's channel with this index.
    Channel(usize),
    /// The complete time; only the date if there is a [`Column::TimeOfDay`].
    Time,
    TimeOfDay,
    MachineStatus,
    /// The row's label: 1 if it is an anomaly, 0 if not.
    Anomaly,
    PumpId,
    /// The quality of a channel's value or of the whole row.
    Quality(QualityTarget),
    /// A known column that is not read. The user is not told so, unlike with [`Column::Unknown`].
    Ignored,
    /// A row number, or the empty column after a trailing delimiter.
    Unnamed,
    /// A column whose name is not known. It is not read, and the user is told so.
    Unknown,
}

/// What a quality column applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QualityTarget {
    /// The profile's channel with this index.
    Channel(usize),
    /// All channels of the row.
    Row,
}

/// A header's cell: the normalized name, and the unit if there is one.
pub(super) struct Heading<'a> {
    /// The normalized text before the unit.
    pub base: String,
    /// The normalized text with the unit.
    pub full: String,
    /// The unit in brackets as written.
    pub unit: Option<&'a str>,
}

impl<'a> Heading<'a> {
    pub(super) fn new(cell: &'a str) -> Self {
        let (base, unit) = split_unit(cell);
        Self { base: fold(base), full: fold(cell), unit }
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

/// Normalizes a name: lower case, and one `_` for each sequence of other characters than letters and digits.
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
