//! Normalisation of pump ids and display names.
//!
//! Two texts that look the same become the same text. For example, `" Fo\u{308}rderpumpe\u{a0}3"`, typed on a Mac and
//! pasted from a document, becomes `"Förderpumpe 3"`:
//!
//! - The text is normalised to NFC: `o` with a combining diaeresis becomes `ö`, the ohm sign becomes omega.
//! - White space at both ends is dropped. Each run of spaces inside, no-break and wide spaces included, becomes one
//!   space.
//! - Characters that are invisible or that reorder the text around them are refused: control and format characters
//!   (tabs, line breaks, bidirectional controls), zero width joiners, variation selectors, fillers and line separators.
//! - Private and unassigned characters are refused.
//! - The replacement character is refused: the sender's text was in another encoding, and two names that differ only in
//!   the lost character would become the same.
//! - A combining mark without a character before it is refused.
//!
//! Upper and lower case, and wide and narrow forms (`Ｐ` and `P`), stay different. Does not detect characters of
//! different scripts that look alike.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// A longer text is refused before it is normalised, in bytes.
const MAX_INPUT_BYTES: usize = 4096;

/// Invisible characters that are neither control nor format characters: Unicode's default ignorable code points of
/// other categories, and the blank braille pattern.
const INVISIBLE_CHARS: [std::ops::RangeInclusive<char>; 9] = [
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

/// Why a text is not a valid label.
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

/// The maximum lengths of a label after normalisation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LengthLimits {
    pub(crate) max_chars: usize,
    pub(crate) max_bytes: usize,
}

/// Returns the normalised text, or why it is not a valid label.
pub(crate) fn normalize(text: &str, lengths: LengthLimits) -> Result<String, LabelError> {
    let LengthLimits { max_chars, max_bytes } = lengths;
    if text.len() > MAX_INPUT_BYTES {
        return Err(LabelError::TooManyChars { max_chars });
    }
    let mut normalized = String::with_capacity(text.len());
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
        let stands_alone = normalized.is_empty() || space;
        if stands_alone && character.general_category_group() == GeneralCategoryGroup::Mark {
            return refused("a combining mark without a letter before it");
        }
        if space && !normalized.is_empty() {
            normalized.push(' ');
            chars += 1;
        }
        space = false;
        normalized.push(character);
        chars += 1;
    }
    match (chars, normalized.len()) {
        (0, _) => Err(LabelError::Empty),
        (chars, _) if chars > max_chars => Err(LabelError::TooManyChars { max_chars }),
        (_, bytes) if bytes > max_bytes => Err(LabelError::TooManyBytes { max_bytes }),
        _ => Ok(normalized),
    }
}

/// Describes the character if it is not allowed in a label.
fn unprintable(character: char, category: GeneralCategory) -> Option<&'static str> {
    if INVISIBLE_CHARS.iter().any(|range| range.contains(&character)) {
        return Some("an invisible character");
    }
    match (character, category) {
        ('\u{fffc}' | '\u{fffd}', _) => Some("a replacement for a character that was lost"),
        ('\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}', _) => Some("a zero-width character"),
        ('\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}', _) => {
            Some("a character that changes the direction of text")
        }
        (_, GeneralCategory::Control) => Some("a control character"),
        (_, GeneralCategory::Format) => Some("a format character"),
        (_, GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator) => Some("a line separator"),
        (_, GeneralCategory::PrivateUse) => Some("a private-use character"),
        (_, GeneralCategory::Unassigned | GeneralCategory::Surrogate) => Some("an unassigned character"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LengthLimits = LengthLimits { max_chars: 5, max_bytes: 12 };

    #[test]
    fn texts_that_look_the_same_are_one_text() {
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
            assert_eq!(normalize(text, LIMITS).as_deref(), Ok(expected), "{text:?}");
            assert_eq!(normalize(expected, LIMITS).as_deref(), Ok(expected), "normalising twice changes nothing");
        }
    }

    #[test]
    fn lengths_count_after_normalisation() {
        assert_eq!(normalize("e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", LIMITS).as_deref(), Ok("ééééé"));
        assert_eq!(normalize("123456", LIMITS), Err(LabelError::TooManyChars { max_chars: 5 }));
        assert_eq!(normalize("冷却冷却冷", LIMITS), Err(LabelError::TooManyBytes { max_bytes: 12 }));
        assert_eq!(normalize(&" ".repeat(100), LIMITS), Err(LabelError::Empty));
        assert!(normalize(&format!("P{}", " ".repeat(255)), LIMITS).is_ok(), "padded to a fixed length");
        assert!(normalize(&"P".repeat(5000), LIMITS).is_err());
    }

    #[test]
    fn invisible_characters_are_refused_by_name() {
        for (character, what) in [
            ('\0', "control"),
            ('\t', "control"),
            ('\n', "control"),
            ('\u{7f}', "control"),
            ('\u{85}', "control"),
            ('\u{ad}', "format"),
            ('\u{200b}', "zero-width"),
            ('\u{200d}', "zero-width"),
            ('\u{feff}', "zero-width"),
            ('\u{202e}', "direction"),
            ('\u{2067}', "direction"),
            ('\u{2028}', "line separator"),
            ('\u{e000}', "private"),
            ('\u{10ffff}', "unassigned"),
            ('\u{378}', "unassigned"),
            ('\u{fffd}', "lost"),
            ('\u{fe0f}', "invisible"),
            ('\u{3164}', "invisible"),
            ('\u{e0041}', "format"),
        ] {
            let message = normalize(&format!("P{character}1"), LIMITS).expect_err("refused").to_string();
            assert!(message.contains(what) && message.contains("U+"), "{character:?}: {message}");
        }
    }
}
