//! A key of the configuration with its value and origin.

use std::{fmt, path::PathBuf};

use figment::{
    Metadata, Provider,
    util::nest,
    value::{Dict, Map, Value},
};

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In `config/default.toml`, which is built into the program.
    Default,
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Env(String),
    /// With this flag of the command line, for example `--listen`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Flag(name) => write!(f, "flag:{name}"),
        }
    }
}

/// The effective value of a key, and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key, for example `server.listen`.
    pub key: String,
    /// The value as TOML.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

/// The value that one layer sets for a key.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Entry {
    pub(super) fn has_same_key(&self, other: &Entry) -> bool {
        self.key == other.key
    }

    /// Returns the section and the name: those of `access.oidc.issuer` are `access.oidc` and `issuer`.
    pub(super) fn section_and_name(&self) -> (&str, &str) {
        self.key.rsplit_once('.').unwrap_or(("", &self.key))
    }

    pub(super) fn setting(&self) -> Setting {
        Setting { key: self.key.clone(), value: to_toml(&self.value), origin: self.origin.clone() }
    }
}

impl Provider for &Entry {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_string())
    }

    fn data(&self) -> figment::error::Result<Map<figment::Profile, Dict>> {
        let dict = nest(&self.key, self.value.clone()).into_dict().unwrap_or_default();
        Ok(figment::Profile::Default.collect(dict))
    }
}

fn to_toml(value: &Value) -> String {
    match toml::Value::try_from(value) {
        Ok(toml) => toml.to_string(),
        Err(_) => value.to_actual().to_string(),
    }
}
