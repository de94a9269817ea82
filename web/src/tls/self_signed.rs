//! Makes a certificate that the node signs itself.
//!
//! Browsers warn about it once, because nobody vouches for it. A person compares the fingerprint that the node prints
//! with the one that the browser shows. After that the connection is as private as with any other certificate.

use std::net::IpAddr;

use actix_web::cookie::time::OffsetDateTime;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use volute_plant::Timestamp;

/// How long it is valid. Browsers refuse certificates that are valid for longer than 398 days.
const LIFETIME_MS: i64 = 397 * 86_400_000;
/// It is valid from this long ago, for clients whose clock is behind.
const BACKDATED_MS: i64 = 86_400_000;

/// The certificate cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("a certificate cannot be made: {0}")]
pub struct SelfSignedError(String);

/// Makes an ECDSA key (P-256) and a certificate for host names and addresses, and returns both as PEM. Names that no
/// certificate can have are left out.
pub fn self_signed(names: &[String], addresses: &[IpAddr], now: Timestamp) -> Result<String, SelfSignedError> {
    let failed = |error: &dyn std::fmt::Display| SelfSignedError(error.to_string());
    let names: Vec<String> = names.iter().filter(|name| is_dns_name(name)).cloned().collect();
    let subject = names.first().cloned().unwrap_or_else(|| "volute".to_owned());
    let alternatives: Vec<String> = names.into_iter().chain(addresses.iter().map(IpAddr::to_string)).collect();
    let mut params = CertificateParams::new(alternatives).map_err(|error| failed(&error))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Volute, self-signed");
    params.distinguished_name.push(DnType::CommonName, subject);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let time = |ms: i64| OffsetDateTime::from_unix_timestamp(ms / 1000).map_err(|error| failed(&error));
    params.not_before = time(now.millis() - BACKDATED_MS)?;
    params.not_after = time(now.millis() - BACKDATED_MS + LIFETIME_MS)?;
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
    Ok(key.serialize_pem() + &certificate.pem())
}

/// Returns whether a name has only the characters of host names. Others cannot be in a certificate.
fn is_dns_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    use x509_cert::{
        Certificate,
        der::Decode,
        ext::pkix::{SubjectAltName, name::GeneralName},
    };

    use super::*;

    #[test]
    fn it_has_all_names_and_addresses() {
        let now = "2026-03-09T10:00:00Z".parse().expect("a time");
        let names = ["plant-7", "plant-7.local", "größe", ""].map(str::to_owned);
        let addresses = ["192.168.1.20", "fe80::1"].map(|address| address.parse().expect("an address"));
        let pem = self_signed(&names, &addresses, now).expect("made");
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        let certificate = Certificate::from_der(&der).expect("a certificate").tbs_certificate;
        let subject = certificate.subject.to_string();
        assert!(subject.contains("CN=plant-7"), "{subject}");
        let (_, alternatives) = certificate.get::<SubjectAltName>().expect("parsed").expect("there");
        let listed: Vec<String> = alternatives
            .0
            .iter()
            .map(|name| match name {
                GeneralName::DnsName(name) => name.to_string(),
                GeneralName::IpAddress(bytes) => format!("{} bytes", bytes.as_bytes().len()),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(listed, ["plant-7", "plant-7.local", "4 bytes", "16 bytes"]);
        let days =
            certificate.validity.not_after.to_unix_duration() - certificate.validity.not_before.to_unix_duration();
        assert_eq!(days.as_secs() / 86_400, 397);
    }
}
