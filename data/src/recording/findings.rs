//! Findings about a file for its user: each kind is listed once, with its first line and its count.

use std::{collections::BTreeMap, fmt};

/// At most this many kinds are listed; further ones are only counted, so that a column of free text does not fill the
/// memory.
const MAX_KINDS: usize = 40;
/// At most this many characters of a cell are quoted.
const MAX_QUOTED_CHARS: usize = 60;

/// One kind of finding, such as `line 3: Motor_Current_A: "Bad Input" (and 41 more)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The first line with it, from 1 on.
    pub line: u64,
    /// The number of lines with it.
    pub count: u64,
    /// What is in the file.
    pub what: String,
    /// What that means, and what to do; may be empty.
    pub why: String,
}

impl Finding {
    pub(crate) fn new(line: u64, what: impl Into<String>) -> Self {
        Self { line, count: 1, what: what.into(), why: String::new() }
    }

    /// Counts one more line of this kind.
    pub(crate) fn increment(&mut self) {
        self.count += 1;
    }

    pub(crate) fn why(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)?;
        if self.count > 1 {
            write!(f, " (and {} more)", self.count - 1)?;
        }
        match self.why.as_str() {
            "" => Ok(()),
            why if why.starts_with([';', ':', ',']) => f.write_str(why),
            why => write!(f, " {why}"),
        }
    }
}

/// The kinds of findings of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Findings {
    kinds: BTreeMap<String, Finding>,
    /// Counts the findings beyond [`MAX_KINDS`].
    unlisted: Option<Finding>,
}

impl Findings {
    /// Counts a finding; equal texts are of one kind.
    pub(crate) fn add(&mut self, line: u64, what: String, why: &str) {
        self.add_of_kind(line, &what.clone(), what, why);
    }

    /// Counts a finding of the given kind; the text of the first one is kept.
    pub(crate) fn add_of_kind(&mut self, line: u64, kind: &str, what: String, why: &str) {
        let full = self.kinds.len() >= MAX_KINDS;
        match self.kinds.get_mut(kind) {
            Some(finding) => finding.increment(),
            None if !full => drop(self.kinds.insert(kind.to_owned(), Finding::new(line, what).why(why))),
            None => match &mut self.unlisted {
                Some(unlisted) => unlisted.increment(),
                None => self.unlisted = Some(Finding::new(line, "further kinds").why("that are not listed")),
            },
        }
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        self.kinds.insert(finding.to_string(), finding);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Returns the findings in the order of their first lines.
    pub(crate) fn into_vec(self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.kinds.into_values().collect();
        findings.sort_by_key(|finding| finding.line);
        findings.extend(self.unlisted);
        findings
    }
}

/// Quotes a cell; a long one is truncated.
pub(crate) fn quoted(cell: &str) -> String {
    match cell.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}...", &cell[..end]),
        None => format!("{cell:?}"),
    }
}

/// A cell without quotes, for a flag in a hint: control characters are escaped, and a long cell is truncated.
pub(crate) fn printable(cell: &str) -> String {
    let mut text: String = cell.chars().take(MAX_QUOTED_CHARS).map(escaped).collect();
    if cell.chars().nth(MAX_QUOTED_CHARS).is_some() {
        text.push_str("...");
    }
    text
}

fn escaped(letter: char) -> String {
    if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() }
}

/// A count with its noun: `1 row`, `2 rows`.
pub(crate) fn plural(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_listed_once_with_its_count() {
        let mut findings = Findings::default();
        for line in [3, 5, 9] {
            findings.add(line, "Tb: \"Bad Input\"".into(), "");
        }
        findings.add(2, "no time".into(), "in the row");
        let lines: Vec<String> = findings.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["line 2: no time in the row", "line 3: Tb: \"Bad Input\" (and 2 more)"]);
    }

    #[test]
    fn kinds_beyond_the_limit_are_only_counted() {
        let mut findings = Findings::default();
        (0..1000).for_each(|line| findings.add(line, format!("kind {line}"), ""));
        let all = findings.into_vec();
        assert_eq!(all.len(), MAX_KINDS + 1);
        assert_eq!(all[MAX_KINDS].to_string(), "line 40: further kinds (and 959 more) that are not listed");
    }

    #[test]
    fn hints_are_short_and_printable() {
        assert_eq!(printable("Förderpumpe 3"), "Förderpumpe 3");
        assert_eq!(printable("5\0\u{1b}[2J\t"), "5\\u{0}\\u{1b}[2J\\t");
        assert!(printable(&"\0".repeat(1000)).len() < 6 * MAX_QUOTED_CHARS + 4);
        assert_eq!(
            (plural(1, "row"), plural(0, "row"), plural(2, "row")),
            ("1 row".into(), "0 rows".into(), "2 rows".into())
        );
    }

    #[test]
    fn long_cells_are_truncated() {
        assert_eq!(quoted("Bad"), "\"Bad\"");
        assert_eq!(quoted(&"ä".repeat(100)), format!("\"{}\"...", "ä".repeat(MAX_QUOTED_CHARS)));
    }
}
