//! The errors of a configuration. All mistakes are reported at once, each with its origin and what is allowed.

use std::{fmt, io, path::PathBuf};

use figment::{Figment, error::Kind};

use super::{
    Config,
    entry::{Entry, Origin, Setting},
};

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration ({origin}) is not TOML: {source}")]
    NotToml {
        /// The file.
        origin: Origin,
        /// The parser's error.
        source: Box<toml::de::Error>,
    },
    /// All keys that do not exist or have a value that is not allowed.
    #[error("{}", list(.0))]
    Mistakes(Vec<Mistake>),
    /// Each layer is valid, but their combination is not.
    #[error("the configuration is not valid: {0}")]
    Whole(#[from] Box<figment::Error>),
}

/// One key that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key, the value and where it was set.
    pub setting: Setting,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// There is no such key.
    Unknown {
        /// A key with a similar name.
        did_you_mean: Option<String>,
        /// The keys of the section, or all sections if there is no such section.
        allowed: String,
    },
    /// The key had this name in an earlier version.
    Renamed {
        /// Its current name.
        to: &'static str,
    },
    /// It is set by an environment variable whose underscores differ from `VOLUTE__SECTION__KEY`.
    Variable {
        /// The correct name of the variable.
        did_you_mean: String,
    },
    /// Its value is not allowed.
    Value {
        /// What is allowed.
        allowed: String,
    },
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { key, value, origin } = &self.setting;
        write!(f, "{key} = {value} ({origin}): ")?;
        match &self.problem {
            Problem::Unknown { did_you_mean: Some(other), allowed } => {
                write!(f, "no such key; did you mean {other}? allowed: {allowed}")
            }
            Problem::Unknown { did_you_mean: None, allowed } => write!(f, "no such key; allowed: {allowed}"),
            Problem::Renamed { to } => write!(f, "this key is now {to}; allowed: {to}"),
            Problem::Variable { did_you_mean } => write!(f, "no such variable; did you mean {did_you_mean}?"),
            Problem::Value { allowed } => write!(f, "allowed: {allowed}"),
        }
    }
}

/// Keys of earlier versions, and their current names.
const RENAMED: [(&str, &str); 3] = [
    ("ingest.burst_readings_per_pump", "ingest.max_in_flight_readings_per_pump"),
    ("ingest.backlog_answer_s", "ingest.backlog_timeout_s"),
    ("engine.wedged_after_s", "engine.stuck_after_s"),
];

/// Checks one entry together with the defaults, independent of all other entries.
pub(super) fn check(entry: &Entry, base: &Figment, defaults: &[Entry]) -> Option<Mistake> {
    let renamed = RENAMED.iter().find(|(earlier, _)| *earlier == entry.key);
    let problem = if let Some((_, to)) = renamed {
        Problem::Renamed { to }
    } else if !defaults.iter().any(|default| default.has_same_key(entry)) {
        Problem::Unknown { did_you_mean: similar(&entry.key, defaults), allowed: neighbours(&entry.key, defaults) }
    } else {
        let error = base.clone().merge(entry).extract::<Config>().err()?;
        Problem::Value { allowed: allowed(error.kind) }
    };
    let setting = entry.setting();
    // Somebody may have put a secret into a key that does not exist.
    let is_secret = matches!(problem, Problem::Unknown { .. }) && setting.key.contains("secret");
    let setting = if is_secret { Setting { value: "(not shown)".into(), ..setting } } else { setting };
    Some(Mistake { setting, problem })
}

/// Checks keys that depend on each other: logins at an identity provider need more than its address.
pub(super) fn check_together(config: &Config, values: &[Setting]) -> Vec<Mistake> {
    let mut mistakes = check_oidc(config, values);
    mistakes.extend(check_notify(config, values));
    mistakes
}

/// Returns what is missing for notifications.
fn check_notify(config: &Config, values: &[Setting]) -> Vec<Mistake> {
    let (notify, email) = (&config.notify, &config.notify.email);
    let has_email = email.server.is_some();
    let is_loopback =
        |host: &str| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_plain = email.tls == volute_courier::EmailTls::Off
        && email.server.as_ref().is_some_and(|server| !is_loopback(&server.host));
    let wrong = [
        (
            "server.public_url",
            notify.is_on() && config.server.public_url.is_none(),
            "the address that messages link to, because notify.email.server or notify.webhook.url is set",
        ),
        (
            "notify.email.to",
            has_email && email.to.is_empty(),
            "at least one recipient, such as { \"ops@example.com\" = \"low\" }, because notify.email.server is set",
        ),
        (
            "notify.email.from",
            has_email && email.from.is_empty(),
            "the sender, such as volute@example.com, because notify.email.server is set",
        ),
        ("notify.email.tls", is_plain, "\"starttls\" or \"tls\", because the server is on another machine"),
    ];
    let of = |key: &str| values.iter().find(|setting| setting.key == key).cloned();
    let wrong = wrong.into_iter().filter(|(_, is_wrong, _)| *is_wrong);
    let problem = |what: &str| Problem::Value { allowed: what.to_owned() };
    wrong.filter_map(|(key, _, what)| Some(Mistake { setting: of(key)?, problem: problem(what) })).collect()
}

/// Returns what is missing for logins at an identity provider.
fn check_oidc(config: &Config, values: &[Setting]) -> Vec<Mistake> {
    let Config { server, access, .. } = config;
    if access.oidc.issuer.is_none() {
        return Vec::new();
    }
    let missing = [
        (
            "server.public_url",
            server.public_url.is_none(),
            "the address to which the identity provider sends browsers back",
        ),
        ("access.oidc.client_id", access.oidc.client_id.is_empty(), "the node's id at the identity provider"),
        ("access.oidc.roles", access.oidc.roles.is_empty(), "a role for at least one group"),
    ];
    let of = |key: &str| values.iter().find(|setting| setting.key == key).cloned();
    let missing = missing.into_iter().filter(|(_, is_missing, _)| *is_missing);
    let allowed = |what: &str| Problem::Value { allowed: format!("{what}, because access.oidc.issuer is set") };
    missing.filter_map(|(key, _, what)| Some(Mistake { setting: of(key)?, problem: allowed(what) })).collect()
}

fn list(mistakes: &[Mistake]) -> String {
    let keys = if mistakes.len() == 1 { "key is" } else { "keys are" };
    let lines: String = mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect();
    format!("{} {keys} wrong in the configuration:{lines}", mistakes.len())
}

fn allowed(kind: Kind) -> String {
    match kind {
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => expected,
        other => other.to_string(),
    }
}

/// Returns the known key that is most similar to `key`, if any is similar.
fn similar(key: &str, defaults: &[Entry]) -> Option<String> {
    const MIN_SIMILARITY: f64 = 0.7;
    let similarity = |other: &str| strsim::normalized_damerau_levenshtein(key, other);
    let scored = defaults.iter().map(|default| (similarity(&default.key), &default.key));
    let (score, best) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score >= MIN_SIMILARITY).then(|| best.clone())
}

/// Returns the keys of the section of `key`, or the sections if there is no such section.
fn neighbours(key: &str, defaults: &[Entry]) -> String {
    let pairs = || defaults.iter().map(Entry::section_and_name);
    let known = |section: &str| pairs().any(|(other, _)| other == section);
    // A key that is a section, such as `server`, or the section of the key.
    let section = if known(key) { key } else { key.rsplit_once('.').map_or(key, |(section, _)| section) };
    let keys: Vec<&str> = pairs().filter(|(other, _)| *other == section).map(|(_, key)| key).collect();
    if !keys.is_empty() {
        return format!("in [{section}] {}", keys.join(", "));
    }
    let mut sections: Vec<&str> = pairs().map(|(section, _)| section).collect();
    sections.dedup();
    format!("the sections [{}]", sections.join("], ["))
}
