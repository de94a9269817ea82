//! The certificate of a running node: read from files or made by the node, and kept current.
//!
//! `server.tls` says where it comes from. Its files are read again every [`POLL_INTERVAL`], and at once after SIGHUP. The
//! rules by which a new certificate replaces the old one are in [`Reloader`].
//!
//! A self-signed certificate is in `DATA/tls/self-signed.pem`, with its key. It is made at the first start, and again
//! shortly before it expires. If the file is deleted, the next start makes another one, for the machine's current names
//! and addresses. Backups do not contain it.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use volute_data::{create_folder, write_private_file};
use volute_plant::{Clock, Timestamp};
use volute_web::{CertificatePair, Fingerprint, PemFiles, Reloader, ServedCertificate, TlsSettings, self_signed};

use crate::{
    config::{Config, TlsMode},
    machine, secret_file,
};

/// How often the files are read.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// How long before its end a self-signed certificate is replaced.
const RENEW_BEFORE_MS: i64 = 7 * 86_400_000;

/// The certificate of a node, and where it comes from.
pub(super) struct NodeTls {
    source: Source,
    reloader: Reloader,
    served: Arc<ServedCertificate>,
    /// SIGHUP. Without files of others there is nothing to reload, and it ends the node as usual.
    hangup: Option<Signal>,
}

/// Where a certificate comes from.
#[derive(Debug, Clone)]
enum Source {
    /// The node makes it.
    SelfSigned { file: PathBuf, names: Vec<String> },
    /// Somebody else puts it there. Both may be the same file.
    Files { chain: PathBuf, key: PathBuf },
}

impl NodeTls {
    /// Reads or makes the certificate that is configured. None if the node has no TLS.
    pub(super) fn open(config: &Config, now: Timestamp) -> Result<Option<Self>> {
        let server = &config.server;
        let (source, pair) = match &server.tls {
            TlsMode::Off => return Ok(None),
            TlsMode::SelfSigned => {
                let file = config.store.dir.join("tls").join("self-signed.pem");
                let names = server.allowed_hosts.names().iter().map(|host| host.split(':').next().unwrap_or(host));
                let names: Vec<String> = machine::names().into_iter().chain(names.map(str::to_owned)).collect();
                let pair = own_certificate(&file, &names, &machine::addresses(), now)?;
                (Source::SelfSigned { file, names }, pair)
            }
            TlsMode::Files { chain } => {
                let key = server.tls_key.path().unwrap_or(chain).to_owned();
                let source = Source::Files { chain: chain.clone(), key };
                let files = source.read().map_err(anyhow::Error::msg)?;
                let pair = files.parse().with_context(|| format!("TLS cannot be used ({source})"))?;
                (source, pair)
            }
        };
        if let Some(warning) = source.key_warning() {
            tracing::warn!("{warning}");
        }
        let served = Arc::new(ServedCertificate::new(&pair));
        let reloader = Reloader::new(pair, now);
        served.set_problem(reloader.problem());
        if let Some(problem) = reloader.problem() {
            tracing::warn!(problem, "TLS certificate");
        }
        let hangup = match source {
            Source::Files { .. } => Some(signal(SignalKind::hangup())?),
            Source::SelfSigned { .. } => None,
        };
        Ok(Some(Self { source, reloader, served, hangup }))
    }

    /// Returns the settings of the server.
    pub(super) fn settings(&self) -> TlsSettings {
        let strict_transport = matches!(self.source, Source::Files { .. });
        TlsSettings { certificate: self.served.clone(), strict_transport }
    }

    /// Returns the fingerprint of the certificate, if it is self-signed.
    pub(super) fn fingerprint_to_compare(&self) -> Option<Fingerprint> {
        matches!(self.source, Source::SelfSigned { .. }).then(|| self.reloader.current().fingerprint())
    }

    /// Keeps the certificate current until the future is dropped.
    pub(super) async fn keep_current(mut self, clock: Arc<dyn Clock>) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let requested = tokio::select! {
                _ = ticks.tick() => false,
                () = received(&mut self.hangup) => true,
            };
            self.poll(clock.now(), requested).await;
        }
    }

    async fn poll(&mut self, now: Timestamp, requested: bool) {
        let renew = self.reloader.current().expires_in_ms(now) < RENEW_BEFORE_MS;
        let source = self.source.clone();
        // The disk may be slow, and must not delay others.
        let read = spawn_blocking(move || {
            if let (Source::SelfSigned { file, names }, true) = (&source, renew) {
                make_certificate(file, names, &machine::addresses(), now).map_err(|error| format!("{error:#}"))?;
            }
            source.read()
        });
        let files = read.await.unwrap_or_else(|error| Err(error.to_string()));
        let before = self.reloader.problem().map(str::to_owned);
        let replaced = self.reloader.poll(files, now, requested);
        let problem = self.reloader.problem();
        // Before a client can see the new certificate: what it is told then is not about the old one.
        self.served.set_problem(problem);
        if replaced {
            let current = self.reloader.current();
            self.served.serve(current);
            tracing::info!(fingerprint = %current.fingerprint(), expires = current.expires(), "TLS certificate replaced");
        } else if requested {
            tracing::info!(source = %self.source, "TLS certificate not replaced");
        }
        if problem != before.as_deref() {
            match problem {
                Some(problem) => tracing::warn!(problem, source = %self.source, "TLS certificate"),
                None => tracing::info!("the TLS certificate is in order again"),
            }
        }
    }
}

impl Source {
    fn read(&self) -> Result<PemFiles, String> {
        let read = |path: &Path| secret_file::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let (chain, key) = match self {
            Self::SelfSigned { file, .. } => (file, file),
            Self::Files { chain, key } => (chain, key),
        };
        Ok(PemFiles { chain: read(chain)?, key: read(key)? })
    }

    /// Returns a warning if other users can read the private key.
    fn key_warning(&self) -> Option<String> {
        let (Self::SelfSigned { file: key, .. } | Self::Files { key, .. }) = self;
        let mode = fs::metadata(key).ok()?.permissions().mode() & 0o077;
        let key = key.display();
        (mode != 0).then(|| format!("other users can open the private key {key}: chmod 600 {key}"))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SelfSigned { file, .. } => write!(f, "{}", file.display()),
            Self::Files { chain, key } => write!(f, "certificate {}, key {}", chain.display(), key.display()),
        }
    }
}

/// Resolves at the next signal; never without one.
async fn received(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Returns the node's own certificate. Makes one if there is none, or it cannot be used or has expired.
fn own_certificate(file: &Path, names: &[String], addresses: &[IpAddr], now: Timestamp) -> Result<CertificatePair> {
    match secret_file::read(file) {
        Ok(pem) => match CertificatePair::parse(&pem, &pem) {
            Ok(pair) if pair.expires_in_ms(now) >= RENEW_BEFORE_MS => return Ok(pair),
            Ok(pair) => tracing::info!(expires = pair.expires(), "the self-signed certificate is replaced"),
            Err(error) => tracing::warn!(%error, file = %file.display(), "the self-signed certificate is replaced"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    }
    make_certificate(file, names, addresses, now)
}

/// Makes a certificate and writes it, with its key, to a file that only its owner can open.
fn make_certificate(file: &Path, names: &[String], addresses: &[IpAddr], now: Timestamp) -> Result<CertificatePair> {
    let pem = self_signed(names, addresses, now)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    create_folder(folder)
        .and_then(|()| write_private_file(file, pem.as_bytes()))
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(CertificatePair::parse(pem.as_bytes(), pem.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn the_own_certificate_is_made_once_and_again_before_it_expires() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tls/self-signed.pem");
        let now: Timestamp = "2026-03-09T10:00:00Z".parse().expect("a time");
        let at = |day: i64| {
            own_certificate(&file, &["plant-7".to_owned()], &[], now.plus_ms(day * DAY_MS)).expect("made").fingerprint()
        };
        let first = at(0);
        assert_eq!((at(0), at(388)), (first, first));
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the key is the owner's");
        let second = at(391);
        assert_ne!(second, first);
        assert_eq!(at(400), second);
        fs::write(&file, "damaged").expect("written");
        assert_ne!(at(400), second);
    }

    #[test]
    fn a_key_that_others_can_read_causes_a_warning() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key.pem");
        fs::write(&key, "").expect("written");
        let source = Source::Files { chain: key.clone(), key: key.clone() };
        for (mode, warns) in [(0o600, false), (0o400, false), (0o640, true), (0o644, true)] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(source.key_warning().is_some(), warns, "{mode:o}");
        }
    }
}
