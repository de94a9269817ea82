//! What there is to say about a file: each kind once, with its first line and how many more there are.

use std::{collections::BTreeMap, fmt};

/// Kinds that are listed by themselves; further ones are only counted. A column of free text must not fill the memory.
const MAX_KINDS: usize = 40;
/// How much of a cell is quoted.
const QUOTED: usize = 60;

/// One kind, as `line 3: Motor_Current_A: "Bad Input" (and 41 more)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it was first, from 1.
    pub line: u64,
    /// How many lines are like this.
    pub count: u64,
    /// What is there.
    pub what: String,
    /// What that means, and what to do; empty where there is nothing to add.
    pub why: String,
}

impl Finding {
    pub(crate) fn new(line: u64, what: impl Into<String>) -> Self {
        Self { line, count: 1, what: what.into(), why: String::new() }
    }

    /// The same, once more.
    pub(crate) fn again(&mut self) {
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
            why if why.starts_with([';', ':']) => f.write_str(why),
            why => write!(f, " {why}"),
        }
    }
}

/// Kinds of findings, in the order of their first lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Findings {
    kinds: BTreeMap<String, Finding>,
    /// Of kinds that are not listed.
    others: Option<Finding>,
}

impl Findings {
    /// Counts `what`: all that is the same word for word is of one kind.
    pub(crate) fn add(&mut self, line: u64, what: String, why: &str) {
        self.add_alike(line, &what.clone(), what, why);
    }

    /// Counts something of a kind by its name; the first one's words stand for all of them.
    pub(crate) fn add_alike(&mut self, line: u64, kind: &str, what: String, why: &str) {
        let full = self.kinds.len() >= MAX_KINDS;
        match self.kinds.get_mut(kind) {
            Some(finding) => finding.again(),
            None if !full => drop(self.kinds.insert(kind.to_owned(), Finding::new(line, what).why(why))),
            None => match &mut self.others {
                Some(others) => others.again(),
                None => self.others = Some(Finding::new(line, "further kinds").why("that are not listed")),
            },
        }
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        self.kinds.insert(finding.to_string(), finding);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.kinds.into_values().collect();
        findings.sort_by_key(|finding| finding.line);
        findings.extend(self.others);
        findings
    }
}

/// A cell in quotes, cut off where it is long.
pub(crate) fn quoted(cell: &str) -> String {
    match cell.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}...", &cell[..end]),
        None => format!("{cell:?}"),
    }
}

/// A cell without quotes, for a flag in a hint: control characters are escaped, and it is cut off where it is long.
pub(crate) fn plain(cell: &str) -> String {
    let mut text: String = cell.chars().take(QUOTED).map(escaped).collect();
    if cell.chars().nth(QUOTED).is_some() {
        text.push_str("...");
    }
    text
}

fn escaped(letter: char) -> String {
    if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() }
}

/// A number of things, as `1 row` and `2 rows`.
pub(crate) fn plural(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_once_with_its_count() {
        let mut findings = Findings::default();
        for line in [3, 5, 9] {
            findings.add(line, "Tb: \"Bad Input\"".into(), "");
        }
        findings.add(2, "no time".into(), "in the row");
        let said: Vec<String> = findings.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(said, ["line 2: no time in the row", "line 3: Tb: \"Bad Input\" (and 2 more)"]);
    }

    #[test]
    fn kinds_without_end_are_counted_and_not_kept() {
        let mut findings = Findings::default();
        (0..1000).for_each(|line| findings.add(line, format!("kind {line}"), ""));
        let all = findings.into_vec();
        assert_eq!(all.len(), MAX_KINDS + 1);
        assert_eq!(all[MAX_KINDS].to_string(), "line 40: further kinds (and 959 more) that are not listed");
    }

    #[test]
    fn hints_are_short_and_printable() {
        assert_eq!(plain("Förderpumpe 3"), "Förderpumpe 3");
        assert_eq!(plain("5\0\u{1b}[2J\t"), "5\\u{0}\\u{1b}[2J\\t");
        assert!(plain(&"\0".repeat(1000)).len() < 6 * QUOTED + 4);
        assert_eq!(
            (plural(1, "row"), plural(0, "row"), plural(2, "row")),
            ("1 row".into(), "0 rows".into(), "2 rows".into())
        );
    }

    #[test]
    fn long_cells_are_cut() {
        assert_eq!(quoted("Bad"), "\"Bad\"");
        assert_eq!(quoted(&"ä".repeat(100)), format!("\"{}\"...", "ä".repeat(QUOTED)));
    }
}
