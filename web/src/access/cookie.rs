//! The cookie that holds a session's credential.
//!
//! Over HTTPS its name begins with `__Host-`: browsers then accept it only with `Secure`, for this host and not its
//! domain, so no other host can set it. Without HTTPS browsers refuse such a cookie, so its name has no prefix there.
//! Whether the browser uses HTTPS is known for each request (`forwarded.rs`): a node behind a proxy may have both.
//! Scripts cannot read it (`HttpOnly`), and pages of other sites do not send it (`SameSite=Strict`).
//!
//! The login cookie binds a login at an identity provider to the browser that began it (see `oidc.rs`). It lives for ten
//! minutes, opens nothing, and is `SameSite=Lax`, because the provider's redirect has to bring it back.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest,
    cookie::{Cookie, SameSite, time},
};
use volute_access::Credential;

use crate::forwarded::Client;

/// Its name without HTTPS.
pub(crate) const NAME: &str = "volute-session";
const SECURE_NAME: &str = "__Host-volute-session";

/// Makes the cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionCookie {
    /// Whether the browser uses HTTPS.
    secure: bool,
}

impl SessionCookie {
    /// Returns the cookie for the browser that sends a request.
    pub(crate) fn for_request(request: &HttpRequest) -> Self {
        Self { secure: uses_https(request) }
    }

    /// Returns its name.
    pub(crate) fn name(self) -> &'static str {
        if self.secure { SECURE_NAME } else { NAME }
    }

    /// Returns the cookie of a session that lasts this long.
    pub(crate) fn of(self, session: &Credential, lasts: Duration) -> Cookie<'static> {
        let lasts = time::Duration::try_from(lasts).unwrap_or(time::Duration::DAY);
        self.with(session.reveal(), lasts)
    }

    /// Returns a cookie that makes the browser delete the cookie.
    pub(crate) fn removal(self) -> Cookie<'static> {
        self.with(String::new(), time::Duration::ZERO)
    }

    fn with(self, value: String, lasts: time::Duration) -> Cookie<'static> {
        Cookie::build(self.name(), value)
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Strict)
            .max_age(lasts)
            .finish()
    }
}

const LOGIN_NAME: &str = "volute-oidc";
const SECURE_LOGIN_NAME: &str = "__Host-volute-oidc";

/// Makes the cookie of a login that has begun at an identity provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoginCookie {
    /// Whether the browser uses HTTPS.
    secure: bool,
}

impl LoginCookie {
    /// Returns the cookie for the browser that sends a request.
    pub(crate) fn for_request(request: &HttpRequest) -> Self {
        Self { secure: uses_https(request) }
    }

    /// Returns its name.
    pub(crate) fn name(self) -> &'static str {
        if self.secure { SECURE_LOGIN_NAME } else { LOGIN_NAME }
    }

    /// Returns the cookie with this value.
    pub(crate) fn of(self, value: String, lasts: Duration) -> Cookie<'static> {
        let lasts = time::Duration::try_from(lasts).unwrap_or(time::Duration::ZERO);
        Cookie::build(self.name(), value)
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax)
            .max_age(lasts)
            .finish()
    }

    /// Returns a cookie that makes the browser delete the cookie.
    pub(crate) fn removal(self) -> Cookie<'static> {
        self.of(String::new(), Duration::ZERO)
    }
}

fn uses_https(request: &HttpRequest) -> bool {
    request.extensions().get::<Client>().is_some_and(|client| client.https)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use volute_access::CredentialKind;

    use super::*;

    #[test]
    fn it_is_secure_if_the_browser_uses_https() {
        let request = TestRequest::default().to_http_request();
        assert_eq!(SessionCookie::for_request(&request).name(), NAME, "without knowledge");
        for (https, name) in [(false, NAME), (true, SECURE_NAME)] {
            request.extensions_mut().insert(Client { address: None, https });
            assert_eq!(SessionCookie::for_request(&request).name(), name);
        }
    }

    #[test]
    fn the_prefix_and_secure_go_together() {
        let session = Credential::random(CredentialKind::Session).expect("random");
        let text = |secure| SessionCookie { secure }.of(&session, Duration::from_secs(60)).to_string();
        let value = session.reveal();
        let rest = "HttpOnly; SameSite=Strict; ";
        assert_eq!(text(true), format!("__Host-volute-session={value}; {rest}Secure; Path=/; Max-Age=60"));
        assert_eq!(text(false), format!("volute-session={value}; {rest}Path=/; Max-Age=60"));
        let removal = SessionCookie { secure: false }.removal().to_string();
        assert!(removal.starts_with("volute-session=;") && removal.contains("Max-Age=0"), "{removal}");
        let login = |secure| LoginCookie { secure }.of("x".into(), Duration::from_secs(600)).to_string();
        assert_eq!(login(true), "__Host-volute-oidc=x; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600");
        assert_eq!(login(false), "volute-oidc=x; HttpOnly; SameSite=Lax; Path=/; Max-Age=600");
    }
}
