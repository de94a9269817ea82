//! Text by which people name things: pump ids and display names.
//!
//! Two texts that look alike on a sign are one text here. `" Fo\u{308}rderpumpe\u{a0}3"`, typed on a Mac and pasted from a
//! document, becomes `"Förderpumpe 3"`:
//!
//! - The text is normalised to NFC: `o` with a combining diaeresis is `ö`, the ohm sign is omega.
//! - White space at both ends is dropped, and every run of spaces inside, no-break and wide spaces too, is one space.
//! - What cannot be seen is refused, and so is what reorders its surroundings: control and format characters (tabs, line
//!   breaks, bidirectional controls), zero width joiners, variation selectors, fillers, line separators. So are private and
//!   unassigned characters, the replacement character (the sender's text was in another encoding, and two names that differ
//!   only there would become one), and a combining mark that has nothing to combine with.
//!
//! Upper and lower case, and wide and narrow forms (`Ｐ` and `P`), stay different. Does not look for characters of different
//! scripts that look alike.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// A text is not worth normalising when it is this long, in bytes.
const HOPELESS_BYTES: usize = 4096;

/// What is not seen though it is no control and no format character: Unicode's default ignorable code points of other
/// categories, and the blank braille pattern.
const INVISIBLE: [std::ops::RangeInclusive<char>; 9] = [
    '\u{34f}'..='\u{34f}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{e0100}'..='\u{e01ef}',
];

/// Why a text names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelError {
    #[error("it is empty")]
    Empty,
    #[error("it has more than {max_chars} characters")]
    TooManyChars { max_chars: usize },
    #[error("it has more than {max_bytes} bytes in UTF-8")]
    TooManyBytes { max_bytes: usize },
    #[error("U+{:04X} is {what}", u32::from(*.character))]
    Character { character: char, what: &'static str },
}

/// How long a text may be, once it is spelled as [`spelled`] does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    pub(crate) max_chars: usize,
    pub(crate) max_bytes: usize,
}

/// The one spelling of a text, or why it names nothing.
pub(crate) fn spelled(text: &str, lengths: Lengths) -> Result<String, LabelError> {
    let Lengths { max_chars, max_bytes } = lengths;
    if text.len() > HOPELESS_BYTES {
        return Err(LabelError::TooManyChars { max_chars });
    }
    let mut spelled = String::with_capacity(text.len());
    let (mut space, mut chars) = (false, 0);
    for character in text.nfc() {
        let category = character.general_category();
        if category == GeneralCategory::SpaceSeparator {
            space = true;
            continue;
        }
        let refused = |what| Err(LabelError::Character { character, what });
        if let Some(what) = unprintable(character, category) {
            return refused(what);
        }
        let stands_alone = spelled.is_empty() || space;
        if stands_alone && character.general_category_group() == GeneralCategoryGroup::Mark {
            return refused("a combining mark without a letter before it");
        }
        if space && !spelled.is_empty() {
            spelled.push(' ');
            chars += 1;
        }
        space = false;
        spelled.push(character);
        chars += 1;
    }
    match (chars, spelled.len()) {
        (0, _) => Err(LabelError::Empty),
        (chars, _) if chars > max_chars => Err(LabelError::TooManyChars { max_chars }),
        (_, bytes) if bytes > max_bytes => Err(LabelError::TooManyBytes { max_bytes }),
        _ => Ok(spelled),
    }
}

/// What kind of character it is, if it is one that cannot be shown.
fn unprintable(character: char, category: GeneralCategory) -> Option<&'static str> {
    if INVISIBLE.iter().any(|range| range.contains(&character)) {
        return Some("an invisible character");
    }
    match (character, category) {
        ('\u{fffc}' | '\u{fffd}', _) => Some("what stands for a character that was lost"),
        ('\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}', _) => Some("a character of no width"),
        ('\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}', _) => {
            Some("a character that changes the direction of text")
        }
        (_, GeneralCategory::Control) => Some("a control character"),
        (_, GeneralCategory::Format) => Some("a format character"),
        (_, GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator) => Some("a line separator"),
        (_, GeneralCategory::PrivateUse) => Some("a private character"),
        (_, GeneralCategory::Unassigned | GeneralCategory::Surrogate) => Some("no character"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Lengths = Lengths { max_chars: 5, max_bytes: 12 };

    #[test]
    fn what_looks_alike_is_one_text() {
        for (text, expected) in [
            ("P 1", "P 1"),
            ("  P 1 ", "P 1"),
            ("P \u{a0}\u{3000} 1\u{202f}", "P 1"),
            ("e\u{301}", "é"),
            ("\u{2126}", "Ω"),
            ("가", "가"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("P1\u{2009}", "P1"),
        ] {
            assert_eq!(spelled(text, FIVE).as_deref(), Ok(expected), "{text:?}");
            assert_eq!(spelled(expected, FIVE).as_deref(), Ok(expected), "once is enough");
        }
    }

    #[test]
    fn lengths_count_after_it_is_spelled() {
        assert_eq!(spelled("e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", FIVE).as_deref(), Ok("ééééé"));
        assert_eq!(spelled("123456", FIVE), Err(LabelError::TooManyChars { max_chars: 5 }));
        assert_eq!(spelled("冷却冷却冷", FIVE), Err(LabelError::TooManyBytes { max_bytes: 12 }));
        assert_eq!(spelled(&" ".repeat(100), FIVE), Err(LabelError::Empty));
        assert!(spelled(&format!("P{}", " ".repeat(255)), FIVE).is_ok(), "padded to a fixed length");
        assert!(spelled(&"P".repeat(5000), FIVE).is_err());
    }

    #[test]
    fn what_cannot_be_seen_is_refused_by_name() {
        for (character, what) in [
            ('\0', "control"),
            ('\t', "control"),
            ('\n', "control"),
            ('\u{7f}', "control"),
            ('\u{85}', "control"),
            ('\u{ad}', "format"),
            ('\u{200b}', "no width"),
            ('\u{200d}', "no width"),
            ('\u{feff}', "no width"),
            ('\u{202e}', "direction"),
            ('\u{2067}', "direction"),
            ('\u{2028}', "line separator"),
            ('\u{e000}', "private"),
            ('\u{10ffff}', "no character"),
            ('\u{378}', "no character"),
            ('\u{fffd}', "lost"),
            ('\u{fe0f}', "invisible"),
            ('\u{3164}', "invisible"),
            ('\u{e0041}', "format"),
        ] {
            let told = spelled(&format!("P{character}1"), FIVE).expect_err("refused").to_string();
            assert!(told.contains(what) && told.contains("U+"), "{character:?}: {told}");
        }
    }
}
