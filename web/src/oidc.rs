//! Single sign-on by OpenID Connect: the node sends a browser to the plant's identity provider (the *issuer*), and
//! learns from it who the user is and which groups the user has.
//!
//! An example, the authorization code flow with PKCE:
//!
//! ```text
//! browser  GET /api/oidc/login?next=/pumps/P-1
//! node     remembers for 10 min: state, nonce, PKCE verifier, the hash of the login cookie, next
//!          303 to https://id.plant.example/authorize?client_id=..&state=..&nonce=..&code_challenge=..
//!          Set-Cookie: volute-oidc=<random>; SameSite=Lax
//! browser  the user logs in at the issuer, which sends the browser to
//!          GET /api/oidc/callback?code=..&state=..
//! node     takes out what it remembers of `state`: it is there once, and the cookie must fit
//!          POST https://id.plant.example/token: code, verifier, client secret -> id token
//!          verifies the id token: signature by the issuer's keys, iss, aud, exp, nonce
//!          the groups give the role; no mapped group: refused
//!          a session, as after a login with a password; 303 to /pumps/P-1, or to /login with the reason
//! ```
//!
//! The cookie binds the login to the browser that began it: without it, an attacker could make a browser complete the
//! attacker's login. It is `SameSite=Lax`, because a `Strict` cookie is not sent with the issuer's redirect. It opens
//! nothing by itself. The session's cookie stays `Strict`: a browser stores it from the response to the redirect, and
//! sends it with the requests of the page that it then loads, which is the same for everybody.
//!
//! What comes from whom: the configuration has the issuer and the node's own address (never the `Host` header); the
//! issuer's discovery document, fetched when somebody logs in, has its other addresses and keys (`provider.rs`).
//!
//! The modules: `settings`, `pending` (logins that have begun), `fetch` (bounded requests to the issuer), `provider`
//! (discovery and keys, cached), `id_token` (verification), `claims` (groups and names).
//!
//! Why `jsonwebtoken` and not the crate `openidconnect`: SurrealDB links the former with its cryptography already; the
//! latter adds 35 crates, among them three more implementations of public-key cryptography.
//!
//! Does not refresh tokens and keeps none: after the login the session here counts. Does not know about sessions and
//! users; see `volute-access`. Takes no encrypted id tokens.

mod claims;
mod fetch;
mod id_token;
mod pending;
mod provider;
mod settings;

use std::{fmt, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use volute_access::{ExternalIdentity, Name, Role, role_of_groups};

use self::{
    claims::{Claims, groups, printable, text},
    fetch::{FetchError, Form, IssuerClient},
    id_token::{Expected, IdTokenError},
    pending::{PendingLogin, PendingLogins, random_secret},
    provider::{Issuer, Provider},
};
pub(crate) use pending::PENDING_LOGIN_MS;
pub use settings::{ClientSecret, OidcSettings};

/// How many groups of a user are looked at.
const MAX_GROUPS: usize = 2_000;

/// Single sign-on of a node. Cheap to clone.
#[derive(Clone)]
pub struct SingleSignOn(Arc<Inner>);

struct Inner {
    settings: OidcSettings,
    provider: Provider,
    pending: Mutex<PendingLogins>,
}

/// A login that has begun.
pub(crate) struct Begun {
    /// Where the browser goes.
    pub(crate) authorize_url: String,
    /// The value of the login cookie.
    pub(crate) cookie: String,
}

/// What the issuer sent the browser back with.
pub(crate) struct Callback {
    pub(crate) code: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) iss: Option<String>,
}

/// A user whom the issuer has authenticated.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) identity: ExternalIdentity,
    pub(crate) name: Name,
    pub(crate) role: Role,
    /// The path of the page that the user wants to see.
    pub(crate) next: String,
}

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignOnError {
    /// The issuer cannot be asked.
    #[error("the identity provider is not available: {0}")]
    Unavailable(String),
    /// No login with this state has begun in this browser, or not lately.
    #[error("the login did not begin in this browser within the last 10 minutes, or was completed already")]
    NotBegun,
    /// The issuer, or the user there, has refused.
    #[error("the identity provider refused: {0}")]
    Denied(String),
    /// The issuer did not take the code.
    #[error("the identity provider did not confirm the login: {0}")]
    NotConfirmed(String),
    /// The id token is not acceptable.
    #[error("the id token is not valid: {0}")]
    IdToken(#[from] IdTokenError),
    /// No group of the user has a role here.
    #[error("no group of {name} has a role on this node (access.oidc.roles); its groups: {groups}")]
    NoRole { name: String, groups: String },
    /// The claim has no name that a user may have.
    #[error("the claim {claim} has {value:?}, which cannot be a user's name; allowed: {}", Name::ALLOWED)]
    NoName { claim: String, value: String },
    /// The system has no randomness to give.
    #[error("the system returns no random numbers")]
    NoRandomness,
}

impl SignOnError {
    /// Returns the word by which the login page knows the error.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::NoRandomness => "unavailable",
            Self::NotBegun => "not-begun",
            Self::Denied(_) => "denied",
            Self::NotConfirmed(_) | Self::IdToken(_) => "not-confirmed",
            Self::NoRole { .. } => "no-role",
            Self::NoName { .. } => "no-name",
        }
    }
}

/// The response of the token endpoint, as far as it is used.
#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<String>,
}

impl SingleSignOn {
    /// Creates it. Sends no request: the issuer is asked when somebody logs in.
    pub fn new(settings: OidcSettings) -> Result<Self, String> {
        let client = IssuerClient::new(&settings)?;
        let provider = Provider::new(client, settings.issuer.clone());
        Ok(Self(Arc::new(Inner { settings, provider, pending: Mutex::default() })))
    }

    /// Returns the provider's name for people.
    pub(crate) fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Returns whether the last attempt to reach the issuer failed.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.0.provider.is_failing()
    }

    /// Begins a login. `next` is the path of the page that is shown after it.
    pub(crate) async fn begin(&self, next: &str, now_ms: i64) -> Result<Begun, SignOnError> {
        let issuer = self.0.provider.issuer(now_ms).await.map_err(SignOnError::Unavailable)?;
        let secret = || random_secret().map_err(|_| SignOnError::NoRandomness);
        let (state, nonce, verifier, cookie) = (secret()?, secret()?, secret()?, secret()?);
        let settings = &self.0.settings;
        let redirect_uri = settings.redirect_uri();
        let query: Form<'_> = &[
            ("response_type", "code"),
            ("client_id", &settings.client_id),
            ("redirect_uri", &redirect_uri),
            ("scope", &settings.scopes),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &pending::challenge(&verifier)),
            ("code_challenge_method", "S256"),
        ];
        let authorize_url = with_query(&issuer.metadata.authorization_endpoint, query);
        let next = local_path(next).to_owned();
        let login = PendingLogin::new(nonce, verifier, &cookie, next);
        if let Some(dropped) = self.0.pending().insert(state, login, now_ms) {
            tracing::warn!(dropped, "too many logins have begun and are not completed; the oldest was dropped");
        }
        Ok(Begun { authorize_url, cookie })
    }

    /// Completes a login. `cookie` is the value of the login cookie.
    pub(crate) async fn complete(
        &self,
        callback: Callback,
        cookie: Option<&str>,
        now_ms: i64,
    ) -> Result<Authenticated, SignOnError> {
        let Callback { code, state, error, iss } = callback;
        // Taken out first: whatever follows, a state works once.
        let login = state.and_then(|state| self.0.pending().take(&state, now_ms)).ok_or(SignOnError::NotBegun)?;
        if !cookie.is_some_and(|cookie| login.began_with(cookie)) {
            return Err(SignOnError::NotBegun);
        }
        if let Some(error) = error {
            return Err(SignOnError::Denied(printable(&error)));
        }
        let settings = &self.0.settings;
        // RFC 9207: a code of another issuer must not be sent to this one.
        if iss.is_some_and(|iss| iss != settings.issuer) {
            return Err(SignOnError::NotConfirmed("the code is of another issuer".into()));
        }
        let code = code.ok_or_else(|| SignOnError::NotConfirmed("there is no code".into()))?;
        let issuer = self.0.provider.issuer(now_ms).await.map_err(SignOnError::Unavailable)?;
        let tokens = self.exchange(&issuer, &code, login.verifier()).await?;
        let id_token = tokens.id_token.ok_or_else(|| SignOnError::NotConfirmed("there is no id token".into()))?;
        let mut claims = self.verify(&id_token, issuer.clone(), login.nonce(), now_ms).await?;
        if let (None, Some(url), Some(token)) =
            (groups(&claims.others, &settings.groups_claim), &issuer.metadata.userinfo_endpoint, tokens.access_token)
        {
            self.add_user_info(&mut claims, url, &token).await?;
        }
        self.authenticated(claims, login.into_next())
    }

    /// Exchanges a code for tokens.
    async fn exchange(&self, issuer: &Issuer, code: &str, verifier: &str) -> Result<Tokens, SignOnError> {
        let settings = &self.0.settings;
        let redirect_uri = settings.redirect_uri();
        let form: Form<'_> = &[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", verifier),
        ];
        let sends_basic = issuer.metadata.takes_basic_auth();
        let sent = self.0.provider.client().post_form(&issuer.metadata.token_endpoint, form, settings, sends_basic);
        sent.await.map_err(|error| match error {
            FetchError::Refused { status, .. } if status < 500 => SignOnError::NotConfirmed(error.to_string()),
            error => SignOnError::Unavailable(error.to_string()),
        })
    }

    /// Verifies an id token. If no known key has signed it, the keys are fetched again, once: the issuer may have
    /// replaced them.
    async fn verify(&self, token: &str, issuer: Arc<Issuer>, nonce: &str, now_ms: i64) -> Result<Claims, SignOnError> {
        let settings = &self.0.settings;
        let expected =
            Expected { issuer: &settings.issuer, client_id: &settings.client_id, nonce, now_s: now_ms / 1000 };
        match id_token::verify(token, &issuer.keys, &expected) {
            Err(IdTokenError::UnknownKey | IdTokenError::Signature) => {}
            verified => return Ok(verified?),
        }
        let renewed = self.0.provider.renew_keys(&issuer).await.map_err(SignOnError::Unavailable)?;
        Ok(id_token::verify(token, &renewed.keys, &expected)?)
    }

    /// Adds the claims of the userinfo endpoint to those of the id token, which win.
    async fn add_user_info(&self, claims: &mut Claims, url: &str, token: &str) -> Result<(), SignOnError> {
        let unavailable = |error: FetchError| SignOnError::Unavailable(error.to_string());
        let info: Claims = self.0.provider.client().get(url, Some(token)).await.map_err(unavailable)?;
        if info.sub != claims.sub {
            return Err(SignOnError::NotConfirmed("the userinfo endpoint described another user".into()));
        }
        for (name, value) in info.others {
            claims.others.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// Returns the user that the claims describe.
    fn authenticated(&self, claims: Claims, next: String) -> Result<Authenticated, SignOnError> {
        let OidcSettings { issuer, groups_claim, name_claim, roles, .. } = &self.0.settings;
        let value = text(&claims.others, name_claim).unwrap_or_default();
        let mut groups = groups(&claims.others, groups_claim).unwrap_or_default();
        groups.truncate(MAX_GROUPS);
        let Some(role) = role_of_groups(&groups, roles) else {
            let shown: Vec<String> = groups.iter().take(10).map(|group| printable(group)).collect();
            return Err(SignOnError::NoRole { name: printable(&value), groups: shown.join(", ") });
        };
        let no_name = |_| SignOnError::NoName { claim: name_claim.clone(), value: printable(&value) };
        let name: Name = value.parse().map_err(no_name)?;
        let identity = ExternalIdentity { issuer: issuer.clone(), subject: claims.sub };
        Ok(Authenticated { identity, name, role, next })
    }

    /// Returns the address at which the issuer ends its own session; none if that is not configured, or the issuer has
    /// none.
    pub(crate) fn end_session_url(&self) -> Option<String> {
        let settings = &self.0.settings;
        let endpoint = settings.ends_issuer_session.then(|| self.0.provider.end_session_endpoint()).flatten()?;
        let back = format!("{}/login", settings.public_url);
        Some(with_query(&endpoint, &[("client_id", &settings.client_id), ("post_logout_redirect_uri", &back)]))
    }
}

impl fmt::Debug for SingleSignOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SingleSignOn").field(&self.0.settings).finish()
    }
}

impl Inner {
    fn pending(&self) -> MutexGuard<'_, PendingLogins> {
        self.pending.lock()
    }
}

/// Adds a query to an address.
fn with_query(url: &str, query: Form<'_>) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{}", fetch::encoded(query))
}

/// Returns the path of a page of this node. Anything else is the first page: an address of another site would make the
/// node send users there.
fn local_path(next: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'<' | b'>' | b'"' | b'#');
    let is_local = next.starts_with('/') && !next.starts_with("//") && !next.starts_with("/api/");
    if is_local && next.len() <= 512 && next.bytes().all(is_plain) { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_this_node_only() {
        for local in ["/", "/pumps/P-1", "/pumps/10%20PAC?x=1"] {
            assert_eq!(local_path(local), local);
        }
        for foreign in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "pumps",
            "/a b",
            "/a\r\nSet-Cookie: x",
            "/ä",
            "/api/oidc/login",
            &format!("/{}", "a".repeat(512)),
        ] {
            assert_eq!(local_path(foreign), "/", "{foreign:?}");
        }
    }

    #[test]
    fn a_query_is_added_and_encoded() {
        assert_eq!(with_query("https://id.example/a", &[("b", "c d&e")]), "https://id.example/a?b=c+d%26e");
        assert_eq!(with_query("https://id.example/a?x=1", &[("b", "ä")]), "https://id.example/a?x=1&b=%C3%A4");
    }
}
