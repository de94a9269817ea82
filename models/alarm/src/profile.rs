//! The alarms of a profile: those of its limits, and those that its file defines.
//!
//! An example, in a profile's file:
//!
//! ```toml
//! [[alarms]]
//! id = "head-low"
//! title = "The pump adds too little pressure"
//! condition = { kind = "expression", expression = "Discharge_Pressure_bar - Suction_Pressure_bar", when = "below", limit = 1.5 }
//! priority = "medium"
//! holds_in = ["running"]
//! ```
//!
//! A definition with the id of a limit's alarm, such as `bearing-temperature-c-high`, replaces it. The alarms of one pump,
//! which the API sets, replace those of its profile in the same way.
//!
//! A profile is checked where it is loaded ([`load_profile`]), so what is used later is valid.

use volute_plant::{Profile, ProfileError};

use crate::{AlarmDefinition, ArmedAlarms, InvalidValue, default_alarms};

/// Parses and validates a profile with its alarms. Returns the first mistake.
pub fn load_profile(text: &str) -> Result<Profile, ProfileError> {
    let profile = Profile::from_toml(text)?;
    match check(&profile).map_err(|mistakes| mistakes.into_iter().next()) {
        Err(Some(InvalidValue { field, value, allowed })) => Err(ProfileError::Value { key: field, value, allowed }),
        _ => Ok(profile),
    }
}

/// Returns the alarms of a profile: those of its limits, with those of its file in place of the ones of the same id, or
/// added to them. A table that is not a definition is left out; [`load_profile`] does not let such a profile in.
pub fn profile_alarms(profile: &Profile) -> Vec<AlarmDefinition> {
    let own = profile.alarm_tables().iter().enumerate().filter_map(|(index, table)| parse(index, table).ok());
    replaced(default_alarms(profile), own)
}

/// Returns `alarms` with `own` in place of the ones of the same id, or added to them.
pub fn replaced(
    mut alarms: Vec<AlarmDefinition>,
    own: impl IntoIterator<Item = AlarmDefinition>,
) -> Vec<AlarmDefinition> {
    for definition in own {
        match alarms.iter_mut().find(|known| known.id == definition.id) {
            Some(known) => *known = definition,
            None => alarms.push(definition),
        }
    }
    alarms
}

fn check(profile: &Profile) -> Result<(), Vec<InvalidValue>> {
    let mut own: Vec<AlarmDefinition> = Vec::new();
    for (index, table) in profile.alarm_tables().iter().enumerate() {
        let definition = parse(index, table).map_err(|mistake| vec![mistake])?;
        if own.iter().any(|before| before.id == definition.id) {
            let allowed = "an id that no other alarm of the profile has";
            return Err(vec![InvalidValue::new(format!("alarms[{index}].id"), &definition.id, allowed)]);
        }
        own.push(definition);
    }
    ArmedAlarms::compile(profile, &replaced(default_alarms(profile), own)).map(drop)
}

fn parse(index: usize, table: &toml::Table) -> Result<AlarmDefinition, InvalidValue> {
    let table = toml::Value::Table(table.clone());
    serde_path_to_error::deserialize(table.clone()).map_err(|error| {
        let path = error.path().to_string();
        let found = path.split('.').try_fold(&table, |value, key| value.get(key));
        let value = found.unwrap_or(&table).to_string();
        let field = if path == "." { format!("alarms[{index}]") } else { format!("alarms[{index}].{path}") };
        InvalidValue::new(field, shortened(&value), error.inner().message())
    })
}

/// The longest value in an error, in characters.
const MAX_SHOWN: usize = 120;

fn shortened(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"
        name = "small"
        title = "A pump for tests"
        interval_ms = 1000
        [[channels]]
        name = "Tb"
        quantity = "bearing_temperature"
        unit = "°C"
        plausible = [-40, 200]
        resolution = 0.1
        limits = { high_warning = 82, high_alarm = 93 }
    "#;

    fn with_alarm(alarm: &str) -> Result<Profile, ProfileError> {
        load_profile(&format!("{PROFILE}[[alarms]]\n{alarm}"))
    }

    #[test]
    fn a_profile_adds_alarms_and_replaces_those_of_its_limits() {
        let own = r#"
            id = "tb-high"
            title = "Bearing warm"
            condition = { kind = "high", channel = "Tb", limit = 75 }
            priority = "low"
            explained_by = ["tb-high-high"]
            [[alarms]]
            id = "tb-quick"
            title = "Bearing heats up quickly"
            condition = { kind = "rate_of_change", channel = "Tb", limit_per_min = 5, over_s = 60, direction = "rising" }
            priority = "medium"
            [[alarms]]
            id = "tb-far"
            title = "Bearing unlike usual"
            condition = { kind = "deviation", channel = "Tb", limit_spreads = 8 }
            priority = "medium"
            [[alarms]]
            id = "tb-sum"
            title = "Twice the bearing"
            condition = { kind = "expression", expression = "Tb * 2", when = "above", limit = 190 }
            priority = "medium"
        "#;
        let profile = with_alarm(own).expect("valid");
        let (all, defaults) = (profile_alarms(&profile), default_alarms(&profile));
        assert_eq!(all.len(), defaults.len() + 3);
        let title = |alarms: &[AlarmDefinition]| {
            alarms.iter().find(|alarm| alarm.id.as_str() == "tb-high").map(|alarm| alarm.title.clone())
        };
        assert_eq!((title(&all).as_deref(), title(&defaults).as_deref()), (Some("Bearing warm"), Some("Tb high")));
        let slower = profile.with_interval(5_000).expect("an interval");
        assert_eq!(profile_alarms(&slower).len(), all.len(), "a setting of the pump keeps them");
        assert!(!profile.is_same(&load_profile(PROFILE).expect("valid")), "another profile");
        assert_eq!(profile.hash(), load_profile(PROFILE).expect("valid").hash(), "a model fits nevertheless");
    }

    #[test]
    fn a_mistake_is_named_with_field_value_and_what_is_allowed() {
        let alarm = |condition: &str, rest: &str| {
            format!("id = \"mine\"\ntitle = \"Mine\"\ncondition = {{ {condition} }}\npriority = \"low\"\n{rest}")
        };
        let high = r#"kind = "high", channel = "Tb", limit = 75"#;
        assert!(with_alarm(&alarm(high, "")).is_ok());
        for (text, field, value, allowed) in [
            (alarm(r#"kind = "high", channel = "T", limit = 75"#, ""), "alarms.mine.condition.channel", "T", "Tb"),
            (
                alarm(r#"kind = "high", channel = "Tb", limit = 201"#, ""),
                "alarms.mine.condition.limit",
                "201",
                "-40 to 200",
            ),
            (alarm(high, "on_delay_s = -1"), "alarms.mine.on_delay_s", "-1", "0 to 86400"),
            (alarm(high, "delay = 1"), "alarms[0].delay", "1", "unknown field `delay`"),
            (alarm(high, "holds_in = [\"on\"]"), "alarms[0].holds_in", "on", "off, starting, running, stopping"),
            (alarm(high, "").replace("\"low\"", "\"urgent\""), "alarms[0].priority", "urgent", "`critical`"),
            (alarm(r#"kind = "over", channel = "Tb", limit = 75"#, ""), "alarms[0].condition.kind", "over", "`high`"),
            (alarm(high, "explained_by = [\"nothing\"]"), "alarms.mine.explained_by", "nothing", "ids of other alarms"),
            (
                alarm(r#"kind = "node_health", part = "disk""#, ""),
                "alarms.mine.condition.kind",
                "node_health",
                "for a pump",
            ),
            (format!("{}\n[[alarms]]\n{}", alarm(high, ""), alarm(high, "")), "alarms[1].id", "mine", "no other alarm"),
        ] {
            let error = with_alarm(&text).expect_err(field);
            let ProfileError::Value { key, value: found, allowed: stated } = &error else { panic!("{error}") };
            assert!(key == field && found.contains(value) && stated.contains(allowed), "{field}: {error}");
        }
    }
}
