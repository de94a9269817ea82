//! The name of a pump. Where pumps are registered is not this module's business.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

/// The longest pump name, in bytes.
const MAX_LEN: usize = 64;

/// A pump's name: 1 to 64 characters out of letters, digits, `.`, `_`, `-` and `:`.
///
/// Cheap to clone; safe in a URL, a file name and a log line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PumpId(Arc<str>);

/// The text is no pump name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a pump name; allowed: {}", PumpId::ALLOWED)]
pub struct PumpIdError {
    text: String,
}

impl PumpId {
    /// What a pump name may be, for error messages.
    pub const ALLOWED: &'static str = "1 to 64 characters out of letters, digits, '.', '_', '-' and ':'";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pump's lot, a number below `lots`: always the same one in a program, and evenly spread over pumps. By it work
    /// that all pumps have is spread over time.
    pub fn lot(&self, lots: u16) -> u16 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        u16::try_from(hasher.finish() % u64::from(lots.max(1))).unwrap_or_default()
    }
}

impl FromStr for PumpId {
    type Err = PumpIdError;

    fn from_str(text: &str) -> Result<Self, PumpIdError> {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        if text.is_empty() || text.len() > MAX_LEN || !text.chars().all(known) {
            let text = text.chars().take(MAX_LEN + 1).collect();
            return Err(PumpIdError { text });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for PumpId {
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

impl fmt::Display for PumpId {
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
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["p", "-", "pump-1", "P:3.a_b", "09azAZ", &"x".repeat(64)] {
            assert_eq!(good.parse::<PumpId>().expect(good).as_str(), good);
        }
        let (long, wide) = ("x".repeat(65), "ü".repeat(33));
        for bad in [
            "", " ", "a b", "a\n", "a/b", "a\\b", "a%b", "a,b", "a;b", "a@b", "a[b", "a`b", "a{b", "pümp", "٣", &wide,
            &long,
        ] {
            let told = bad.parse::<PumpId>().expect_err(bad).to_string();
            assert!(told.contains(PumpId::ALLOWED), "{told}");
        }
        let told = "x".repeat(10_000).parse::<PumpId>().expect_err("too long").to_string();
        assert!(told.starts_with(&format!("{long:?} is not")), "no more of it than shows that it is too long: {told}");
    }

    #[test]
    fn lots_are_the_pumps_own_and_spread() {
        let mut pumps_with = [0; 10];
        for n in 0..1000 {
            let pump: PumpId = format!("P-{n}").parse().expect("a name");
            assert_eq!(
                (pump.lot(10), pump.lot(1), pump.lot(0)),
                (pump.as_str().parse::<PumpId>().expect("the same name").lot(10), 0, 0)
            );
            pumps_with[usize::from(pump.lot(10))] += 1;
        }
        assert!(pumps_with.iter().all(|pumps| (50..200).contains(pumps)), "{pumps_with:?}");
    }
}
