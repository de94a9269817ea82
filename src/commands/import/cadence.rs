//! Reports the cadence of an imported recording's rows (the usual time between two rows), and the interval that fits
//! them. A pump whose readings are further apart than its interval has no windows, so it is never scored.
//!
//! ```text
//! one row           the pump's interval            the report, after the cadence itself
//! every 1 s         1 s, from the profile          nothing more
//! every 10 s        1 s, from the profile          the command that sets the interval to 10 s
//! every 10 s        10 s, set for this pump        nothing more
//! every 10 s        1 s, and --interval-ms 10000   the interval, which is set
//! every 2 h         any                            no interval is that long
//! ```

use std::io::Write;

use anyhow::Result;
use volute_data::{ImportReport, PumpSetting, Store};
use volute_plant::{
    Cadence, INTERVAL_RANGE_MS, PumpId,
    cadence::{Evidence, format_interval, format_interval_rounded},
};

use crate::{cli::ImportArgs, commands::pumps, config::Config};

/// Reports the cadence of the rows, and sets the pump's interval if `--interval-ms` is given.
pub(super) async fn report(
    pump: &PumpId,
    imported: &ImportReport,
    args: &ImportArgs,
    config: &Config,
    store: Option<&Store>,
    output: &mut dyn Write,
) -> Result<()> {
    let profile = &config.model.profile;
    let row_interval_ms = imported.cadence.interval_ms();
    match imported.cadence {
        Cadence::Unknown => {}
        Cadence::Regular { interval_ms, .. } => {
            writeln!(output, "the file has one row every {}", format_interval(interval_ms))?
        }
        Cadence::Irregular { evidence: Evidence { median_ms, p90_ms, .. } } => writeln!(
            output,
            "the rows of the file are irregular: half of them within {} of the one before, nine of ten within {}",
            format_interval_rounded(median_ms),
            format_interval_rounded(p90_ms)
        )?,
    }
    if let Some(interval_ms) = args.interval_ms {
        let every = format_interval(interval_ms);
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
    let Some(row_interval_ms) = row_interval_ms.filter(|_| imported.cadence.sparser_than(interval_ms).is_some()) else {
        return Ok(());
    };
    let source = if own_ms.is_some() { "set for this pump" } else { "from the profile" };
    writeln!(
        output,
        "the interval of {pump} is {} ({source}): too short for windows of these rows",
        format_interval(interval_ms)
    )?;
    if !INTERVAL_RANGE_MS.contains(&row_interval_ms) {
        let max = format_interval(*INTERVAL_RANGE_MS.end());
        writeln!(
            output,
            "an interval is at most {max}: a pump with such rows is not scored, only its limits are evaluated"
        )?;
        return Ok(());
    }
    let (pump, dir) = (shell_quoted(pump.as_str()), shell_quoted(&config.store.dir.display().to_string()));
    writeln!(output, "to score it, set its interval:")?;
    writeln!(output, "  volute pumps set-interval {pump} {row_interval_ms} --data-dir {dir}")?;
    Ok(())
}

/// Returns the text quoted as one word of a shell.
fn shell_quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::shell_quoted;

    #[test]
    fn quoted_text_is_one_word_of_a_shell() {
        for (text, expected) in [
            ("line-3", "line-3"),
            ("./volute-data", "./volute-data"),
            ("Pump 7 (north)", "'Pump 7 (north)'"),
            ("P'7", "'P'\\''7'"),
            ("", "''"),
        ] {
            assert_eq!(shell_quoted(text), expected);
        }
    }
}
