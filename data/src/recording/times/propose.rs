//! Proposes the `--time-format` values that fit ambiguous times. A proposal is only shown to the user, never applied.

use super::parse_as;
use crate::recording::findings::{Finding, quoted};

const DATE_FORMATS: [&str; 15] = [
    "%d.%m.%Y", "%m.%d.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%y.%m.%d", "%d/%m/%y",
    "%m/%d/%y", "%y/%m/%d", "%y-%m-%d", "%Y-%m-%d", "%d-%b-%Y", "%d-%b-%y",
];
const SEPARATORS: [&str; 3] = [" ", "T", ", "];
const TIME_FORMATS: [&str; 8] =
    ["%H:%M:%S", "%H:%M:%S%.f", "%H:%M:%S,%3f", "%H:%M", "%I:%M:%S %p", "%I:%M:%S%.f %p", "%I:%M %p", "%H.%M.%S"];
const OFFSET_FORMATS: [&str; 2] = ["", " %z"];

/// After this many texts that fit no format, nothing is proposed any more.
const MAX_TRIES: u32 = 100;

/// The formats that fit all ambiguous times so far.
#[derive(Debug, Default)]
pub(in crate::recording) struct FormatProposals {
    formats: Vec<String>,
    /// The ambiguous times.
    ambiguous: Option<Finding>,
    /// The line and text of the time that ruled out all formats but one.
    deciding: Option<(u64, String)>,
    tries: u32,
}

impl FormatProposals {
    /// Adds a time that cannot be read without a format. Returns false if no known format fits.
    pub(in crate::recording) fn observe(&mut self, line: u64, column: &str, text: &str) -> bool {
        let fits = |format: &String| parse_as(format, text).is_some_and(|time| time.is_in_range() && time.can_exist());
        let Some(ambiguous) = &mut self.ambiguous else {
            self.tries += 1;
            if self.tries > MAX_TRIES || !text.contains(|letter: char| letter.is_ascii_digit()) {
                return false;
            }
            self.formats = candidate_formats().filter(fits).collect();
            if !self.formats.is_empty() {
                self.ambiguous = Some(Finding::new(line, format!("{column}: {}", quoted(text))));
            }
            return !self.formats.is_empty();
        };
        let fitting: Vec<String> = self.formats.iter().filter(|format| fits(format)).cloned().collect();
        if fitting.is_empty() {
            return false;
        }
        if distinct_formats(&fitting).len() == 1 && distinct_formats(&self.formats).len() > 1 {
            self.deciding = Some((line, text.to_owned()));
        }
        self.formats = fitting;
        ambiguous.increment();
        true
    }

    /// Returns how many of these times have no offset.
    pub(in crate::recording) fn without_offset(&self) -> u64 {
        let has_offset = self.formats.iter().all(|format| format.ends_with("%z"));
        self.ambiguous.as_ref().filter(|_| !has_offset).map_or(0, |finding| finding.count)
    }

    /// Returns the error about these times with the flags that fit; none if there were no such times.
    pub(in crate::recording) fn finding(self) -> Option<Finding> {
        let Self { formats, ambiguous, deciding, .. } = self;
        let flags: Vec<String> =
            distinct_formats(&formats).iter().map(|format| format!("--time-format '{format}'")).collect();
        let why = match (&flags[..], deciding) {
            ([only], Some((line, text))) => {
                format!("is read with {only}: {} in line {line} fits no other", quoted(&text))
            }
            ([only], None) => format!("is read with {only}"),
            _ => format!("has more than one meaning: say which with {}", flags.join(" or ")),
        };
        ambiguous.map(|finding| finding.why(why))
    }
}

/// Removes formats that differ from another one only in the fraction of the second.
fn distinct_formats(formats: &[String]) -> Vec<&String> {
    let mut distinct: Vec<&String> = Vec::new();
    for format in formats {
        let without_fraction = format.replace("%.f", "");
        if !distinct.iter().any(|other| other.replace("%.f", "") == without_fraction) {
            distinct.push(format);
        }
    }
    distinct
}

fn candidate_formats() -> impl Iterator<Item = String> {
    let compact = ["%Y%m%d%H%M%S", "%d%m%Y %H%M%S"].into_iter().map(str::to_owned);
    let times: Vec<String> = TIME_FORMATS
        .iter()
        .flat_map(|time| OFFSET_FORMATS.iter().map(move |offset| format!("{time}{offset}")))
        .collect();
    let dates =
        DATE_FORMATS.iter().flat_map(|date| SEPARATORS.iter().map(move |separator| format!("{date}{separator}")));
    let joined = dates.flat_map(move |date| times.clone().into_iter().map(move |time| format!("{date}{time}")));
    joined.chain(compact)
}
