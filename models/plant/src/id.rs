//! A pump's id and its display name.
//!
//! Does not know which pumps are registered; see the pump registry in `volute-data`.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::label::{LabelError, LengthLimits, normalize};

/// Length limits of an id. A character has at most four bytes, so with 192 bytes [`PumpId::file_stem`] stays below 240
/// bytes.
const ID_LENGTHS: LengthLimits = LengthLimits { max_chars: 64, max_bytes: 192 };
const NAME_LENGTHS: LengthLimits = LengthLimits { max_chars: 80, max_bytes: 320 };
/// Number of characters of a refused text that an error message shows.
const MAX_SHOWN_CHARS: usize = 65;
/// Ids that no pump may have. In a URL or a file path, `.` and `..` name another folder. The node's own metrics are
/// stored as the series `*`.
const RESERVED_IDS: [&str; 3] = [".", "..", "*"];
/// Device names of Windows. Windows allows no file of such a name, whatever its extension.
const WINDOWS_DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "COM", "LPT"];

/// A pump's id: the plant's tag for it, such as `10 PAC20 AP001`, `P-101A/B`, `=10.PAC20.AP001-M01` or `Förderpumpe 3`.
///
/// 1 to 64 characters of any script, at most 192 bytes in UTF-8. Different spellings of one tag are one id: the text is
/// normalised to NFC, spaces at both ends are dropped, and each run of spaces of any kind becomes one space. Invisible
/// characters, characters that change the direction of text, and the ids `.`, `..` and `*` are refused. Ids that differ
/// in case are different pumps. The ids that older versions allowed (ASCII letters, digits, `.`, `_`, `-` and `:`) are
/// valid and stay unchanged.
///
/// An id has no control characters. In a URL it must be percent-encoded, and as a file name it must be encoded by
/// [`Self::file_stem`]. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PumpId(Arc<str>);

/// A pump's display name: 1 to 80 characters, normalised like an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PumpName(Arc<str>);

/// The text is not a valid pump id or name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: {why}; allowed: {allowed}")]
pub struct PumpIdError {
    text: String,
    what: &'static str,
    why: String,
    allowed: &'static str,
}

/// 64-bit FNV-1a (draft-eastlake-fnv, sections 2 and 5).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl PumpId {
    /// Which ids are valid, for error messages.
    pub const ALLOWED: &'static str = "1 to 64 characters, at most 192 bytes in UTF-8, that can all be seen, with single spaces between them; not '.', \
         '..' or '*'";

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses an id from storage. Also accepts `.` and `..`, which older versions allowed.
    pub fn from_stored(text: &str) -> Result<Self, PumpIdError> {
        match text {
            "." | ".." => Ok(Self(text.into())),
            _ => text.parse(),
        }
    }

    /// Returns the shared string of the id, without a copy.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Returns a slot for the pump, from 0 to `slots` - 1. It depends only on the id, is the same in every build of the
    /// program, and is spread evenly over pumps.
    pub fn hash_slot(&self, slots: u16) -> u16 {
        let hash = self.0.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        u16::try_from(hash % u64::from(slots.max(1))).unwrap_or_default()
    }

    /// Returns the id as a file name without an extension: unique per id, below 240 bytes, and reversible with
    /// [`Self::from_file_stem`].
    ///
    /// `P-101A/B` becomes `P-101A%2FB`, `Förderpumpe 3` becomes `Förderpumpe%203`. Of the ASCII characters, letters,
    /// digits, `-`, `_` and a `.` inside the id stay as they are. The others are percent-encoded, and so is the first
    /// letter of a Windows device name (`CON` becomes `%43ON`).
    /// On a file system that ignores case, the files of `p` and `P` are the same file.
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

    /// Returns the id whose [`Self::file_stem`] this is, if there is one.
    pub fn from_file_stem(stem: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(stem.len());
        let mut remaining = stem.as_bytes();
        while let Some((&byte, tail)) = remaining.split_first() {
            remaining = tail;
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let digits = str::from_utf8(tail.get(..2)?).ok().filter(|digits| !digits.starts_with('+'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            remaining = &tail[2..];
        }
        let id = Self::from_stored(str::from_utf8(&bytes).ok()?).ok()?;
        (id.file_stem() == stem).then_some(id)
    }
}

impl PumpName {
    /// Which names are valid, for error messages.
    pub const ALLOWED: &'static str = "1 to 80 characters that can all be seen, with single spaces between them";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PumpIdError {
    /// Returns the reason as a phrase without a full stop, for error messages.
    pub fn why(&self) -> String {
        format!("not a valid {}: {}", self.what, self.why)
    }

    fn new(text: &str, (what, allowed): (&'static str, &'static str), why: impl fmt::Display) -> Self {
        Self { text: text.chars().take(MAX_SHOWN_CHARS).collect(), what, why: why.to_string(), allowed }
    }
}

fn is_device(id: &str) -> bool {
    let name = id.split('.').next().unwrap_or_default().trim_end();
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³'));
    WINDOWS_DEVICES.iter().any(|device| device.eq_ignore_ascii_case(name) || device.eq_ignore_ascii_case(letters))
}

/// Whether the text consists of ASCII letters, digits, `.`, `_`, `-` and `:`, and so needs no normalisation.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
    (1..=ID_LENGTHS.max_chars).contains(&text.len()) && text.bytes().all(plain)
}

impl FromStr for PumpId {
    type Err = PumpIdError;

    fn from_str(text: &str) -> Result<Self, PumpIdError> {
        let label_kind = ("pump id", Self::ALLOWED);
        let id: Arc<str> = match is_plain(text) {
            true => text.into(),
            false => normalize(text, ID_LENGTHS)
                .map_err(|error: LabelError| PumpIdError::new(text, label_kind, error))?
                .into(),
        };
        match RESERVED_IDS.contains(&&*id) {
            true => Err(PumpIdError::new(text, label_kind, "it is reserved")),
            false => Ok(Self(id)),
        }
    }
}

impl FromStr for PumpName {
    type Err = PumpIdError;

    fn from_str(text: &str) -> Result<Self, PumpIdError> {
        let name =
            normalize(text, NAME_LENGTHS).map_err(|why| PumpIdError::new(text, ("pump name", Self::ALLOWED), why))?;
        Ok(Self(name.into()))
    }
}

/// Parses stored ids, and ids that another part of Volute has checked. So `.` and `..` are accepted.
impl TryFrom<String> for PumpId {
    type Error = PumpIdError;

    fn try_from(text: String) -> Result<Self, PumpIdError> {
        Self::from_stored(&text)
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
