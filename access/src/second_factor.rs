//! The second factor of a login: codes of an authenticator app (TOTP, RFC 6238: SHA-1, 6 digits, 30 s, as all apps have).
//!
//! A code is accepted one step before and after its own, because clocks differ, and only once: the step of the last
//! accepted code is stored with the user, and a code of that step or an earlier one is refused.
//!
//! The secret is stored as it is, because the node must compute the codes from it.

use std::fmt;

use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret};

use crate::name::Name;

const SECRET_BYTES: usize = 20;
const STEP_S: u64 = 30;

/// An authenticator app of a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// In base 32, as apps take it.
    secret: String,
    /// Whether the user has shown a code: only then logins need one.
    pub confirmed: bool,
    /// The step of the last accepted code.
    last_step: u64,
}

impl SecondFactor {
    /// Creates one with a random secret.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self { secret: Secret::from(secret).to_base32(), confirmed: false, last_step: 0 })
    }

    /// Returns this factor after the code was accepted; none if it is wrong or was used.
    pub(crate) fn accept(&self, code: &str, now_ms: i64) -> Option<Self> {
        let secret = Secret::try_from_base32(&self.secret).ok()?;
        let totp = Builder::new().with_secret(secret).with_step_duration(STEP_S).build().ok()?;
        let step = totp.check(code.trim(), u64::try_from(now_ms).ok()? / 1000)?;
        (step > self.last_step).then(|| Self { confirmed: true, last_step: step, ..self.clone() })
    }

    /// Returns the address that apps read, usually from a QR code. It contains the secret.
    pub fn url(&self, user: &Name) -> String {
        let user = user.as_str().replace('@', "%40").replace('+', "%2B");
        format!("otpauth://totp/Volute:{user}?secret={}&issuer=Volute", self.secret)
    }

    /// Returns the secret, for an app that takes it as text.
    pub fn reveal(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondFactor").field("confirmed", &self.confirmed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238's test vectors.
    fn of_rfc() -> SecondFactor {
        let secret = Secret::from(*b"12345678901234567890").to_base32();
        SecondFactor { secret, confirmed: true, last_step: 0 }
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        // The last six digits of the table in appendix B.
        for (second, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (2_000_000_000, "279037")]
        {
            assert!(of_rfc().accept(code, second * 1000).is_some(), "{second}");
        }
        for wrong in ["287083", "28708", "2870822", "", "28708a", "94287082"] {
            assert!(of_rfc().accept(wrong, 59_000).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_code_is_accepted_once_and_for_three_steps() {
        let first = of_rfc().accept("287082", 59_000).expect("accepted");
        assert!(first.accept("287082", 59_000).is_none() && first.accept("287082", 61_000).is_none(), "it was used");
        for (second, accepted) in [(29, true), (30, true), (89, true), (90, false), (600, false)] {
            assert_eq!(of_rfc().accept("287082", second * 1000).is_some(), accepted, "{second}");
        }
    }

    #[test]
    fn the_secret_is_random_and_not_shown_by_accident() {
        let (one, other) = (SecondFactor::random().expect("random"), SecondFactor::random().expect("random"));
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), 32, "160 bits in base 32");
        assert!(!format!("{one:?}").contains(one.reveal()));
        let url = one.url(&"ada@plant.example".parse().expect("a name"));
        assert_eq!(url, format!("otpauth://totp/Volute:ada%40plant.example?secret={}&issuer=Volute", one.reveal()));
    }
}
