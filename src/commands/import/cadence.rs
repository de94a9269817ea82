//! How often a recording's rows come, and what that asks for: a pump whose readings are further apart than its interval has no
//! window, so it is never judged.
//!
//! ```text
//! the rows come     its interval is                what is said
//! every 1 s         1 s, its profile's             that
//! every 10 s        1 s, its profile's             that, and the command that sets its interval to 10 s
//! every 10 s        10 s, its own                  that
//! every 10 s        1 s, and --interval-ms 10000   that, and that its interval is set
//! every 2 h         any                            that, and that no interval is that long
//! ```

use std::io::Write;

use anyhow::Result;
use volute_data::{Imported, PumpSetting, Store};
use volute_plant::{
    Cadence, INTERVALS_MS, PumpId,
    cadence::{Evidence, about_in_words, in_words},
};

use crate::{cli::ImportArgs, commands::pumps, config::Config};

/// Says how often the rows come, and sets the pump's interval where that is asked for.
pub(super) async fn report(
    pump: &PumpId,
    imported: &Imported,
    args: &ImportArgs,
    config: &Config,
    store: Option<&Store>,
    output: &mut dyn Write,
) -> Result<()> {
    let profile = &config.model.profile;
    let found = imported.cadence.interval_ms();
    match imported.cadence {
        Cadence::Unknown => {}
        Cadence::Regular { interval_ms, .. } => writeln!(output, "its rows come every {}", in_words(interval_ms))?,
        Cadence::Irregular { evidence: Evidence { median_ms, p90_ms, .. } } => writeln!(
            output,
            "its rows come irregularly: half of them within {} of the one before, nine of ten within {}",
            about_in_words(median_ms),
            about_in_words(p90_ms)
        )?,
    }
    if let Some(interval_ms) = args.interval_ms {
        let every = in_words(interval_ms);
        match store.filter(|store| !args.dry_run && store.is_registered(pump)) {
            Some(store) => {
                pumps::set_stopped(store, profile, pump, PumpSetting::Interval(Some(interval_ms))).await?;
                writeln!(output, "the interval of {pump} is {every}")?;
            }
            None => writeln!(output, "the interval of {pump} would be {every}")?,
        }
        return Ok(());
    }
    let own_ms = match store.filter(|store| store.is_registered(pump)) {
        Some(store) => store.pump_settings(pump).await?.interval_ms,
        None => None,
    };
    let interval_ms = own_ms.unwrap_or(profile.interval_ms());
    let Some(found) = found.filter(|_| imported.cadence.sparser_than(interval_ms).is_some()) else { return Ok(()) };
    let whose = if own_ms.is_some() { "its own" } else { "its profile's" };
    writeln!(
        output,
        "the interval of {pump} is {}, {whose}: too short for windows of these rows",
        in_words(interval_ms)
    )?;
    if !INTERVALS_MS.contains(&found) {
        let most = in_words(*INTERVALS_MS.end());
        writeln!(
            output,
            "an interval is at most {most}: a pump of such rows is not judged, only its limits are watched"
        )?;
        return Ok(());
    }
    let (pump, dir) = (quoted(pump.as_str()), quoted(&config.store.dir.display().to_string()));
    writeln!(output, "to have it judged, say so:")?;
    writeln!(output, "  volute pumps set-interval {pump} {found} --data-dir {dir}")?;
    Ok(())
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_is_to_be_copied_is_one_word_to_a_shell() {
        for (text, said) in [
            ("line-3", "line-3"),
            ("./volute-data", "./volute-data"),
            ("Pump 7 (north)", "'Pump 7 (north)'"),
            ("P'7", "'P'\\''7'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), said);
        }
    }
}
