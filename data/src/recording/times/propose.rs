//! Which `--time-format` fits times that have no single meaning: proposed, never taken.

use super::parse_as;
use crate::recording::findings::{Finding, quoted};

const DATES: [&str; 15] = [
    "%d.%m.%Y", "%m.%d.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%y.%m.%d", "%d/%m/%y",
    "%m/%d/%y", "%y/%m/%d", "%y-%m-%d", "%Y-%m-%d", "%d-%b-%Y", "%d-%b-%y",
];
const BETWEEN: [&str; 3] = [" ", "T", ", "];
const TIMES: [&str; 8] =
    ["%H:%M:%S", "%H:%M:%S%.f", "%H:%M:%S,%3f", "%H:%M", "%I:%M:%S %p", "%I:%M:%S%.f %p", "%I:%M %p", "%H.%M.%S"];
const OFFSETS: [&str; 2] = ["", " %z"];

/// How many unlike texts are tried until nothing is proposed any more.
const MAX_TRIES: u32 = 100;

/// The formats that fit all times so far.
#[derive(Debug, Default)]
pub(in crate::recording) struct Proposals {
    formats: Vec<String>,
    seen: Option<Finding>,
    /// The value that left one format out of several.
    decided: Option<(u64, String)>,
    tries: u32,
}

impl Proposals {
    /// Takes a time that is not read without a flag; false where it is like no known form.
    pub(in crate::recording) fn see(&mut self, line: u64, column: &str, text: &str) -> bool {
        let fits =
            |format: &String| parse_as(format, text).is_some_and(|moment| moment.is_in_range() && moment.may_be());
        let Some(seen) = &mut self.seen else {
            self.tries += 1;
            if self.tries > MAX_TRIES || !text.contains(|letter: char| letter.is_ascii_digit()) {
                return false;
            }
            self.formats = all().filter(fits).collect();
            if !self.formats.is_empty() {
                self.seen = Some(Finding::new(line, format!("{column}: {}", quoted(text))));
            }
            return !self.formats.is_empty();
        };
        let fitting: Vec<String> = self.formats.iter().filter(|format| fits(format)).cloned().collect();
        if fitting.is_empty() {
            return false;
        }
        if meanings(&fitting).len() == 1 && meanings(&self.formats).len() > 1 {
            self.decided = Some((line, text.to_owned()));
        }
        self.formats = fitting;
        seen.again();
        true
    }

    /// How many of the times have no offset, in whatever form they are.
    pub(in crate::recording) fn without_offset(&self) -> u64 {
        let has_offset = self.formats.iter().all(|format| format.ends_with("%z"));
        self.seen.as_ref().filter(|_| !has_offset).map_or(0, |seen| seen.count)
    }

    /// What has to be said: the times, and the flags that fit.
    pub(in crate::recording) fn finding(self) -> Option<Finding> {
        let Self { formats, seen, decided, .. } = self;
        let flags: Vec<String> = meanings(&formats).iter().map(|format| format!("--time-format '{format}'")).collect();
        let why = match (&flags[..], decided) {
            ([only], Some((line, text))) => {
                format!("is read with {only}: {} in line {line} fits no other", quoted(&text))
            }
            ([only], None) => format!("is read with {only}"),
            _ => format!("has more than one meaning: say which with {}", flags.join(" or ")),
        };
        seen.map(|seen| seen.why(why))
    }
}

/// One format for each meaning: with and without a fraction is the same.
fn meanings(formats: &[String]) -> Vec<&String> {
    let mut found: Vec<&String> = Vec::new();
    for format in formats {
        let whole = format.replace("%.f", "");
        if !found.iter().any(|other| other.replace("%.f", "") == whole) {
            found.push(format);
        }
    }
    found
}

fn all() -> impl Iterator<Item = String> {
    let compact = ["%Y%m%d%H%M%S", "%d%m%Y %H%M%S"].into_iter().map(str::to_owned);
    let times: Vec<String> =
        TIMES.iter().flat_map(|time| OFFSETS.iter().map(move |offset| format!("{time}{offset}"))).collect();
    let dates = DATES.iter().flat_map(|date| BETWEEN.iter().map(move |between| format!("{date}{between}")));
    let joined = dates.flat_map(move |date| times.clone().into_iter().map(move |time| format!("{date}{time}")));
    joined.chain(compact)
}
