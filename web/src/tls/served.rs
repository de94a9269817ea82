//! The certificate that handshakes get. It can be replaced at any time; connections that exist keep theirs.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use super::pair::CertificatePair;

/// The certificate that a server shows, and what is wrong with it.
#[derive(Debug)]
pub struct ServedCertificate {
    key: RwLock<Arc<CertifiedKey>>,
    problem: RwLock<Option<String>>,
}

impl ServedCertificate {
    /// Begins with this certificate.
    pub fn new(pair: &CertificatePair) -> Self {
        Self { key: RwLock::new(pair.certified_key()), problem: RwLock::new(None) }
    }

    /// Shows another certificate from the next handshake on.
    pub fn serve(&self, pair: &CertificatePair) {
        *self.key.write() = pair.certified_key();
    }

    /// Returns what is wrong with the certificate and what to do, for `/readyz` and `/api/store`.
    pub fn problem(&self) -> Option<String> {
        self.problem.read().clone()
    }

    /// Sets what is wrong with the certificate.
    pub fn set_problem(&self, problem: Option<&str>) {
        *self.problem.write() = problem.map(str::to_owned);
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.read().clone())
    }
}

/// Returns what accepts TLS connections with the certificate that is current at each handshake.
pub(crate) fn acceptor(certificate: Arc<ServedCertificate>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    // Clients that could also use HTTP/2 do not.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
