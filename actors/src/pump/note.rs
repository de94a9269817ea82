//! The note that pages show beside NORMAL or ANOMALY when a pump's detections have less information than usual: without
//! some channels, at a speed that was not seen before, or by a baseline of a few hours. Does no I/O.
//!
//! | situation | note |
//! | --- | --- |
//! | the ambient sensor sends nothing | `Ambient_Temperature_C is missing: judged on 9 of 10 channels` |
//! | 1,260 rpm, where commissioning saw 800 to 1,200 | `Motor_RPM of 1260 was not seen before (800 to 1200): judged less strictly` |
//! | a baseline of 3 h | `provisional: learned from 3 h of running; it is learned again until it has 24 h` |
//!
//! Several notes are joined by semicolons. There is no note if there is no detection; see
//! [`crate::protocol::live::NoDetectionReason`].

use std::sync::Arc;

use volute_anomaly::{ConditionalBaseline, StepResult};
use volute_plant::{Profile, Quantity, StepRow};

/// Returns the note for a step; none if it has the usual information.
pub(super) fn note(
    profile: &Profile,
    baseline: &ConditionalBaseline,
    row: &StepRow,
    result: &StepResult,
) -> Option<Arc<str>> {
    let notes: Vec<String> = [missing(profile, row), outside(profile, baseline, row, result), provisional(baseline)]
        .into_iter()
        .flatten()
        .collect();
    if notes.is_empty() { None } else { Some(notes.join("; ").into()) }
}

fn missing(profile: &Profile, row: &StepRow) -> Option<String> {
    let missing: Vec<&str> = profile
        .channel_names()
        .zip(row.values.iter())
        .filter(|(_, value)| value.is_nan())
        .map(|(name, _)| name)
        .collect();
    let (count, all) = (missing.len(), profile.channels().len());
    match count {
        0 => None,
        1 => Some(format!("{} is missing: judged on {} of {all} channels", missing[0], all - 1)),
        _ => Some(format!("{} are missing: judged on {} of {all} channels", missing.join(", "), all - count)),
    }
}

fn outside(profile: &Profile, baseline: &ConditionalBaseline, row: &StepRow, result: &StepResult) -> Option<String> {
    if !result.outside_known_range() {
        return None;
    }
    let [low, high] = baseline.speed_range()?;
    let speed = profile.channels().iter().position(|channel| channel.quantity == Quantity::RotationalSpeed)?;
    let (name, now) = (&profile.channels()[speed].name, row.values.get(speed)?);
    Some(if (low..=high).contains(now) {
        format!(
            "{name} was outside of {low:.0} to {high:.0} minutes ago, which was not seen before: judged less strictly"
        )
    } else {
        format!("{name} of {now:.0} was not seen before ({low:.0} to {high:.0}): judged less strictly")
    })
}

fn provisional(baseline: &ConditionalBaseline) -> Option<String> {
    let hours = (baseline.learned().running_s / 360.0).round() / 10.0;
    baseline
        .is_provisional()
        .then(|| format!("provisional: learned from {hours} h of running; it is learned again until it has 24 h"))
}
