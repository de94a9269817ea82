//! The id of a pump, and its name for people. Where pumps are registered is not this module's business.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::label::{LabelError, Lengths, spelled};

/// With at most 192 bytes, of which a character has at most four, [`PumpId::file_stem`] stays below 240 bytes.
const ID: Lengths = Lengths { max_chars: 64, max_bytes: 192 };
const NAME: Lengths = Lengths { max_chars: 80, max_bytes: 320 };
/// As much of a text that is refused as an error shows, in characters.
const SHOWN_CHARS: usize = 65;
/// No pump's ids: in a URL and in a folder, the first two are another place than they say; the third is whose series the
/// node's own figures are.
const RESERVED: [&str; 3] = [".", "..", "*"];
/// Names of devices in Windows, which no file may have there, with whatever ending.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "COM", "LPT"];

/// A pump's id: the tag that the plant has for it, as `10 PAC20 AP001`, `P-101A/B`, `=10.PAC20.AP001-M01` or `Förderpumpe 3`.
///
/// 1 to 64 characters, at most 192 bytes in UTF-8, of any script. The same tag typed twice is one id, whatever typed it: it is
/// normalised to NFC, spaces at both ends are dropped, and spaces in a row, of whatever kind, are one space. Refused are
/// characters that cannot be seen or that change the direction of text, and `.`, `..` and `*`. Ids that differ in upper and
/// lower case are two pumps. Ids of before (ASCII letters, digits, `.`, `_`, `-` and `:`) are as they were.
///
/// An id has no control characters. It is not safe in a URL or as a file's name as it stands: percent-encode it there, or
/// take its [`Self::file_stem`]. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PumpId(Arc<str>);

/// A pump's name for people, beside its id: 1 to 80 characters, spelled as an id is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PumpName(Arc<str>);

/// The text is no pump id, or no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {why}; allowed: {allowed}")]
pub struct PumpIdError {
    text: String,
    what: &'static str,
    why: String,
    allowed: &'static str,
}

/// FNV-1a with 64 bits (draft-eastlake-fnv, sections 2 and 5).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl PumpId {
    /// What a pump's id may be, for error messages.
    pub const ALLOWED: &'static str = "1 to 64 characters, at most 192 bytes in UTF-8, that can all be seen, with single spaces between them; not '.', \
         '..' or '*'";

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An id that was taken before, by the rules of today or of then: it may be `.` or `..`.
    pub fn stored(text: &str) -> Result<Self, PumpIdError> {
        match text {
            "." | ".." => Ok(Self(text.into())),
            _ => text.parse(),
        }
    }

    /// The id, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Returns which of so many slots this pump has: the same in every build of the program, and spread evenly over pumps.
    pub fn hash_slot(&self, slots: u16) -> u16 {
        let hash = self.0.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        u16::try_from(hash % u64::from(slots.max(1))).unwrap_or_default()
    }

    /// The id as a file's name without an ending: another one for each id, below 240 bytes, and the id again with
    /// [`Self::from_file_stem`].
    ///
    /// `P-101A/B` is `P-101A%2FB`, `Förderpumpe 3` is `Förderpumpe%203`. ASCII other than letters, digits, `-`, `_` and an
    /// inner `.` is percent-encoded; so is the first letter of what Windows keeps for devices (`CON` is `%43ON`). A file
    /// system that does not tell upper from lower case does not tell the files of `p` and `P` apart either.
    pub fn file_stem(&self) -> String {
        let device = is_device(&self.0);
        let mut stem = String::with_capacity(self.0.len() + 8);
        for (at, character) in self.0.char_indices() {
            let edge = at == 0 || at + character.len_utf8() == self.0.len();
            let plain = match character {
                '.' => !edge,
                '-' | '_' => true,
                _ => !character.is_ascii() || character.is_ascii_alphanumeric(),
            };
            if plain && !(device && at == 0) {
                stem.push(character);
            } else {
                stem.push_str(&format!("%{:02X}", u32::from(character)));
            }
        }
        stem
    }

    /// The id whose file's name this is.
    pub fn from_file_stem(stem: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(stem.len());
        let mut rest = stem.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let digits = str::from_utf8(after.get(..2)?).ok().filter(|digits| !digits.starts_with('+'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        }
        let id = Self::stored(str::from_utf8(&bytes).ok()?).ok()?;
        (id.file_stem() == stem).then_some(id)
    }
}

impl PumpName {
    /// What a name may be, for error messages.
    pub const ALLOWED: &'static str = "1 to 80 characters that can all be seen, with single spaces between them";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PumpIdError {
    /// Why it is none, as a sentence without an end.
    pub fn why(&self) -> String {
        format!("no {}: {}", self.what, self.why)
    }

    fn new(text: &str, (what, allowed): (&'static str, &'static str), why: impl fmt::Display) -> Self {
        Self { text: text.chars().take(SHOWN_CHARS).collect(), what, why: why.to_string(), allowed }
    }
}

fn is_device(id: &str) -> bool {
    let name = id.split('.').next().unwrap_or_default().trim_end();
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³'));
    DEVICES.iter().any(|device| device.eq_ignore_ascii_case(name) || device.eq_ignore_ascii_case(letters))
}

/// An id as most are: it is spelled as it stands.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
    (1..=ID.max_chars).contains(&text.len()) && text.bytes().all(plain)
}

impl FromStr for PumpId {
    type Err = PumpIdError;

    fn from_str(text: &str) -> Result<Self, PumpIdError> {
        let of = ("pump id", Self::ALLOWED);
        let id: Arc<str> = match is_plain(text) {
            true => text.into(),
            false => spelled(text, ID).map_err(|why: LabelError| PumpIdError::new(text, of, why))?.into(),
        };
        match RESERVED.contains(&&*id) {
            true => Err(PumpIdError::new(text, of, "it is reserved")),
            false => Ok(Self(id)),
        }
    }
}

impl FromStr for PumpName {
    type Err = PumpIdError;

    fn from_str(text: &str) -> Result<Self, PumpIdError> {
        let name = spelled(text, NAME).map_err(|why| PumpIdError::new(text, ("pump name", Self::ALLOWED), why))?;
        Ok(Self(name.into()))
    }
}

/// Between parts of Volute, which have checked it.
impl TryFrom<String> for PumpId {
    type Error = PumpIdError;

    fn try_from(text: String) -> Result<Self, PumpIdError> {
        Self::stored(&text)
    }
}

impl TryFrom<String> for PumpName {
    type Error = PumpIdError;

    fn try_from(text: String) -> Result<Self, PumpIdError> {
        text.parse()
    }
}

impl From<PumpId> for String {
    fn from(id: PumpId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl From<PumpName> for String {
    fn from(name: PumpName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for PumpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PumpName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PumpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PumpId({})", self.0)
    }
}

#[cfg(test)]
mod tests;
