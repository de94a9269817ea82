//! Reads a channel's cell: a number, nothing, or a word for "no value".
//!
//! The decimal mark of a file is decided from all of its cells before any number is read. The delimiter here is `;`:
//!
//! ```text
//! 61,5  2,4  850     a comma; 61,5 cannot be thousands          decimal comma
//! 61.5  2.4  850     a point; 61.5 cannot be thousands          decimal point
//! 1,465 2,950        1465 or 1.465: ambiguous                   error, asks for --decimal
//! 61.5  2,4          both marks                                 error, asks for --decimal
//! 1.465,5            thousands separators                       error, asks for --decimal
//! ```

use std::{borrow::Cow, str::FromStr};

use super::{
    findings::{Finding, quoted},
    units::{UnitMatch, compare_units, split_number_and_unit},
};

/// The decimal mark of a recording's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalMark {
    /// As in 61.5.
    Point,
    /// As in 61,5.
    Comma,
}

impl DecimalMark {
    /// The accepted names, for error messages.
    pub const ALLOWED: &'static str = "point, comma";
}

impl FromStr for DecimalMark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "point" | "." => Ok(Self::Point),
            "comma" | "," => Ok(Self::Comma),
            _ => Err(format!("not a decimal mark; allowed: {}", Self::ALLOWED)),
        }
    }
}

/// What historians and loggers write instead of a value. A whole column may consist of these if its sensor is broken.
const NO_VALUE_WORDS: [&str; 62] = [
    "nan",
    "n/a",
    "na",
    "n.a.",
    "#n/a",
    "null",
    "(null)",
    "nil",
    "none",
    "\\n",
    "-",
    "--",
    "---",
    "–",
    "?",
    "*",
    "bad",
    "bad input",
    "bad data",
    "bad quality",
    "bad value",
    "no data",
    "nodata",
    "no good data",
    "no good data for calculation",
    "no value",
    "no result",
    "no sample",
    "i/o timeout",
    "io timeout",
    "timeout",
    "comm fail",
    "comm error",
    "not connect",
    "not connected",
    "disconnected",
    "offline",
    "off-line",
    "scan off",
    "scan timeout",
    "configure",
    "pt created",
    "shutdown",
    "intf shut",
    "arc off-line",
    "error",
    "err",
    "fail",
    "failed",
    "invalid",
    "undefined",
    "missing",
    "not available",
    "out of range",
    "out of serv",
    "out of service",
    "over range",
    "under range",
    "inf",
    "-inf",
    "infinity",
    "-infinity",
];

/// Whether a word is known to mean "no value".
pub(super) fn is_no_value_word(word: &str) -> bool {
    let bare = word.trim_matches(|letter| matches!(letter, '[' | ']' | '<' | '>' | '"' | '\'')).to_ascii_lowercase();
    NO_VALUE_WORDS.contains(&bare.as_str())
        || bare.starts_with("1.#")
        || bare.starts_with("-1.#")
        || bare.starts_with("#")
}

/// Whether a cell that is not read as a number looks like one: `44.5 psi`, `(5)`, `5%`, `1_000`, or a spreadsheet's
/// `03. Apr`. It probably holds a value in an unknown notation, so it must not be taken as missing.
pub(super) fn looks_like_a_number(cell: &str) -> bool {
    const MONTHS: [&str; 16] = [
        "jan", "feb", "mar", "mrz", "mär", "apr", "may", "mai", "jun", "jul", "aug", "sep", "oct", "okt", "nov", "dec",
    ];
    let before = |letter: char| letter.is_whitespace() || "(<>~≈=$€'`\"+-−–—±.,*_".contains(letter);
    let start = cell.trim_start_matches(before);
    let is_month = || {
        let lower = cell.to_lowercase();
        let rest = MONTHS.iter().find_map(|month| lower.strip_prefix(month)).unwrap_or_default();
        let digits = rest.trim_start_matches(['.', ' ', '-', '/']);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    !is_no_value_word(cell) && (start.starts_with(char::is_numeric) || is_month())
}

/// Whether a cell looks like a number but is not a number with either decimal mark, such as `61.79%`.
pub(super) fn is_malformed_number(cell: &str) -> bool {
    shape(cell) == Shape::NotANumber && looks_like_a_number(cell)
}

/// Removes the channel's own unit after a number, and replaces a typographic minus sign.
pub(super) fn without_unit<'a>(cell: &'a str, unit: &str) -> Cow<'a, str> {
    if cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.,".contains(&byte)) {
        return Cow::Borrowed(cell);
    }
    let is_own = |(number, written): &(&str, &str)| {
        number.contains(|letter: char| letter.is_ascii_digit()) && compare_units(written, unit) == UnitMatch::Same
    };
    let number = split_number_and_unit(cell).find(is_own).map_or(cell, |(number, _)| number);
    match number.strip_prefix('\u{2212}') {
        Some(digits) => Cow::Owned(format!("-{digits}")),
        None => Cow::Borrowed(number),
    }
}

/// The notation of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Not a number in any supported notation.
    NotANumber,
    /// Digits without a mark.
    Plain,
    /// One mark; `is_decimal` if it cannot be a thousands separator.
    Marked { mark: DecimalMark, is_decimal: bool },
    /// Several marks, or blanks between digits: the number has thousands separators.
    Grouped,
}

fn shape(cell: &str) -> Shape {
    let body = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    let (mantissa, exponent) = body.split_once(['e', 'E']).map_or((body, None), |(m, e)| (m, Some(e)));
    let is_exponent = |text: &str| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_number = mantissa.contains(|letter: char| letter.is_ascii_digit())
        && mantissa.chars().all(|letter| letter.is_ascii_digit() || is_separator(letter))
        && !mantissa.starts_with([' ', '\''])
        && exponent.is_none_or(is_exponent);
    if !is_number {
        return Shape::NotANumber;
    }
    let marks: Vec<(usize, char)> = mantissa.char_indices().filter(|(_, letter)| !letter.is_ascii_digit()).collect();
    let (position, mark) = match marks[..] {
        [] => return Shape::Plain,
        [(position, '.')] => (position, DecimalMark::Point),
        [(position, ',')] => (position, DecimalMark::Comma),
        _ if is_grouped(mantissa) => return Shape::Grouped,
        _ => return Shape::NotANumber,
    };
    let (whole, fraction) = (&mantissa[..position], &mantissa[position + 1..]);
    let like_thousands = fraction.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0');
    Shape::Marked { mark, is_decimal: !like_thousands || exponent.is_some() }
}

/// Whether a number with several marks is a valid number with thousands separators: all marks but the last are the
/// same, and the groups between them have three digits. `1.4.6` is not.
fn is_grouped(mantissa: &str) -> bool {
    let marks: Vec<char> = mantissa.chars().filter(|&letter| is_separator(letter)).collect();
    let groups: Vec<&str> = mantissa.split(is_separator).collect();
    let [first, between @ .., last] = &groups[..] else { return false };
    let (separator, rest) = (marks[0], &marks[1..]);
    let is_fraction = rest.last().is_some_and(|&mark| mark != separator && matches!(mark, '.' | ','));
    let is_same = rest.iter().take(rest.len() - usize::from(is_fraction)).all(|&mark| mark == separator);
    let has_three_digits = |group: &&str| group.len() == 3;
    is_same
        && (1..=3).contains(&first.len())
        && between.iter().all(has_three_digits)
        && (is_fraction || has_three_digits(last))
}

/// Whether a character may be a decimal mark or a thousands separator.
fn is_separator(letter: char) -> bool {
    matches!(letter, '.' | ',' | ' ' | '\'' | '\u{a0}' | '\u{202f}' | '’')
}

/// The evidence of a file's cells for its decimal mark. Each finding has the first cell of its kind.
#[derive(Debug, Default)]
pub(super) struct MarkEvidence {
    points: Option<Finding>,
    commas: Option<Finding>,
    grouped: Option<Finding>,
    /// A point was a decimal mark for certain.
    has_decimal_point: bool,
    /// A comma was a decimal mark for certain.
    has_decimal_comma: bool,
}

impl MarkEvidence {
    pub(super) fn observe(&mut self, line: u64, column: &str, cell: &str) {
        let first = match shape(cell) {
            Shape::NotANumber | Shape::Plain => return,
            Shape::Grouped => &mut self.grouped,
            Shape::Marked { mark: DecimalMark::Point, is_decimal } => {
                self.has_decimal_point |= is_decimal;
                &mut self.points
            }
            Shape::Marked { mark: DecimalMark::Comma, is_decimal } => {
                self.has_decimal_comma |= is_decimal;
                &mut self.commas
            }
        };
        match first {
            Some(finding) => finding.increment(),
            None => *first = Some(Finding::new(line, format!("{column}: {}", quoted(cell)))),
        }
    }

    /// Returns the file's decimal mark. With the delimiter `,` a point is a decimal mark without further evidence.
    ///
    /// # Errors
    /// A finding that asks for `--decimal` if the mark is ambiguous.
    pub(super) fn decide(self, delimiter: u8) -> Result<DecimalMark, Finding> {
        const HINT: &str = "say which with --decimal point or --decimal comma; the other mark is then the thousands'";
        let thousands = "has a separator of thousands, or two decimal marks";
        if let Some(finding) = self.grouped {
            return Err(finding.why(format!("{thousands}: {HINT}")));
        }
        match (self.points, self.commas) {
            (Some(point), Some(comma)) => {
                let (first, second) = if comma.line < point.line { (comma, point) } else { (point, comma) };
                Err(first.why(format!("has another decimal mark than {} in line {}: {HINT}", second.what, second.line)))
            }
            (None, Some(comma)) if !self.has_decimal_comma => Err(comma.why(format!("may mean thousands: {HINT}"))),
            (None, Some(_)) => Ok(DecimalMark::Comma),
            (Some(point), None) if delimiter != b',' && !self.has_decimal_point => {
                Err(point.why(format!("may mean thousands: {HINT}")))
            }
            (_, None) => Ok(DecimalMark::Point),
        }
    }
}

/// A cell of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// An empty cell.
    Empty,
    /// A finite number.
    Number(f64),
    /// Anything else; holds no value.
    NotANumber,
}

/// How numbers are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct NumberFormat {
    pub mark: DecimalMark,
    /// Accept thousands separators: the user named the decimal mark, so the other mark separates thousands.
    pub thousands: bool,
}

impl NumberFormat {
    pub(super) fn read(self, cell: &str) -> Cell {
        if cell.is_empty() {
            return Cell::Empty;
        }
        let number = match shape(cell) {
            Shape::NotANumber => None,
            Shape::Plain => cell.parse().ok(),
            Shape::Marked { mark, .. } if mark == self.mark => self.parse(cell),
            Shape::Marked { .. } | Shape::Grouped if self.thousands => self.without_thousands(cell),
            Shape::Marked { .. } | Shape::Grouped => None,
        };
        match number {
            Some(value) if f64::is_finite(value) => Cell::Number(value),
            _ => Cell::NotANumber,
        }
    }

    fn parse(self, cell: &str) -> Option<f64> {
        match self.mark {
            DecimalMark::Point => cell.parse().ok(),
            DecimalMark::Comma => cell.replacen(',', ".", 1).parse().ok(),
        }
    }

    /// Reads a number with thousands separators: groups of three digits with the same mark between them, and maybe a
    /// fraction.
    fn without_thousands(self, cell: &str) -> Option<f64> {
        let decimal = match self.mark {
            DecimalMark::Point => '.',
            DecimalMark::Comma => ',',
        };
        let (whole, fraction) = cell.split_once(decimal).map_or((cell, None), |(whole, rest)| (whole, Some(rest)));
        let separator = whole.chars().find(|&letter| is_separator(letter))?;
        let groups: Vec<&str> = whole.trim_start_matches(['-', '+']).split(separator).collect();
        let all_digits = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_digit()));
        let sizes_fit = (1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3);
        // 0.465 is a fraction: 465 has no leading group.
        let is_fraction = groups.len() > 1 && groups[0].starts_with('0');
        if separator == decimal || !all_digits || !sizes_fit || is_fraction {
            return None;
        }
        let whole: String = whole.chars().filter(|&letter| letter != separator).collect();
        format!("{whole}.{}", fraction.unwrap_or("0")).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_mark_is_decided_or_asked_for() {
        use DecimalMark::{Comma, Point};
        for (delimiter, cells, expected) in [
            (b';', &["61,5", "2950"][..], Some(Comma)),
            (b';', &["1,465", "0,300"], Some(Comma)),
            (b'\t', &["12,5", "-0,25"], Some(Comma)),
            (b',', &["61,5", "850"], Some(Comma)),
            (b';', &["61.5", "NaN"], Some(Point)),
            (b';', &["1465.000"], Some(Point)),
            (b',', &["1.465"], Some(Point)),
            (b',', &["2950", "Bad Input", "1.#QNAN"], Some(Point)),
            (b';', &["1E-3", "2,5E+3"], Some(Comma)),
            (b';', &["1,465", "2,950"], None),
            (b';', &["1.465", "2.950"], None),
            (b';', &["61,5", "2.4"], None),
            (b';', &["1.465,5", "2,4"], None),
            (b';', &["1 465,5"], None),
            (b';', &["1'465.5"], None),
            (b',', &["61,5", "2.4"], None),
            (b',', &["1,465"], None),
            (b';', &["1.4.6", "61,5"], Some(Comma)),
            (b',', &["12.03.26", "61.5"], Some(Point)),
        ] {
            let mut evidence = MarkEvidence::default();
            for (line, cell) in (2..).zip(cells) {
                evidence.observe(line, "Tb", cell);
            }
            match (evidence.decide(delimiter), expected) {
                (Ok(mark), Some(expected)) => assert_eq!(mark, expected, "{cells:?}"),
                (Err(finding), None) => assert!(finding.to_string().contains("--decimal comma"), "{finding}"),
                (other, _) => panic!("{cells:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn numbers_are_read_with_one_mark() {
        use DecimalMark::{Comma, Point};
        for (mark, thousands, cell, expected) in [
            (Point, false, "61.5", Some(61.5)),
            (Point, false, "-6.3e2", Some(-630.0)),
            (Point, false, ".5", Some(0.5)),
            (Point, false, "5.", Some(5.0)),
            (Point, false, "1,465", None),
            (Point, true, "1,465.25", Some(1465.25)),
            (Point, true, "1,465", Some(1465.0)),
            (Point, true, "61,5", None),
            (Point, true, "0,465", None),
            (Comma, true, "0.465", None),
            (Comma, false, "61,5", Some(61.5)),
            (Comma, false, "-1,5E3", Some(-1500.0)),
            (Comma, true, "1.465,5", Some(1465.5)),
            (Comma, true, "-12.001.465", Some(-12_001_465.0)),
            (Comma, true, "1 465,5", Some(1465.5)),
            (Comma, true, "1\u{a0}465", Some(1465.0)),
            (Comma, true, "1.46,5", None),
            (Comma, true, "61.5", None),
            (Point, false, "1e999", None),
            (Point, false, "inf", None),
            (Point, false, "0x1F", None),
            (Point, false, "12.5 bar", None),
            (Point, false, "-", None),
            (Point, false, "e5", None),
        ] {
            let read = NumberFormat { mark, thousands }.read(cell);
            assert_eq!(read, expected.map_or(Cell::NotANumber, Cell::Number), "{mark:?} {cell}");
        }
        assert_eq!(NumberFormat { mark: Point, thousands: false }.read(""), Cell::Empty);
    }

    #[test]
    fn unit_and_minus_sign_around_a_number_are_accepted() {
        for (cell, unit, number) in [
            ("44.5 °C", "°C", "44.5"),
            ("44,5°C", "°C", "44,5"),
            ("2950 1/min", "rpm", "2950"),
            ("2950 min-1", "rpm", "2950"),
            ("850.5 l/min", "L/min", "850.5"),
            ("\u{2212}5.5", "°C", "-5.5"),
            ("\u{2212}5.5 deg C", "°C", "-5.5"),
            ("1 465,5 bar", "bar", "1 465,5 bar"),
            ("44.5 °F", "°C", "44.5 °F"),
            ("Bad Input", "bar", "Bad Input"),
            ("bar", "bar", "bar"),
        ] {
            assert_eq!(without_unit(cell, unit), number, "{cell}");
        }
        for cell in
            ["5%", "1_000", "(5)", "44.5 psi", "<0.5", "~7", "0x1F", "1.4.6", "–5", "$5", "03. Apr", "Apr 26", "5 ?"]
        {
            assert!(looks_like_a_number(cell) && shape(cell) == Shape::NotANumber, "{cell}");
        }
        for word in
            ["Bad Input", "-", "--", "1.#QNAN", "#DIV/0!", "[-11059]", "Err 5", "Sensor 3 kaputt", "Marble", "n/a"]
        {
            assert!(!looks_like_a_number(word), "{word}");
        }
    }

    #[test]
    fn no_value_words_of_historians_are_known() {
        for word in ["Bad Input", "N/A", "[-11059]", "No Data", "I/O Timeout", "#DIV/0!", "<null>", "1.#QNAN", "NaN"] {
            assert_eq!(is_no_value_word(word), word != "[-11059]", "{word}");
        }
    }
}
