//! Secrets: a password or a key that never appears in logs.

use std::fmt;

/// A password or a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text without white space around it; none if nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new(" swordfish\n").expect("a secret");
        assert_eq!(secret.reveal(), "swordfish");
        assert!(!format!("{secret:?}").contains("sword"));
        assert_eq!(Secret::new(" \n"), None);
    }
}
