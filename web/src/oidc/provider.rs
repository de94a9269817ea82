//! The issuer's discovery document and keys: fetched when they are needed, kept for a day, and fetched again when a
//! token names an unknown key.
//!
//! An example: the issuer is down when the node starts, and for a minute after that.
//!
//! ```text
//!  0 s  the node starts; nobody logs in, so nothing is fetched
//! 10 s  a login: the fetch fails; the login page says so
//! 11 s  a login: refused at once; the next fetch is at 12 s at the earliest (2 s, then 4, 8, .. up to 60)
//! 70 s  a login: the fetch succeeds, and the login goes on
//! next day, the issuer is down again: what is known is used for up to a week
//! ```

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;

use super::{
    fetch::IssuerClient,
    id_token::{KeySet, Keys},
};

/// After how long the issuer's addresses and keys are fetched again.
const RENEW_AFTER_MS: i64 = 86_400_000;
/// How long they are used if they cannot be fetched again.
const USE_FOR_MS: i64 = 7 * 86_400_000;
/// How long a first failure keeps further requests away, and the longest such wait.
const FIRST_WAIT_MS: i64 = 2_000;
const LONGEST_WAIT_MS: i64 = 60_000;

/// The issuer, as far as it is known.
pub(super) struct Provider {
    client: IssuerClient,
    url: String,
    known: Mutex<Known>,
    /// Locked during a fetch: others wait for its result.
    turn: tokio::sync::Mutex<()>,
}

/// What is known of the issuer.
#[derive(Default)]
struct Known {
    issuer: Option<Arc<Issuer>>,
    failure: Option<Failure>,
}

/// The last failure to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    reason: String,
    /// How long to wait before the next attempt, and until when.
    wait_ms: i64,
    until_ms: i64,
}

/// The issuer's addresses and keys.
pub(super) struct Issuer {
    pub(super) metadata: Metadata,
    pub(super) keys: Keys,
    fetched_ms: i64,
}

/// The discovery document, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    jwks_uri: String,
    pub(super) userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// Returns whether the token endpoint takes the client's secret in a header: it does if it names no methods.
    pub(super) fn takes_basic_auth(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }

    /// Checks that the document is of this issuer, and its addresses.
    fn check(&self, issuer: &str, client: &IssuerClient) -> Result<(), String> {
        if self.issuer != issuer {
            return Err(format!("the discovery document is of the issuer {:?}, not {issuer:?}", self.issuer));
        }
        let required = [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri];
        let optional = self.userinfo_endpoint.iter().chain(&self.end_session_endpoint);
        required.into_iter().chain(optional).try_for_each(|url| client.check_url(url))
    }
}

impl Provider {
    pub(super) fn new(client: IssuerClient, url: String) -> Self {
        Self { client, url, known: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    pub(super) fn client(&self) -> &IssuerClient {
        &self.client
    }

    /// Returns whether the last attempt to fetch failed.
    pub(super) fn is_failing(&self) -> bool {
        self.known().failure.is_some()
    }

    pub(super) fn end_session_endpoint(&self) -> Option<String> {
        self.known().issuer.as_ref()?.metadata.end_session_endpoint.clone()
    }

    /// Returns the issuer's addresses and keys. Fails if they are not known and cannot be fetched at the moment.
    pub(super) async fn issuer(&self, now_ms: i64) -> Result<Arc<Issuer>, String> {
        if let Some(result) = self.known().without_fetch(now_ms) {
            return result;
        }
        let _turn = self.turn.lock().await;
        // Somebody else may have fetched meanwhile.
        if let Some(result) = self.known().without_fetch(now_ms) {
            return result;
        }
        let fetched = self.fetch(now_ms).await;
        if let Err(reason) = &fetched {
            tracing::warn!(issuer = self.url, reason, "the identity provider is not available");
        }
        self.known().fetched(fetched, now_ms)
    }

    /// Fetches the keys again. Only called for a token that the issuer itself has sent, so at most once for each login.
    /// Returns those that are known if they were renewed since `used` was read.
    pub(super) async fn renew_keys(&self, used: &Arc<Issuer>) -> Result<Arc<Issuer>, String> {
        let _turn = self.turn.lock().await;
        if let Some(current) = self.known().issuer.clone().filter(|current| !Arc::ptr_eq(current, used)) {
            return Ok(current);
        }
        let metadata = used.metadata.clone();
        let keys = self.fetch_keys(&metadata).await?;
        let issuer = Arc::new(Issuer { metadata, keys, fetched_ms: used.fetched_ms });
        self.known().issuer = Some(issuer.clone());
        tracing::info!(issuer = self.url, "the keys of the identity provider were fetched again");
        Ok(issuer)
    }

    async fn fetch(&self, now_ms: i64) -> Result<Issuer, String> {
        let url = format!("{}/.well-known/openid-configuration", self.url.trim_end_matches('/'));
        let metadata: Metadata = self.client.get(&url, None).await.map_err(|error| error.to_string())?;
        metadata.check(&self.url, &self.client)?;
        let keys = self.fetch_keys(&metadata).await?;
        Ok(Issuer { metadata, keys, fetched_ms: now_ms })
    }

    async fn fetch_keys(&self, metadata: &Metadata) -> Result<Keys, String> {
        let set: KeySet = self.client.get(&metadata.jwks_uri, None).await.map_err(|error| error.to_string())?;
        Ok(set.into())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }
}

impl Known {
    /// Returns what is known, or why nothing is; none if it is time to fetch.
    fn without_fetch(&self, now_ms: i64) -> Option<Result<Arc<Issuer>, String>> {
        let is_new = |issuer: &&Arc<Issuer>| now_ms.abs_diff(issuer.fetched_ms) < RENEW_AFTER_MS.unsigned_abs();
        if let Some(issuer) = self.issuer.as_ref().filter(is_new) {
            return Some(Ok(issuer.clone()));
        }
        let failure = self.failure.as_ref().filter(|failure| failure.is_recent(now_ms))?;
        Some(self.usable(now_ms).ok_or_else(|| failure.reason.clone()))
    }

    /// Remembers the result of a fetch, and returns what is known now.
    fn fetched(&mut self, fetched: Result<Issuer, String>, now_ms: i64) -> Result<Arc<Issuer>, String> {
        match fetched {
            Ok(issuer) => {
                let issuer = Arc::new(issuer);
                *self = Self { issuer: Some(issuer.clone()), failure: None };
                Ok(issuer)
            }
            Err(reason) => {
                let wait_ms = self.failure.as_ref().map_or(FIRST_WAIT_MS, |failure| failure.wait_ms * 2);
                let wait_ms = wait_ms.min(LONGEST_WAIT_MS);
                let until_ms = now_ms.saturating_add(wait_ms);
                self.failure = Some(Failure { reason: reason.clone(), wait_ms, until_ms });
                self.usable(now_ms).ok_or(reason)
            }
        }
    }

    /// Returns what is known, if it is not too old.
    fn usable(&self, now_ms: i64) -> Option<Arc<Issuer>> {
        self.issuer.clone().filter(|issuer| now_ms.abs_diff(issuer.fetched_ms) < USE_FOR_MS.unsigned_abs())
    }
}

impl Failure {
    /// Returns whether it is too early for another attempt. A clock that was set back does not prolong the wait.
    fn is_recent(&self, now_ms: i64) -> bool {
        (self.until_ms - self.wait_ms..self.until_ms).contains(&now_ms)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> Metadata {
        let document = json!({
            "issuer": "https://id.example",
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://keys.example/keys",
        });
        serde_json::from_value(document).expect("metadata")
    }

    fn issuer(fetched_ms: i64) -> Issuer {
        Issuer { metadata: metadata(), keys: Keys::default(), fetched_ms }
    }

    #[test]
    fn failures_wait_longer_and_longer_and_a_success_ends_that() {
        let mut known = Known::default();
        let mut now_ms = 0;
        for wait_ms in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            assert!(known.without_fetch(now_ms).is_none(), "it is time to fetch");
            assert_eq!(known.fetched(Err("down".into()), now_ms).map(drop), Err("down".to_owned()));
            let refused = known.without_fetch(now_ms + wait_ms - 1).expect("too early");
            assert_eq!(refused.map(drop), Err("down".to_owned()));
            now_ms += wait_ms;
        }
        assert!(known.without_fetch(-1_000_000).is_none(), "the clock was set back");
        known.fetched(Ok(issuer(now_ms)), now_ms).expect("known");
        assert!(known.failure.is_none());
        assert!(known.without_fetch(now_ms + RENEW_AFTER_MS - 1).is_some_and(|known| known.is_ok()));
        assert!(known.without_fetch(now_ms + RENEW_AFTER_MS).is_none(), "it is a day old");
    }

    #[test]
    fn what_is_known_is_used_for_a_week_while_the_issuer_is_down() {
        let mut known = Known::default();
        known.fetched(Ok(issuer(0)), 0).expect("known");
        known.fetched(Err("down".into()), RENEW_AFTER_MS).expect("still used");
        assert!(known.without_fetch(RENEW_AFTER_MS + 1).is_some_and(|known| known.is_ok()));
        assert!(known.without_fetch(RENEW_AFTER_MS + FIRST_WAIT_MS).is_none(), "another attempt");
        assert_eq!(known.fetched(Err("down".into()), USE_FOR_MS).map(drop), Err("down".to_owned()));
    }

    #[test]
    fn a_discovery_document_is_of_the_issuer_and_has_safe_addresses() {
        let settings = super::super::settings::OidcSettings {
            issuer: "https://id.example".into(),
            client_id: "volute".into(),
            client_secret: None,
            name: "Plant".into(),
            scopes: "openid".into(),
            groups_claim: "groups".into(),
            name_claim: "preferred_username".into(),
            roles: std::collections::BTreeMap::new(),
            public_url: "https://volute.example".into(),
            authorities: None,
            ends_issuer_session: false,
        };
        let client = IssuerClient::new(&settings).expect("a client");
        let check = |change: fn(&mut Metadata)| {
            let mut metadata = metadata();
            change(&mut metadata);
            metadata.check(&settings.issuer, &client)
        };
        assert_eq!(check(|_| ()), Ok(()));
        for change in [
            (|metadata| metadata.issuer += "/") as fn(&mut Metadata),
            |metadata| metadata.issuer = "https://evil.example".into(),
            |metadata| metadata.token_endpoint = "http://id.example/token".into(),
            |metadata| metadata.authorization_endpoint = "javascript:alert(1)".into(),
            |metadata| metadata.jwks_uri = "http://127.0.0.1/keys".into(),
            |metadata| metadata.userinfo_endpoint = Some("ftp://id.example".into()),
        ] {
            assert!(check(change).is_err());
        }
        let methods = |methods: &[&str]| {
            let methods = Some(methods.iter().map(|method| (*method).to_owned()).collect());
            Metadata { token_endpoint_auth_methods_supported: methods, ..metadata() }.takes_basic_auth()
        };
        assert!(metadata().takes_basic_auth() && methods(&["client_secret_post", "client_secret_basic"]));
        assert!(!methods(&["client_secret_post"]));
    }
}
