//! Calls of a webhook: a POST with JSON, signed with a secret that the plant's system knows too.
//!
//! An example, at 1773050460 seconds since 1970, with the secret `swordfish`:
//!
//! ```text
//! POST /volute HTTP/1.1
//! Content-Type: application/json
//! X-Volute-Timestamp: 1773050460
//! X-Volute-Signature: sha256=HEX of HMAC-SHA-256(secret, "1773050460." + body)
//!
//! {"attempt":1,"id":"…","kind":"raised",…,"possibly_repeated":false,…}
//! ```
//!
//! The receiver computes the same and compares, and refuses calls whose timestamp is more than some minutes old, so that
//! nobody can repeat a call that was overheard. `id` is the same in every attempt.
//!
//! A status of 200 to 299 accepts. 400, 410, 413 and 422 refuse for good. After any other the call is tried again, because it
//! can be mended. Without an answer, and with 502 and 504 of a proxy, the receiver may have got it. Redirects are not followed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use ureq::{
    Agent, Error, Timeout,
    http::Uri,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};
use volute_notify::{Courier, Delivery, Outcome};

use crate::{Secret, SettingsError};

/// The header with the time of the call, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "X-Volute-Timestamp";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "X-Volute-Signature";
/// How long a call may take in all.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How the webhook is called.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The address: `https://…`, or `http://…`.
    pub url: String,
    /// What calls are signed with.
    pub secret: Secret,
    /// Certificates (PEM) of the authority that the receiver's certificate is of; none for those of the web.
    pub authorities: Option<Vec<u8>>,
}

/// Calls the webhook.
#[derive(Debug)]
pub struct WebhookCourier {
    url: String,
    secret: Secret,
    agent: Agent,
}

impl WebhookCourier {
    /// Checks the settings. Does not connect.
    pub fn new(settings: WebhookSettings) -> Result<Self, SettingsError> {
        let WebhookSettings { url, secret, authorities } = settings;
        let uri: Option<Uri> = url.parse().ok();
        let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if !uri.as_ref().is_some_and(is_http) {
            let reason = format!("{url:?}; allowed: an address as \"https://example.com/volute\"");
            return Err(SettingsError::new("notify.webhook.url", reason));
        }
        let roots = match authorities {
            None => RootCerts::WebPki,
            Some(pem) => RootCerts::from(certificates(&pem)?),
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Self { url, secret, agent: config.new_agent() })
    }
}

impl Courier for WebhookCourier {
    fn send(&self, delivery: &Delivery) -> Outcome {
        let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(&delivery.text.body) else {
            return Outcome::Refused("its text is not JSON".into());
        };
        fields.insert("possibly_repeated".into(), delivery.may_be_repeated.into());
        fields.insert("attempt".into(), delivery.attempts.into());
        let body = serde_json::Value::Object(fields).to_string();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let call = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header(TIMESTAMP_HEADER, now_s.to_string())
            .header(SIGNATURE_HEADER, signature(&self.secret, now_s, &body));
        match call.send(&body) {
            Ok(response) => {
                accepted_failpoint();
                by_status(response.status().as_u16())
            }
            Err(error) => by_error(&error),
        }
    }
}

/// Between the receiver's answer and the node's own record.
pub(crate) fn accepted_failpoint() {
    #[cfg(feature = "failpoints")]
    fail::fail_point!("notify-accepted");
}

/// Returns the value of the header with the signature.
pub fn signature(secret: &Secret, timestamp_s: u64, body: &str) -> String {
    let signed = format!("{timestamp_s}.{body}");
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()) else { return String::new() };
    mac.update(signed.as_bytes());
    format!("sha256={}", hex(&mac.finalize().into_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn by_status(status: u16) -> Outcome {
    let reason = || format!("the receiver answered with status {status}");
    match status {
        200..=299 => Outcome::Accepted,
        400 | 410 | 413 | 422 => Outcome::Refused(reason()),
        502 | 504 => Outcome::Unknown(reason()),
        _ => Outcome::NotAccepted(reason()),
    }
}

fn by_error(error: &Error) -> Outcome {
    let reason = error.to_string();
    let is_before_sending = match error {
        Error::HostNotFound | Error::ConnectionFailed | Error::BadUri(_) | Error::Http(_) | Error::Tls(_) => true,
        Error::Rustls(_) | Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    };
    if is_before_sending { Outcome::NotAccepted(reason) } else { Outcome::Unknown(reason) }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, SettingsError> {
    let ca_file = |reason: String| SettingsError::new("notify.webhook.ca_file", reason);
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| ca_file(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(ca_file("it has no certificate (PEM)".into()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_2104() {
        // RFC 4231, test case 2, with the text in two parts.
        let secret = Secret::new("Jefe").expect("a secret");
        let whole = signature(&secret, 1_773_050_460, "{}");
        assert_eq!(whole.len(), "sha256=".len() + 64);
        assert_ne!(whole, signature(&secret, 1_773_050_461, "{}"), "the time is signed");
        assert_ne!(whole, signature(&secret, 1_773_050_460, "{ }"), "the body is signed");
    }

    #[test]
    fn a_status_says_whether_to_try_again() {
        let kind = |status: u16| match by_status(status) {
            Outcome::Accepted => "accepted",
            Outcome::Refused(_) => "refused",
            Outcome::NotAccepted(_) => "again",
            Outcome::Unknown(_) => "unknown",
        };
        let kinds = [200, 204, 301, 400, 401, 404, 413, 429, 500, 502, 503, 504].map(kind);
        let expected = [
            "accepted", "accepted", "again", "refused", "again", "again", "refused", "again", "again", "unknown",
            "again", "unknown",
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn settings_are_checked() {
        let secret = || Secret::new("s").expect("a secret");
        for bad in ["", "example.com", "ftp://example.com", "https://"] {
            let settings = WebhookSettings { url: bad.into(), secret: secret(), authorities: None };
            let error = WebhookCourier::new(settings).expect_err(bad).to_string();
            assert!(error.starts_with("notify.webhook.url: "), "{error}");
        }
        let settings =
            WebhookSettings { url: "https://x".into(), secret: secret(), authorities: Some(b"nothing".to_vec()) };
        assert!(WebhookCourier::new(settings).is_err());
    }
}
