//! Credentials: random secrets that a client shows with its requests. Sessions, pump tokens and set-up links have one
//! each.
//!
//! The text is `<prefix>_<id>_<secret>`, for example `vpt_0123456789abcdef_Qm9…`. The id (64 bits) is public: it finds
//! the record and may be shown and logged. The secret (256 bits) is known to the client only; the record has its
//! SHA-256. A hash without salt is sufficient, because 256 random bits cannot be guessed. Both hashes are compared in
//! constant time.
//!
//! The prefix says what kind of credential a text is, also to scanners that look for leaked secrets.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A session of a user.
    Session,
    /// A pump token.
    PumpToken,
    /// A link with which a user sets a password.
    SetupLink,
}

impl CredentialKind {
    const ALL: [Self; 3] = [Self::Session, Self::PumpToken, Self::SetupLink];

    fn prefix(self) -> &'static str {
        match self {
            Self::Session => "vss",
            Self::PumpToken => "vpt",
            Self::SetupLink => "vsu",
        }
    }
}

/// The public part of a credential: 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CredentialId(String);

/// The SHA-256 of a credential's secret, as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialHash(String);

/// A credential with its secret. Neither `Debug` nor `Display` shows the secret.
#[derive(Clone)]
pub struct Credential {
    kind: CredentialKind,
    id: CredentialId,
    secret: [u8; SECRET_BYTES],
}

impl Credential {
    /// Creates a random credential. Fails if the system has no randomness to give.
    pub fn random(kind: CredentialKind) -> Result<Self, getrandom::Error> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        Ok(Self { kind, id: CredentialId(hex(&id)), secret })
    }

    /// Parses a credential as a client shows it. None if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, rest) = text.split_once('_')?;
        let kind = CredentialKind::ALL.into_iter().find(|kind| kind.prefix() == prefix)?;
        // The secret may have underscores.
        let (id, secret) = rest.split_once('_')?;
        let is_id = id.len() == 2 * ID_BYTES && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let secret = BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
        is_id.then(|| Self { kind, id: CredentialId(id.to_owned()), secret })
    }

    /// Returns its kind.
    pub fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// Returns its public part.
    pub fn id(&self) -> &CredentialId {
        &self.id
    }

    /// Returns the hash of its secret.
    pub fn hash(&self) -> CredentialHash {
        CredentialHash(hex(&Sha256::digest(self.secret)))
    }

    /// Returns the whole credential with its secret, to be shown to its owner once.
    pub fn reveal(&self) -> String {
        format!("{}_{}_{}", self.kind.prefix(), self.id.0, BASE64_URL_SAFE_NO_PAD.encode(self.secret))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_…", self.kind.prefix(), self.id.0)
    }
}

impl CredentialId {
    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for CredentialId {
    /// Creates an id to look up. One that is not valid finds nothing.
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CredentialHash {
    /// Returns whether the hashes are equal, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

/// Returns the bytes as hexadecimal digits. Called for each request with a credential.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_read_back_and_never_shown_by_accident() {
        for kind in CredentialKind::ALL {
            let (one, other) = (Credential::random(kind).expect("random"), Credential::random(kind).expect("random"));
            let text = one.reveal();
            let parsed = Credential::parse(&text).expect("a credential");
            assert_eq!((parsed.kind(), parsed.id()), (kind, one.id()));
            assert!(parsed.hash().matches(&one.hash()) && !parsed.hash().matches(&other.hash()));
            let secret = text.rsplit_once(one.id().as_str()).expect("an id").1;
            assert_eq!(secret.len(), 44, "256 bits, and an underscore");
            assert!(!format!("{one:?}").contains(&secret[1..]), "{one:?}");
        }
    }

    #[test]
    fn other_texts_are_no_credentials() {
        let valid = Credential::random(CredentialKind::PumpToken).expect("random").reveal();
        let id = Credential::parse(&valid).expect("a credential").id().to_string();
        for wrong in ["", "00", "0123456789abcdeg", "0123456789ABCDEF", "0123456789abcdef0"] {
            assert!(Credential::parse(&valid.replace(&id, wrong)).is_none(), "the id {wrong:?}");
        }
        let (cut, upper) = (&valid[..valid.len() - 1], valid.to_uppercase());
        for bad in
            ["", "vpt", "vpt_", "vpt__", "Bearer", cut, &upper, &format!("{valid}A"), &valid.replace("vpt", "xyz")]
        {
            assert!(Credential::parse(bad).is_none(), "{bad:?}");
        }
    }
}
