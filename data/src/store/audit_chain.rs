//! The chain of the audit log: each entry holds a hash of its own content and the hash of the entry before it, so that
//! a change of the stored entries is found.
//!
//! ```text
//! number 1   previous 0000..   hash 5d1f.. = SHA-256(number 1, previous 0000.., at, who, action, ...)
//! number 2   previous 5d1f..   hash 90ab..
//! number 3   previous 90ab..   hash 77c2..
//! head       number 3          hash 77c2..      in the database, the journal, and the file `audit`
//! ```
//!
//! If somebody changes the entry 2, its content does not have its hash. With a new hash, entry 3 does not follow it. An
//! entry that is removed leaves a gap in the numbers, and one that is inserted has a number twice or does not follow.
//! If the last entries are removed, the head names an entry that is not there. If the oldest are deleted by age, the
//! *anchor* holds the number and the hash of the last deleted one, and the rest is checked from there.
//!
//! The hash needs no secret. So whoever can write all files of the node can compute a new chain from some entry on; that
//! is found only by comparing with a head that was noted elsewhere ([`ChainHead`], `volute audit verify --expect`).
//!
//! This module is pure. See `audit_seal.rs` for how entries get their place, and `audit_verify.rs` for reading them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use volute_plant::Timestamp;

use super::document::Fields;

/// The first bytes of what is hashed. Another canonical form would have another text.
const FORM: &[u8] = b"volute audit 1";
/// The field with an entry's own hash, which the hash cannot include.
const HASH: &str = "hash";

/// A SHA-256. It is written in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ChainHash([u8; 32]);

/// An entry's place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainLink {
    /// Its number, from 1.
    pub number: u64,
    /// The hash of the entry before; zero for the first.
    pub previous: ChainHash,
    /// Its own hash.
    pub hash: ChainHash,
}

/// The last entry of the chain, or the last one that was deleted by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// The entry's number; 0 if there is none.
    pub number: u64,
    /// The entry's hash.
    pub hash: ChainHash,
    /// The entry's time, in milliseconds since 1970.
    pub at_ms: i64,
}

/// An entry of the chain, as it was found in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundLink {
    pub at: Timestamp,
    pub link: ChainLink,
    /// Whether its content has its hash.
    pub is_intact: bool,
}

/// What contradicts the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainFault {
    /// The content of an entry does not have its hash.
    #[error("entry {number} of {} was changed", time(*.at_ms))]
    Changed {
        /// Its number.
        number: u64,
        /// Its time.
        at_ms: i64,
    },
    /// Entries are missing.
    #[error("entries {first} to {last} were removed")]
    Removed {
        /// The first number.
        first: u64,
        /// The last number.
        last: u64,
    },
    /// An entry is not part of the chain.
    #[error("an entry was inserted as number {number}, at {}", time(*.at_ms))]
    Inserted {
        /// Its number.
        number: u64,
        /// Its time.
        at_ms: i64,
    },
    /// An entry does not hold the hash of the one before.
    #[error("entry {number} of {} does not follow the entry before it: one of the two was replaced", time(*.at_ms))]
    Replaced {
        /// Its number.
        number: u64,
        /// Its time.
        at_ms: i64,
    },
    /// An entry without a link is later than the first entry of the chain.
    #[error("an entry outside of the chain was inserted, at {}", time(*.at_ms))]
    OutsideChain {
        /// Its time.
        at_ms: i64,
    },
    /// The last entry is not the one that the head names.
    #[error("the last entry, number {number}, is not the one that the chain's head names: it was replaced")]
    OtherEnd {
        /// Its number.
        number: u64,
    },
    /// The chain does not have an entry that was noted elsewhere.
    #[error("entry {number} is not the one that was expected: the chain was made anew, or is another node's")]
    Unexpected {
        /// Its number.
        number: u64,
    },
}

impl ChainHash {
    /// What the first entry has in the place of the hash of the entry before.
    pub const ZERO: Self = Self([0; 32]);

    /// Returns the hash of an entry: of its stored fields except its hash, sorted by name. Each name and each value is
    /// preceded by its length in bytes; a value is preceded by its type too (`s` for a text, `j` for JSON).
    pub(crate) fn of(fields: &Fields) -> Self {
        let sorted: BTreeMap<&String, &Value> =
            fields.iter().filter(|(name, value)| *name != HASH && !value.is_null()).collect();
        let mut hasher = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(bytes);
        };
        add(FORM);
        for (name, value) in sorted {
            add(name.as_bytes());
            match value {
                Value::String(text) => {
                    add(b"s");
                    add(text.as_bytes());
                }
                other => {
                    add(b"j");
                    add(other.to_string().as_bytes());
                }
            }
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<ChainHash> for String {
    fn from(hash: ChainHash) -> Self {
        hash.to_string()
    }
}

impl FromStr for ChainHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("{text:?} is not a hash; allowed: 64 hexadecimal digits");
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = str::from_utf8(digits).map_err(|_| invalid())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for ChainHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl ChainHead {
    /// The head of a chain without entries.
    pub(crate) const EMPTY: Self = Self { number: 0, hash: ChainHash::ZERO, at_ms: 0 };

    /// Returns the one of the two that is further on.
    pub(crate) fn max(self, other: Self) -> Self {
        if other.number > self.number { other } else { self }
    }
}

/// Returns the first fault of a chain in the order of the numbers; none if it has no fault.
///
/// `anchor` is the last entry that was deleted by age, `head` the last entry of the chain, and `unlinked` the latest
/// time of the entries without a link. `expected` are entries that were noted elsewhere.
pub(crate) fn first_fault(
    mut links: Vec<FoundLink>,
    (anchor, head): (ChainHead, ChainHead),
    unlinked: Option<Timestamp>,
    expected: Option<(u64, ChainHash)>,
) -> Option<ChainFault> {
    links.sort_by_key(|found| (found.link.number, found.at));
    let first_ms = links.first().map(|found| found.at.millis());
    let mut last = (anchor.number, anchor.hash);
    for FoundLink { at, link: ChainLink { number, previous, hash }, is_intact } in links {
        let at_ms = at.millis();
        if number <= last.0 {
            return Some(ChainFault::Inserted { number, at_ms });
        }
        if number > last.0 + 1 {
            return Some(ChainFault::Removed { first: last.0 + 1, last: number - 1 });
        }
        if !is_intact {
            return Some(ChainFault::Changed { number, at_ms });
        }
        if previous != last.1 {
            return Some(ChainFault::Replaced { number, at_ms });
        }
        if number > head.number {
            return Some(ChainFault::Inserted { number, at_ms });
        }
        if expected.is_some_and(|expected| expected.0 == number && expected.1 != hash) {
            return Some(ChainFault::Unexpected { number });
        }
        last = (number, hash);
    }
    if last.0 < head.number {
        return Some(ChainFault::Removed { first: last.0 + 1, last: head.number });
    }
    if last.1 != head.hash {
        return Some(ChainFault::OtherEnd { number: last.0 });
    }
    if let Some((number, hash)) = expected
        && (number > head.number || (number == anchor.number && hash != anchor.hash))
    {
        return Some(ChainFault::Unexpected { number });
    }
    let inserted = unlinked.filter(|at| first_ms.is_some_and(|first| at.millis() > first));
    inserted.map(|at| ChainFault::OutsideChain { at_ms: at.millis() })
}

fn time(ms: i64) -> String {
    Timestamp::from_millis(ms).map_or_else(|_| format!("{ms} ms since 1970"), |at| at.to_string())
}

#[cfg(test)]
mod tests;
