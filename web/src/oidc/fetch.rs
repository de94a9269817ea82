//! Requests to the issuer: bounded in time, size and number, without redirects, and only to `https` addresses. An
//! issuer on a loopback address may have `http`.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::Semaphore, task::spawn_blocking};
use ureq::{
    Agent,
    http::{Request, Uri, header},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{claims::printable, settings::OidcSettings};

/// How long a request may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response, in bytes.
const MAX_RESPONSE_BYTES: u64 = 256 * 1024;
/// Requests at the same time, at most; further ones are refused.
const MAX_REQUESTS: usize = 16;

/// The names and values of a form or a query.
pub(super) type Form<'a> = &'a [(&'a str, &'a str)];

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// There was no usable response.
    #[error("{url}: {reason}")]
    Failed { url: String, reason: String },
    /// The issuer responded that it refuses the request.
    #[error("{url}: status {status} {error}")]
    Refused { url: String, status: u16, error: String },
    /// Too many requests are in progress.
    #[error("too many requests to the issuer are in progress")]
    Busy,
}

/// Sends requests to the issuer.
pub(super) struct IssuerClient {
    agent: Agent,
    slots: Arc<Semaphore>,
    may_be_plain: bool,
}

impl IssuerClient {
    pub(super) fn new(settings: &OidcSettings) -> Result<Self, String> {
        let may_be_plain = is_loopback(&settings.issuer);
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &settings.authorities {
            tls = tls.root_certs(certificates(pem)?);
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(2);
        // A proxy of the environment (`HTTPS_PROXY`) does not reach this machine.
        let config = if may_be_plain { config.proxy(None) } else { config };
        let slots = Arc::new(Semaphore::new(MAX_REQUESTS));
        Ok(Self { agent: config.build().into(), slots, may_be_plain })
    }

    /// Returns whether requests may be sent to an address.
    pub(super) fn check_url(&self, url: &str) -> Result<(), String> {
        let is_allowed = is_url(url, "https") || (self.may_be_plain && is_loopback(url));
        if is_allowed { Ok(()) } else { Err(format!("{:?} is not an https address", printable(url))) }
    }

    /// Fetches a JSON document, with an access token if there is one.
    pub(super) async fn get<T: DeserializeOwned>(&self, url: &str, token: Option<&str>) -> Result<T, FetchError> {
        let mut request = Request::get(url).header(header::ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(url, request.body(String::new())).await
    }

    /// Posts a form as the client of the settings, and returns the JSON of the response.
    pub(super) async fn post_form<T: DeserializeOwned>(
        &self,
        url: &str,
        form: Form<'_>,
        settings: &OidcSettings,
        sends_basic: bool,
    ) -> Result<T, FetchError> {
        let mut form = form.to_vec();
        let mut request = Request::post(url)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        match &settings.client_secret {
            Some(secret) if sends_basic => {
                request = request.header(header::AUTHORIZATION, basic(&settings.client_id, secret.reveal()));
            }
            Some(secret) => form.extend([("client_id", &*settings.client_id), ("client_secret", secret.reveal())]),
            None => form.push(("client_id", &settings.client_id)),
        }
        let form = encoded(&form);
        self.send(url, request.body(form)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        url: &str,
        request: Result<Request<String>, ureq::http::Error>,
    ) -> Result<T, FetchError> {
        let failed = |reason: String| FetchError::Failed { url: url.to_owned(), reason };
        self.check_url(url).map_err(failed)?;
        let request = request.map_err(|error| failed(error.to_string()))?;
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| FetchError::Busy)?;
        let agent = self.agent.clone();
        let exchange = spawn_blocking(move || {
            let response = exchange(&agent, request);
            drop(slot);
            response
        });
        let response = exchange.await.map_err(|error| failed(error.to_string()))?;
        let (status, body) = response.map_err(|error| failed(error.to_string()))?;
        if status != 200 {
            return Err(FetchError::Refused { url: url.to_owned(), status, error: oauth_error(&body) });
        }
        serde_json::from_slice(&body).map_err(|error| failed(format!("not the expected JSON: {error}")))
    }
}

/// Sends a request and reads the response. Blocks.
fn exchange(agent: &Agent, request: Request<String>) -> Result<(u16, Vec<u8>), ureq::Error> {
    let response = match request.method().as_str() {
        "GET" => agent.run(request.map(drop)),
        _ => agent.run(request),
    };
    let mut response = response?;
    let body = response.body_mut().with_config().limit(MAX_RESPONSE_BYTES).read_to_vec()?;
    Ok((response.status().as_u16(), body))
}

/// Returns the error that an issuer names in its response (RFC 6749, section 5.2).
fn oauth_error(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    serde_json::from_slice::<Refusal>(body).map(|refusal| printable(&refusal.error)).unwrap_or_default()
}

/// Encodes a form or a query.
pub(super) fn encoded(form: Form<'_>) -> String {
    serde_urlencoded::to_string(form).unwrap_or_default()
}

/// Returns the header with the client's secret. Both parts are encoded first (RFC 6749, section 2.3.1).
fn basic(client_id: &str, secret: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    // The value alone, as it is encoded in a form.
    let part = |text: &str| encoded(&[("", text)]).trim_start_matches('=').to_owned();
    format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", part(client_id), part(secret))))
}

fn certificates(pem: &[u8]) -> Result<RootCerts, String> {
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            certificates.push(certificate);
        }
    }
    match certificates.is_empty() {
        true => Err("there is no certificate in it".into()),
        false => Ok(RootCerts::new_with_certs(&certificates)),
    }
}

/// Returns whether a text is an address of this scheme, without a user and a fragment.
fn is_url(text: &str, scheme: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    uri.scheme_str() == Some(scheme)
        && has_host
        && !text.contains('#')
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
}

/// Returns whether a text is an `http` address on this machine.
fn is_loopback(text: &str) -> bool {
    let host = text.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    let host = host.as_deref().map(|host| host.trim_matches(['[', ']']));
    let is_local =
        |host: &str| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_url(text, "http") && host.is_some_and(is_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_https_or_to_this_machine() {
        for (url, https, loopback) in [
            ("https://id.example", true, false),
            ("https://id.example:8443/realms/plant?x=1", true, false),
            ("http://127.0.0.1:80/a", false, true),
            ("http://[::1]:80/a", false, true),
            ("http://localhost", false, true),
            ("http://id.example", false, false),
            ("https://user@id.example", false, false),
            ("https://id.example#a", false, false),
            ("https://", false, false),
            ("/authorize", false, false),
            ("javascript:alert(1)", false, false),
            ("file:///etc/passwd", false, false),
            ("http://127.0.0.1.example", false, false),
        ] {
            assert_eq!((is_url(url, "https"), is_loopback(url)), (https, loopback), "{url}");
        }
    }

    #[test]
    fn the_client_shows_who_it_is() {
        // "a%3Ab:c+d%25" in base 64.
        assert_eq!(basic("a:b", "c d%"), "Basic YSUzQWI6YytkJTI1");
        assert_eq!(oauth_error(br#"{"error":"invalid_grant\n","error_description":"x"}"#), "invalid_grant");
        assert_eq!(oauth_error(b"<html>"), "");
    }
}
