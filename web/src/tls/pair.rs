//! A certificate chain with its private key, parsed and checked.

use std::{fmt, sync::Arc};

use rustls::{
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use volute_plant::Timestamp;
use x509_cert::{Certificate, der::Decode};

/// A certificate chain and the private key of its first certificate.
#[derive(Debug, Clone)]
pub struct CertificatePair {
    key: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
    /// The time in which all certificates of the chain are valid, in milliseconds since 1970.
    not_before: Bound,
    not_after: Bound,
}

/// The SHA-256 of a certificate, as browsers show it: `AB:CD:…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// An end of the time in which a certificate is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    ms: i64,
    text: String,
}

/// A certificate and a key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The certificate's file has no certificate in PEM form.
    #[error("the certificate file has no certificate (PEM: -----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// A certificate cannot be parsed.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The key's file has no key in PEM form.
    #[error("the key file has no private key (PEM: -----BEGIN PRIVATE KEY-----; an encrypted key cannot be used)")]
    NoKey,
    /// The key cannot be parsed.
    #[error("the private key cannot be read: {0}")]
    Key(String),
    /// The key is not that of the first certificate.
    #[error("the private key does not belong to the first certificate of the file")]
    OtherKey,
    /// It is not valid yet.
    #[error("the certificate is valid from {0} on; check the machine's clock")]
    NotYetValid(String),
    /// It is not valid any more.
    #[error("the certificate expired on {0}")]
    Expired(String),
}

impl CertificatePair {
    /// Parses a chain, the node's certificate first, and its key, both as PEM. Other parts of the texts are ignored, so
    /// both may be the same text. Checks that the key belongs to the certificate, and not the time in which it is valid.
    pub fn parse(chain: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| PairError::Certificate(error.to_string()))?;
        let first = chain.first().ok_or(PairError::NoCertificate)?;
        let fingerprint = Fingerprint(Sha256::digest(first).into());
        let (not_before, not_after) = bounds(&chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => PairError::NoKey,
            error => PairError::Key(error.to_string()),
        })?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => PairError::OtherKey,
            rustls::Error::InvalidCertificate(error) => PairError::Certificate(format!("{error:?}")),
            error => PairError::Key(error.to_string()),
        })?;
        Ok(Self { key: Arc::new(key), fingerprint, not_before, not_after })
    }

    /// Returns an error if it is not valid at this time.
    pub fn check_time(&self, now: Timestamp) -> Result<(), PairError> {
        if now.millis() < self.not_before.ms {
            return Err(PairError::NotYetValid(self.not_before.text.clone()));
        }
        if now.millis() >= self.not_after.ms {
            return Err(PairError::Expired(self.not_after.text.clone()));
        }
        Ok(())
    }

    /// Returns for how long it is still valid, in milliseconds; negative if it has expired.
    pub fn expires_in_ms(&self, now: Timestamp) -> i64 {
        self.not_after.ms.saturating_sub(now.millis())
    }

    /// Returns the time at which it expires, as text.
    pub fn expires(&self) -> &str {
        &self.not_after.text
    }

    /// Returns the fingerprint of the node's certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns whether both show clients the same chain.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }

    pub(super) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&bytes.join(":"))
    }
}

/// Returns the time in which all certificates are valid: the latest beginning and the earliest end.
fn bounds(chain: &[CertificateDer<'_>]) -> Result<(Bound, Bound), PairError> {
    let mut bounds: Option<(Bound, Bound)> = None;
    for certificate in chain {
        let certificate =
            Certificate::from_der(certificate).map_err(|error| PairError::Certificate(error.to_string()))?;
        let validity = certificate.tbs_certificate.validity;
        let (from, to) = (bound(validity.not_before), bound(validity.not_after));
        bounds = Some(match bounds {
            None => (from, to),
            Some((first, last)) => {
                (if from.ms > first.ms { from } else { first }, if to.ms < last.ms { to } else { last })
            }
        });
    }
    bounds.ok_or(PairError::NoCertificate)
}

fn bound(time: x509_cert::time::Time) -> Bound {
    let ms = i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX);
    Bound { ms, text: time.to_date_time().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::self_signed::self_signed;

    const DAY_MS: i64 = 86_400_000;

    fn now() -> Timestamp {
        "2026-03-09T10:00:00Z".parse().expect("a time")
    }

    fn pem(now: Timestamp) -> String {
        self_signed(&["plant-7".to_owned()], &[], now).expect("made")
    }

    #[test]
    fn a_certificate_and_its_key_are_a_pair_within_their_time() {
        let text = pem(now());
        let pair = CertificatePair::parse(text.as_bytes(), text.as_bytes()).expect("a pair");
        pair.check_time(now()).expect("valid");
        assert!(matches!(pair.check_time(now().plus_ms(-2 * DAY_MS)), Err(PairError::NotYetValid(_))));
        let expired = pair.check_time(now().plus_ms(400 * DAY_MS)).expect_err("expired");
        assert_eq!(expired.to_string(), format!("the certificate expired on {}", pair.expires()));
        assert!(pair.expires().starts_with("2027-04-"), "{}", pair.expires());
        assert_eq!(pair.fingerprint().to_string().len(), 95);
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        let (one, two) = (pem(now()), pem(now()));
        let begin = one.find("-----BEGIN CERTIFICATE-----").expect("a certificate");
        let (key, certificate) = one.split_at(begin);
        let damaged = certificate.replacen("MII", "MIJ", 1);
        let cut = &certificate[..certificate.len() / 2];
        for (chain, key, expected) in [
            (certificate, key, None),
            (certificate, two.as_str(), Some("does not belong")),
            ("", key, Some("no certificate")),
            ("hello", key, Some("no certificate")),
            (key, key, Some("no certificate")),
            (cut, key, Some("cannot be read")),
            (&damaged, key, Some("cannot be read")),
            (certificate, "", Some("no private key")),
            (certificate, certificate, Some("no private key")),
            (certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", Some("cannot be read")),
        ] {
            let parsed = CertificatePair::parse(chain.as_bytes(), key.as_bytes()).map(drop);
            let text = parsed.err().map(|error| error.to_string());
            match expected {
                None => assert_eq!(text, None),
                Some(part) => assert!(text.as_deref().is_some_and(|text| text.contains(part)), "{part}: {text:?}"),
            }
        }
    }

    #[test]
    fn a_chain_is_valid_as_long_as_all_of_it() {
        let (now, later) = (now(), now().plus_ms(30 * DAY_MS));
        let (first, second) = (pem(later), pem(now));
        let chain = format!("{first}{second}");
        let pair = CertificatePair::parse(chain.as_bytes(), first.as_bytes()).expect("a pair");
        assert!(matches!(pair.check_time(now), Err(PairError::NotYetValid(_))), "the first is not valid yet");
        pair.check_time(later).expect("both are valid");
        assert!(matches!(pair.check_time(now.plus_ms(397 * DAY_MS)), Err(PairError::Expired(_))), "the second");
    }
}
