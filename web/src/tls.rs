//! TLS of the server: the certificate that it shows, and how another one replaces it while the server runs.
//!
//! An example: a plant's certificate is renewed.
//!
//! ```text
//! poll    files                               Reloader                        clients get
//! 10:00   the pair of last year               same: nothing                   last year's
//! 10:10   new certificate, key not yet        does not match: wait            last year's
//! 10:20   the same                            does not match: a problem       last year's
//! 10:30   new certificate, new key            valid: serve it                 the new one
//! ```
//!
//! `pair.rs` parses a certificate chain with its key, `reload.rs` is the state machine in this table, `served.rs` gives the
//! current certificate to each handshake, and `self_signed.rs` makes a certificate for a node that has none.
//!
//! TLS 1.2 and 1.3, by rustls with ring. HTTP/2 is not offered. Does not read files (the program does), and does not ask
//! clients for certificates.

mod pair;
mod reload;
mod self_signed;
mod served;

pub use pair::{CertificatePair, Fingerprint, PairError};
pub use reload::{PemFiles, Reloader};
pub use self_signed::{SelfSignedError, self_signed};
pub use served::ServedCertificate;
pub(crate) use served::acceptor;

use std::sync::Arc;

/// TLS of a server.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The certificate that handshakes get.
    pub certificate: Arc<ServedCertificate>,
    /// Whether responses tell browsers to use only HTTPS for this host name from now on. Not with a certificate that
    /// browsers cannot verify: they would offer no way past their warning.
    pub strict_transport: bool,
}
