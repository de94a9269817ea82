//! Passwords: what is allowed, and argon2id hashes (19 MiB, 2 passes, 1 lane: OWASP's first recommendation).
//!
//! A hash takes some tens of milliseconds and 19 MiB, so callers hash on a bounded pool of blocking threads.

use std::sync::LazyLock;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{PasswordHash as Phc, SaltString},
};
use serde::{Deserialize, Serialize};

use crate::name::Name;

const MIN_CHARS: usize = 12;
const MAX_BYTES: usize = 256;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// The hash that is verified for a user who does not exist or has no password, so that a login takes as long for them as
/// for others.
static DUMMY: LazyLock<Option<PasswordHash>> = LazyLock::new(|| hash_password("no user has this password").ok());

/// The hash of a password in the PHC format, with its parameters and salt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(String);

/// Why a password is not accepted or not hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short.
    #[error("the password is too short; allowed: {MIN_CHARS} characters or more")]
    TooShort,
    /// It is too long.
    #[error("the password is too long; allowed: at most {MAX_BYTES} bytes")]
    TooLong,
    /// It can be guessed.
    #[error("the password is easily guessed: it contains the user's name, or repeats few characters")]
    Guessable,
    /// The hash failed.
    #[error("the password cannot be hashed")]
    Hash,
}

/// Checks that a new password of this user is allowed.
pub fn check_password(user: &Name, password: &str) -> Result<(), PasswordError> {
    if password.chars().count() < MIN_CHARS {
        return Err(PasswordError::TooShort);
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordError::TooLong);
    }
    let lower = password.to_lowercase();
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    let has_name = user.as_str().len() >= 4 && lower.contains(user.as_str());
    if has_name || different.len() < 5 { Err(PasswordError::Guessable) } else { Ok(()) }
}

/// Hashes a password with a random salt.
pub fn hash_password(password: &str) -> Result<PasswordHash, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::Hash)?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Hash)?;
    let hash = argon2()?.hash_password(password.as_bytes(), &salt).map_err(|_| PasswordError::Hash)?;
    Ok(PasswordHash(hash.to_string()))
}

/// Returns whether the password is that of the hash. Without a hash it takes as long, and returns false.
pub fn verify_password(hash: Option<&PasswordHash>, password: &str) -> bool {
    let Some(stored) = hash.or(DUMMY.as_ref()) else { return false };
    let verified = Phc::new(&stored.0)
        .is_ok_and(|phc| argon2().is_ok_and(|argon2| argon2.verify_password(password.as_bytes(), &phc).is_ok()));
    verified && hash.is_some()
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Hash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_password_only() {
        let hash = hash_password("correct horse battery").expect("hashed");
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(verify_password(Some(&hash), "correct horse battery"));
        assert!(!verify_password(Some(&hash), "correct horse batterz"));
        assert!(!verify_password(None, "no user has this password"), "nobody's");
        assert_ne!(hash_password("correct horse battery").expect("hashed"), hash, "another salt");
        assert!(!format!("{hash:?}").contains("argon2id"));
    }

    #[test]
    fn short_long_and_guessable_passwords_are_refused() {
        let ada: Name = "ada.lovelace".parse().expect("a name");
        assert_eq!(check_password(&ada, "pumps never sleep"), Ok(()));
        assert_eq!(check_password(&ada, "elevenchars"), Err(PasswordError::TooShort));
        assert_eq!(check_password(&ada, &"pump".repeat(65)), Err(PasswordError::TooLong));
        for guessable in ["aaaaaaaaaaaaaaaa", "abababababab", "my Ada.Lovelace!"] {
            assert_eq!(check_password(&ada, guessable), Err(PasswordError::Guessable), "{guessable}");
        }
    }
}
