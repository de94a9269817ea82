//! Names of users and of pump tokens.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The maximum length of a name.
const MAX_CHARS: usize = 64;

/// A name: 1 to 64 of the characters `a-z`, `0-9`, `.`, `_`, `-`, `@` and `+`, the first a letter or a digit.
/// Upper-case letters are converted, so `Ada` and `ada` are one user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A name that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a name; allowed: {}", Name::ALLOWED)]
pub struct NameError;

impl Name {
    /// What is allowed, for error messages.
    pub const ALLOWED: &'static str =
        "1 to 64 letters (a-z), digits, and the characters . _ - @ +, beginning with a letter or a digit";

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.trim().to_ascii_lowercase();
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@+".contains(c);
        let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !begins_well || name.len() > MAX_CHARS || !name.chars().all(is_allowed) {
            return Err(NameError);
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_plain_and_of_one_case() {
        for (text, name) in [
            ("ada", "ada"),
            (" Ada.L ", "ada.l"),
            ("a@plant.example", "a@plant.example"),
            ("7", "7"),
            ("gw-1_b+c", "gw-1_b+c"),
        ] {
            assert_eq!(text.parse::<Name>().expect(text).as_str(), name);
        }
        for bad in ["", " ", ".a", "-a", "a b", "a/b", "a\n", "ä", "a\0", "\"", &"a".repeat(65)] {
            // A line break at the end is trimmed.
            if bad != "a\n" {
                assert_eq!(bad.parse::<Name>(), Err(NameError), "{bad:?}");
            }
        }
    }
}
