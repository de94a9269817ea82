//! The settings of single sign-on.

use std::{collections::BTreeMap, fmt};

use volute_access::Role;

/// The path to which the issuer sends browsers back.
const CALLBACK_PATH: &str = "/api/oidc/callback";

/// The settings of single sign-on.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The issuer, exactly as its discovery document has it.
    pub issuer: String,
    /// The node's id at the issuer.
    pub client_id: String,
    /// The secret with which the node exchanges codes; none for a public client.
    pub client_secret: Option<ClientSecret>,
    /// The provider's name for people.
    pub name: String,
    /// What is asked for, separated by spaces.
    pub scopes: String,
    /// The claim that has the groups.
    pub groups_claim: String,
    /// The claim that has the user's name.
    pub name_claim: String,
    /// The roles by group.
    pub roles: BTreeMap<String, Role>,
    /// The address under which browsers reach the node, without a path, such as `https://volute.plant.example`.
    pub public_url: String,
    /// The certificates, in PEM, of the authorities that the issuer's certificate may be of; none for the authorities
    /// of the web.
    pub authorities: Option<Vec<u8>>,
    /// Whether a logout ends the session at the issuer, too.
    pub ends_issuer_session: bool,
}

impl OidcSettings {
    /// Returns the address to which the issuer sends browsers back.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}{}", self.public_url, CALLBACK_PATH)
    }
}

/// The secret with which the node shows the issuer who it is. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// Creates it from a text, without the line break at its end. None if it is empty.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = ClientSecret::new("swordfish\n").expect("a secret");
        assert_eq!((secret.reveal(), format!("{secret:?}").contains("swordfish")), ("swordfish", false));
        assert_eq!(ClientSecret::new(" \n"), None);
    }
}
