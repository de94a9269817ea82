//! Types of configuration values, checked as they are parsed.
//!
//! If a value is rejected, the error's `expected` says what is allowed, and [`super::diagnostics`] shows it.

mod notify;
mod oidc;

use std::{
    fmt,
    marker::PhantomData,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use serde::{
    Deserializer,
    de::{Error, Unexpected, Visitor},
};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use volute_access::AnonymousIngest;
use volute_anomaly::Detector;
use volute_plant::{Profile, PumpId};
use volute_web::TrustedProxies;

pub use self::notify::{AddressList, MailServer};
pub(super) use self::notify::{priorities, quiet_hours};
pub(super) use self::oidc::roles;
pub use self::oidc::{IssuerUrl, PublicUrl, Scopes};
use crate::profiles::{self, LoadProfileError};

/// Whether the first reading of an unknown pump registers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoRegister {
    /// Only while listening on loopback.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Host names, each with or without a port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostList(Vec<String>);

impl HostList {
    /// Returns the names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// Where the certificate of the server comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsMode {
    /// The server has no TLS.
    Off,
    /// The node makes one.
    SelfSigned,
    /// It is in a file.
    Files {
        /// The certificate chain, as PEM.
        chain: PathBuf,
    },
}

/// A file, if one is named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OptionalFile(Option<PathBuf>);

impl OptionalFile {
    /// Returns its path.
    pub fn path(&self) -> Option<&PathBuf> {
        self.0.as_ref()
    }
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For a log collector: one JSON object per line.
    Json,
}

/// A filter of log lines, in the syntax of `tracing-subscriber`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// Returns the filter as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value that is written as a string.
pub(super) trait FromText: Sized {
    /// The values that are allowed, for error messages.
    const ALLOWED: &'static str;

    /// Parses the value. An error says what is allowed: [`Self::ALLOWED`], or more details about this text.
    fn from_text(text: &str) -> Result<Self, String>;
}

impl FromText for SocketAddr {
    const ALLOWED: &'static str = "an IP address and a port, such as 127.0.0.1:5000 or [::1]:5000";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| Self::ALLOWED.into())
    }
}

impl FromText for PumpId {
    const ALLOWED: &'static str = PumpId::ALLOWED;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| PumpId::ALLOWED.into())
    }
}

impl FromText for AutoRegister {
    const ALLOWED: &'static str = r#""auto", "on" or "off""#;

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(Self::ALLOWED.into()),
        }
    }
}

impl FromText for AnonymousIngest {
    const ALLOWED: &'static str = r#""loopback" or "never""#;

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "loopback" => Ok(Self::Loopback),
            "never" => Ok(Self::Never),
            _ => Err(Self::ALLOWED.into()),
        }
    }
}

impl FromText for LogFormat {
    const ALLOWED: &'static str = r#""text" or "json""#;

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Self::ALLOWED.into()),
        }
    }
}

impl FromText for HostList {
    const ALLOWED: &'static str =
        "host names separated by commas, each with or without a port, such as volute.example, gate:8443";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let is_name = |name: &&str| {
            let (host, port) = name.split_once(':').unwrap_or((name, "0"));
            let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !host.is_empty() && host.bytes().all(is_host_byte) && port.parse::<u16>().is_ok()
        };
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        match names.iter().all(is_name) {
            true => Ok(Self(names.into_iter().map(str::to_owned).collect())),
            false => Err(Self::ALLOWED.into()),
        }
    }
}

impl FromText for TlsMode {
    const ALLOWED: &'static str =
        r#""off", "self-signed", or the path of a certificate (PEM), such as /etc/volute/tls.pem or ./tls.pem"#;

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "self-signed" => Ok(Self::SelfSigned),
            // A mistyped word is no path.
            path if path.contains('/') => Ok(Self::Files { chain: path.into() }),
            _ => Err(Self::ALLOWED.into()),
        }
    }
}

impl FromText for OptionalFile {
    const ALLOWED: &'static str = r#"a file, or "" for none"#;

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self((!text.is_empty()).then(|| text.into())))
    }
}

impl FromText for TrustedProxies {
    const ALLOWED: &'static str = "addresses and networks separated by commas, such as 127.0.0.1, 10.0.0.0/8";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error| format!("{}; {error}", Self::ALLOWED))
    }
}

impl FromText for LogFilter {
    const ALLOWED: &'static str = "error, warn, info, debug or trace, also per module, such as info,volute_data=debug";

    fn from_text(text: &str) -> Result<Self, String> {
        // `EnvFilter` reads a word that is not a level as the name of a module, so a mistyped level would switch off
        // all other lines.
        let is_word = |directive: &&str| directive.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ':'));
        let words_are_levels = text
            .split(',')
            .map(str::trim)
            .filter(is_word)
            .all(|word| word.is_empty() || word.parse::<LevelFilter>().is_ok());
        match EnvFilter::try_new(text) {
            Ok(_) if words_are_levels && !text.trim().is_empty() => Ok(Self(text.into())),
            _ => Err(Self::ALLOWED.into()),
        }
    }
}

impl FromText for Detector {
    const ALLOWED: &'static str = r#""conditional", "fused" or "lstm-autoencoder""#;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| Self::ALLOWED.into())
    }
}

impl FromText for Profile {
    const ALLOWED: &'static str = "the name of a profile, such as centrifugal, or a path to one, such as ./mine.toml";

    fn from_text(text: &str) -> Result<Self, String> {
        profiles::load(text).map_err(|error| match error {
            LoadProfileError::Unknown { name } => profiles::allowed_for(&name),
            error => format!("{}; {error}", Self::ALLOWED),
        })
    }
}

impl FromText for PathBuf {
    const ALLOWED: &'static str = "a folder";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err(Self::ALLOWED.into()) } else { Ok(text.into()) }
    }
}

impl FromText for Option<PathBuf> {
    const ALLOWED: &'static str = r#"a folder, or "" for none"#;

    fn from_text(text: &str) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| text.into()))
    }
}

/// Deserialises a value that is written as a string.
pub(super) fn text<'de, T: FromText, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(TextVisitor(PhantomData))
}

/// Deserialises a whole number from `MIN` to `MAX`.
pub(super) fn whole<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<usize, D::Error> {
    let value = d.deserialize_u64(WholeVisitor { min: MIN, max: MAX, unit: "" })?;
    usize::try_from(value).map_err(|_| D::Error::invalid_value(Unexpected::Unsigned(value), &"a smaller number"))
}

/// Deserialises whole milliseconds from `MIN` to `MAX`.
pub(super) fn millis<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    d.deserialize_u64(WholeVisitor { min: MIN, max: MAX, unit: " (milliseconds)" }).map(Duration::from_millis)
}

/// Deserialises whole seconds from `MIN` to `MAX`.
pub(super) fn seconds<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    d.deserialize_u64(WholeVisitor { min: MIN, max: MAX, unit: " (seconds)" }).map(Duration::from_secs)
}

/// Deserialises whole minutes from `MIN` to `MAX`.
pub(super) fn minutes<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let visitor = WholeVisitor { min: MIN, max: MAX, unit: " (minutes)" };
    d.deserialize_u64(visitor).map(|minutes| Duration::from_secs(minutes * 60))
}

/// Deserialises hours, above 0 and up to `MAX`; fractions are allowed.
pub(super) fn hours<'de, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let visitor = DurationVisitor { max: MAX as f64, unit: "hours" };
    d.deserialize_f64(visitor).map(|hours| Duration::from_secs_f64(hours * 3600.0))
}

/// Deserialises days, above 0 and up to `MAX`; fractions are allowed.
pub(super) fn days<'de, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let visitor = DurationVisitor { max: MAX as f64, unit: "days" };
    d.deserialize_f64(visitor).map(|days| Duration::from_secs_f64(days * 86_400.0))
}

/// Deserialises whole MiB from 1 to `MAX`.
pub(super) fn mebibytes<'de, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<NonZeroU32, D::Error> {
    whole_u32::<MAX, D>(d, " (MiB)")
}

fn whole_u32<'de, const MAX: u64, D: Deserializer<'de>>(d: D, unit: &'static str) -> Result<NonZeroU32, D::Error> {
    let value = d.deserialize_u64(WholeVisitor { min: 1, max: MAX, unit })?;
    let fits = u32::try_from(value).ok().and_then(NonZeroU32::new);
    fits.ok_or_else(|| D::Error::invalid_value(Unexpected::Unsigned(value), &"a smaller number"))
}

/// Deserialises a number of pumps from 1 to `MAX`.
pub(super) fn pumps<'de, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<NonZeroU32, D::Error> {
    whole_u32::<MAX, D>(d, " (pumps)")
}

/// Deserialises a number of events per time, from 1 to `MAX`.
pub(super) fn rate<'de, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<NonZeroU32, D::Error> {
    whole_u32::<MAX, D>(d, "")
}

/// Deserialises a whole number up to `MAX`; 0 is `None`.
pub(super) fn count<'de, const MAX: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroUsize>, D::Error> {
    whole::<0, MAX, D>(deserializer).map(NonZeroUsize::new)
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::ALLOWED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(|allowed| E::invalid_value(Unexpected::Str(text), &allowed.as_str()))
    }
}

/// Visits a whole number from `min` to `max`.
struct WholeVisitor {
    min: u64,
    max: u64,
    unit: &'static str,
}

impl Visitor<'_> for WholeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}{}", self.min, self.max, self.unit)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        if (self.min..=self.max).contains(&value) {
            return Ok(value);
        }
        Err(E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }
}

/// Visits a duration above 0 and up to `max`, in `unit`.
struct DurationVisitor {
    max: f64,
    unit: &'static str,
}

impl Visitor<'_> for DurationVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number above 0, up to {} ({})", self.max, self.unit)
    }

    fn visit_f64<E: Error>(self, length: f64) -> Result<f64, E> {
        if length > 0.0 && length <= self.max {
            return Ok(length);
        }
        Err(E::invalid_value(Unexpected::Float(length), &self))
    }

    fn visit_u64<E: Error>(self, length: u64) -> Result<f64, E> {
        self.visit_f64(length as f64)
    }

    fn visit_i64<E: Error>(self, length: i64) -> Result<f64, E> {
        self.visit_f64(length as f64)
    }
}
