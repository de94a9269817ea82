//! What a channel's cell says: a number, nothing, or a word for "no value".
//!
//! Which decimal mark a file has is found before its numbers are read, from all of its cells together:
//!
//! ```text
//! 61,5  2,4  850     a comma, and 61,5 can be no thousands      decimal comma
//! 61.5  2.4  850     a point                                    decimal point
//! 1,465 2,950        1465 or 1.465: nobody can tell             asks for --decimal
//! 61.5  2,4          two marks                                  asks for --decimal
//! 1.465,5            a separator of thousands                   asks for --decimal
//! ```

use std::{borrow::Cow, str::FromStr};

use super::{
    findings::{Finding, quoted},
    units::{Unit, compare_units, number_and_unit},
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
    /// The names, for people.
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

/// What historians and loggers write where there is no value. A column may be full of these: its sensor was dead.
const NO_VALUE: [&str; 62] = [
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

/// Whether the word is known to stand for "no value".
pub(super) fn is_known_word(word: &str) -> bool {
    let bare = word.trim_matches(|letter| matches!(letter, '[' | ']' | '<' | '>' | '"' | '\'')).to_ascii_lowercase();
    NO_VALUE.contains(&bare.as_str()) || bare.starts_with("1.#") || bare.starts_with("-1.#") || bare.starts_with("#")
}

/// Whether a cell that is not read as a number looks like one: `44.5 psi`, `(5)`, `5%`, `1_000`, `03. Apr` of a
/// spreadsheet. It means something that nobody knows here, so it is not a missing value.
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
    !is_known_word(cell) && (start.starts_with(char::is_numeric) || is_month())
}

/// Whether a cell looks like a number and is none with either decimal mark, as `61.79%`.
pub(super) fn is_no_number_with_any_mark(cell: &str) -> bool {
    shape(cell) == Shape::Word && looks_like_a_number(cell)
}

/// A cell without what is around its number and changes nothing: the channel's own unit, and a minus of typographers.
pub(super) fn bare<'a>(cell: &'a str, unit: &str) -> Cow<'a, str> {
    if cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.,".contains(&byte)) {
        return Cow::Borrowed(cell);
    }
    let is_own = |(number, written): &(&str, &str)| {
        number.contains(|letter: char| letter.is_ascii_digit()) && compare_units(written, unit) == Unit::Same
    };
    let number = number_and_unit(cell).find(is_own).map_or(cell, |(number, _)| number);
    match number.strip_prefix('\u{2212}') {
        Some(digits) => Cow::Owned(format!("-{digits}")),
        None => Cow::Borrowed(number),
    }
}

/// How a cell looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// No number in anybody's notation.
    Word,
    /// Digits, without a mark.
    Plain,
    /// One mark; `sure` where it cannot separate thousands.
    Marked { mark: DecimalMark, sure: bool },
    /// Several marks, or blanks between digits: thousands are set apart.
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
        return Shape::Word;
    }
    let marks: Vec<(usize, char)> = mantissa.char_indices().filter(|(_, letter)| !letter.is_ascii_digit()).collect();
    let (place, mark) = match marks[..] {
        [] => return Shape::Plain,
        [(place, '.')] => (place, DecimalMark::Point),
        [(place, ',')] => (place, DecimalMark::Comma),
        _ if is_grouped(mantissa) => return Shape::Grouped,
        _ => return Shape::Word,
    };
    let (whole, fraction) = (&mantissa[..place], &mantissa[place + 1..]);
    let like_thousands = fraction.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0');
    Shape::Marked { mark, sure: !like_thousands || exponent.is_some() }
}

/// Whether a number with several marks is one with its thousands set apart, and so has one meaning with either mark: the
/// marks but the last are the same, and groups of three digits are between them. `1.4.6` is not.
fn is_grouped(mantissa: &str) -> bool {
    let marks: Vec<char> = mantissa.chars().filter(|&letter| is_separator(letter)).collect();
    let groups: Vec<&str> = mantissa.split(is_separator).collect();
    let [first, between @ .., last] = &groups[..] else { return false };
    let (one, rest) = (marks[0], &marks[1..]);
    let is_fraction = rest.last().is_some_and(|&mark| mark != one && matches!(mark, '.' | ','));
    let same = rest.iter().take(rest.len() - usize::from(is_fraction)).all(|&mark| mark == one);
    let three = |group: &&str| group.len() == 3;
    same && (1..=3).contains(&first.len()) && between.iter().all(three) && (is_fraction || three(last))
}

/// What may stand between digits: a decimal mark, or what sets thousands apart.
fn is_separator(letter: char) -> bool {
    matches!(letter, '.' | ',' | ' ' | '\'' | '\u{a0}' | '\u{202f}' | '’')
}

/// What all cells of a file say about its decimal mark.
#[derive(Debug, Default)]
pub(super) struct MarkEvidence {
    points: Option<Finding>,
    commas: Option<Finding>,
    grouped: Option<Finding>,
    sure_point: bool,
    sure_comma: bool,
}

impl MarkEvidence {
    pub(super) fn see(&mut self, line: u64, column: &str, cell: &str) {
        let place = match shape(cell) {
            Shape::Word | Shape::Plain => return,
            Shape::Grouped => &mut self.grouped,
            Shape::Marked { mark: DecimalMark::Point, sure } => {
                self.sure_point |= sure;
                &mut self.points
            }
            Shape::Marked { mark: DecimalMark::Comma, sure } => {
                self.sure_comma |= sure;
                &mut self.commas
            }
        };
        match place {
            Some(finding) => finding.again(),
            None => *place = Some(Finding::new(line, format!("{column}: {}", quoted(cell)))),
        }
    }

    /// The file's decimal mark; what has to be asked, where it does not tell.
    ///
    /// Only where the delimiter is `,` a point is a decimal mark without further evidence.
    pub(super) fn decide(self, delimiter: u8) -> Result<DecimalMark, Finding> {
        const ASK: &str = "say which with --decimal point or --decimal comma; the other mark is then the thousands'";
        let thousands = "has a separator of thousands, or two decimal marks";
        if let Some(finding) = self.grouped {
            return Err(finding.why(format!("{thousands}: {ASK}")));
        }
        match (self.points, self.commas) {
            (Some(point), Some(comma)) => {
                let (first, second) = if comma.line < point.line { (comma, point) } else { (point, comma) };
                Err(first.why(format!("stands beside {} in line {}: {ASK}", second.what, second.line)))
            }
            (None, Some(comma)) if !self.sure_comma => Err(comma.why(format!("may mean thousands: {ASK}"))),
            (None, Some(_)) => Ok(DecimalMark::Comma),
            (Some(point), None) if delimiter != b',' && !self.sure_point => {
                Err(point.why(format!("may mean thousands: {ASK}")))
            }
            (_, None) => Ok(DecimalMark::Point),
        }
    }
}

/// A cell of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// No value, without a word.
    Empty,
    /// A finite number.
    Number(f64),
    /// Anything else: no value.
    Word,
}

/// Reads numbers with one decimal mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct NumberFormat {
    pub mark: DecimalMark,
    /// The mark was named by a person: the other one sets thousands apart.
    pub thousands: bool,
}

impl NumberFormat {
    pub(super) fn read(self, cell: &str) -> Cell {
        if cell.is_empty() {
            return Cell::Empty;
        }
        let number = match shape(cell) {
            Shape::Word => None,
            Shape::Plain => cell.parse().ok(),
            Shape::Marked { mark, .. } if mark == self.mark => self.parse(cell),
            Shape::Marked { .. } | Shape::Grouped if self.thousands => self.without_thousands(cell),
            Shape::Marked { .. } | Shape::Grouped => None,
        };
        match number {
            Some(value) if f64::is_finite(value) => Cell::Number(value),
            _ => Cell::Word,
        }
    }

    fn parse(self, cell: &str) -> Option<f64> {
        match self.mark {
            DecimalMark::Point => cell.parse().ok(),
            DecimalMark::Comma => cell.replacen(',', ".", 1).parse().ok(),
        }
    }

    /// Groups of three digits, all set apart by the same mark, and a fraction behind the last.
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
        // Nobody writes 465 as 0.465.
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
    fn the_decimal_mark_is_found_or_asked_for() {
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
                evidence.see(line, "Tb", cell);
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
            assert_eq!(read, expected.map_or(Cell::Word, Cell::Number), "{mark:?} {cell}");
        }
        assert_eq!(NumberFormat { mark: Point, thousands: false }.read(""), Cell::Empty);
    }

    #[test]
    fn a_number_with_something_around_it_is_no_word() {
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
            assert_eq!(bare(cell, unit), number, "{cell}");
        }
        for cell in
            ["5%", "1_000", "(5)", "44.5 psi", "<0.5", "~7", "0x1F", "1.4.6", "–5", "$5", "03. Apr", "Apr 26", "5 ?"]
        {
            assert!(looks_like_a_number(cell) && shape(cell) == Shape::Word, "{cell}");
        }
        for word in
            ["Bad Input", "-", "--", "1.#QNAN", "#DIV/0!", "[-11059]", "Err 5", "Sensor 3 kaputt", "Marble", "n/a"]
        {
            assert!(!looks_like_a_number(word), "{word}");
        }
    }

    #[test]
    fn words_of_historians_are_known() {
        for word in ["Bad Input", "N/A", "[-11059]", "No Data", "I/O Timeout", "#DIV/0!", "<null>", "1.#QNAN", "NaN"] {
            assert_eq!(is_known_word(word), word != "[-11059]", "{word}");
        }
    }
}
