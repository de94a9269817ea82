//! `volute check-config`: prints the effective configuration, and where each value was set.
//!
//! Every command loads the configuration first, and fails if it has a mistake. Only the files that notifications need are
//! read here besides: secrets and templates.

use std::io::Write;

use super::notifications::notification_settings;
use crate::config::{Setting, Settings};

/// The column in which origins begin, unless the value is longer.
const ORIGIN_COLUMN: usize = 40;

/// Writes the configuration as TOML, each value with its origin as a comment.
pub(super) fn run(settings: &Settings, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut current = "";
    for Setting { key, value, origin } in &settings.values {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        if section != current {
            let blank = if current.is_empty() { "" } else { "\n" };
            writeln!(out, "{blank}[{section}]")?;
            current = section;
        }
        let assignment = format!("{name} = {value}");
        writeln!(out, "{assignment:<ORIGIN_COLUMN$} # {origin}")?;
    }
    notification_settings(&settings.config).map(drop)
}

#[cfg(test)]
mod tests {
    use crate::config;

    #[test]
    fn the_output_is_a_configuration_with_the_same_values() {
        let env = [("VOLUTE__STORE__LINGER_MS".into(), "7".into())];
        let settings = config::load(None, env, &[]).expect("valid");
        let mut printed = Vec::new();
        super::run(&settings, &mut printed).expect("printed");
        let text = String::from_utf8(printed).expect("text");
        assert!(text.contains("linger_ms = 7                            # env:VOLUTE__STORE__LINGER_MS\n"), "{text}");

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("printed.toml");
        std::fs::write(&path, text).expect("written");
        assert_eq!(config::load(Some(&path), [], &[]).expect("valid").config, settings.config);
    }
}
