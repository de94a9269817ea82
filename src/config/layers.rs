//! Merges the layers: the defaults, a file, the environment, flags.
//!
//! There are no keys other than those of `config/default.toml`. Every entry of every layer is checked, even if a later
//! layer overrides it, so that all mistakes are reported at once.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
};

use figment::{
    Figment,
    value::{Dict, Value},
};

use super::{
    Config,
    diagnostics::{ConfigError, Mistake, Problem, check, check_together},
    entry::{Entry, Origin, Setting},
};

const DEFAULTS: &str = include_str!("../../config/default.toml");
const ENV_PREFIX: &str = "VOLUTE__";

/// A flag that sets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The flag, for example `--listen`.
    pub name: &'static str,
    /// The key, for example `server.listen`.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

/// The configuration, and where each of its values was set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration.
    pub config: Config,
    /// Every key, ordered by section and name.
    pub values: Vec<Setting>,
}

/// Loads the configuration. `env` is the process's environment, of which only the variables `VOLUTE__*` are used. A
/// variable whose name differs from that of a key only in its underscores is a mistake.
pub fn load(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &[Flag],
) -> Result<Settings, ConfigError> {
    let defaults = defaults()?;
    let mut entries = match file {
        Some(path) => from_file(path, &defaults)?,
        None => Vec::new(),
    };
    let mut mistakes = Vec::new();
    for (name, text) in env {
        mistakes.extend(misnamed(&name, &text, &defaults));
        entries.extend(from_env((name, text), &defaults));
    }
    entries.extend(flags.iter().map(from_flag));

    let base = defaults.iter().fold(Figment::new(), Figment::merge);
    mistakes.extend(entries.iter().filter_map(|entry| check(entry, &base, &defaults)));
    if !mistakes.is_empty() {
        return Err(ConfigError::Mistakes(mistakes));
    }
    let winner = |default| entries.iter().rev().find(|entry| entry.has_same_key(default)).unwrap_or(default);
    // Of each key the last value alone: tables of several layers are not mixed.
    let config: Config =
        defaults.iter().map(winner).fold(Figment::new(), Figment::merge).extract().map_err(Box::new)?;
    let values: Vec<Setting> = defaults.iter().map(|default| winner(default).setting()).collect();
    let mistakes = check_together(&config, &values);
    if mistakes.is_empty() { Ok(Settings { config, values }) } else { Err(ConfigError::Mistakes(mistakes)) }
}

/// Returns all keys with their defaults, ordered by section and name.
fn defaults() -> Result<Vec<Entry>, ConfigError> {
    // A table that is empty is a value; others are sections.
    let mut defaults = from_toml(DEFAULTS, &Origin::Default, &|_, table| table.is_empty())?;
    defaults.sort_by(|a, b| a.section_and_name().cmp(&b.section_and_name()));
    Ok(defaults)
}

fn from_file(path: &Path, defaults: &[Entry]) -> Result<Vec<Entry>, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
    from_toml(&text, &Origin::File(path.into()), &|key, _| defaults.iter().any(|default| default.key == key))
}

/// Returns the entries of a TOML text. `is_value` says of which keys a table is the value; other tables are sections.
fn from_toml(text: &str, origin: &Origin, is_value: &dyn Fn(&str, &Dict) -> bool) -> Result<Vec<Entry>, ConfigError> {
    let sections: Dict = toml::from_str(text)
        .map_err(|source| ConfigError::NotToml { origin: origin.clone(), source: Box::new(source) })?;
    let mut entries = Vec::new();
    // Each with the key that leads to it.
    let mut tables = vec![(String::new(), sections)];
    while let Some((section, table)) = tables.pop() {
        for (name, value) in table {
            let key = if section.is_empty() { name } else { format!("{section}.{name}") };
            match value {
                Value::Dict(_, table) if !is_value(&key, &table) => tables.push((key, table)),
                value => entries.push(Entry { key, value, origin: origin.clone() }),
            }
        }
    }
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}

fn from_env((name, text): (OsString, OsString), defaults: &[Entry]) -> Option<Entry> {
    let name = name.to_string_lossy();
    let key = name.strip_prefix(ENV_PREFIX)?.to_lowercase().replace("__", ".");
    let text = text.to_string_lossy();
    let parsed: Value = text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {});
    // For keys whose type is a string, 7 means the string "7".
    let is_text = defaults.iter().any(|default| default.key == key && default.value.as_str().is_some());
    let value = if is_text && parsed.as_str().is_none() { Value::from(text.as_ref()) } else { parsed };
    Some(Entry { key, value, origin: Origin::Env(name.into_owned()) })
}

/// Returns the mistake if a variable's name differs from that of a key only in its underscores, such as
/// `VOLUTE_SERVER_LISTEN`, which would be ignored. Other variables that begin with `VOLUTE_` do not belong to the
/// configuration.
fn misnamed(name: &OsStr, text: &OsStr, defaults: &[Entry]) -> Option<Mistake> {
    let name = name.to_string_lossy();
    if name.starts_with(ENV_PREFIX) {
        return None;
    }
    let words = |name: &str| name.split(['_', '.']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
    let given = words(name.to_uppercase().strip_prefix("VOLUTE_")?);
    let meant = defaults.iter().find(|default| words(&default.key).to_uppercase() == given)?;
    let did_you_mean = format!("{ENV_PREFIX}{}", meant.key.replace('.', "__").to_uppercase());
    let value = Value::from(text.to_string_lossy().as_ref());
    let entry = Entry { key: meant.key.clone(), value, origin: Origin::Env(name.into_owned()) };
    Some(Mistake { setting: entry.setting(), problem: Problem::Variable { did_you_mean } })
}

fn from_flag(flag: &Flag) -> Entry {
    Entry { key: flag.key.into(), value: Value::from(flag.value.as_str()), origin: Origin::Flag(flag.name) }
}

#[cfg(test)]
mod tests;
