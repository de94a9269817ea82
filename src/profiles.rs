//! Loads a profile by name, if it is built in, or from a TOML file.
//!
//! Does not validate profiles; see [`volute_plant::Profile`] and [`volute_alarm::load_profile`].

use std::{fs, io, path::PathBuf};

use volute_plant::{Profile, ProfileError};

/// The text of the default profile.
pub(crate) const CENTRIFUGAL: &str = include_str!("../config/profiles/centrifugal.toml");

/// The built-in profiles, by name.
const BUILT_IN: [(&str, &str); 2] =
    [("centrifugal", CENTRIFUGAL), ("skab", include_str!("../config/profiles/skab.toml"))];

/// A profile cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadProfileError {
    /// The argument is neither the name of a built-in profile nor a path.
    #[error("no profile is named {name:?}; allowed: {}", allowed_for(name))]
    Unknown {
        /// The given name.
        name: String,
    },
    /// The file cannot be read.
    #[error("the profile {} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The text is not a valid profile.
    #[error("the profile {name}: {source}")]
    Invalid {
        /// The name of the built-in profile, or the path.
        name: String,
        /// The cause.
        source: ProfileError,
    },
}

/// Loads a built-in profile by name, or a profile from a file; see [`text`].
pub fn load(name_or_path: &str) -> Result<Profile, LoadProfileError> {
    let invalid = |source| LoadProfileError::Invalid { name: name_or_path.into(), source };
    volute_alarm::load_profile(&text(name_or_path)?).map_err(invalid)
}

/// Returns the TOML text of a built-in profile, or of a file.
///
/// The argument is a path if it ends in `.toml` or contains a `/`.
pub fn text(name_or_path: &str) -> Result<String, LoadProfileError> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        return Ok((*text).to_owned());
    }
    if !(name_or_path.ends_with(".toml") || name_or_path.contains('/')) {
        return Err(LoadProfileError::Unknown { name: name_or_path.into() });
    }
    let path = PathBuf::from(name_or_path);
    fs::read_to_string(&path).map_err(|source| LoadProfileError::File { path, source })
}

/// Returns what is allowed as a profile, and the built-in profile that was probably meant by `name`.
pub(crate) fn allowed_for(name: &str) -> String {
    const MIN_SIMILARITY: f64 = 0.7;
    let names = BUILT_IN.map(|(name, _)| name);
    let allowed = format!("{}, or a path to a profile, such as ./mine.toml", names.join(", "));
    match names.iter().find(|known| strsim::normalized_damerau_levenshtein(name, known) >= MIN_SIMILARITY) {
        Some(meant) => format!("{allowed}; did you mean {meant}?"),
        None => allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_valid_and_goes_by_its_own_name() {
        for (name, _) in BUILT_IN {
            assert_eq!(load(name).expect(name).name(), name);
        }
    }

    #[test]
    fn the_default_profile_has_the_ten_channels_in_their_order() {
        let profile = load("centrifugal").expect("built in");
        let names: Vec<&str> = profile.channel_names().collect();
        assert_eq!(
            names,
            [
                "Motor_RPM",
                "Bearing_Temperature_C",
                "Oil_Pressure_bar",
                "Vibration_mm_s",
                "Flow_Rate_L_min",
                "Suction_Pressure_bar",
                "Discharge_Pressure_bar",
                "Motor_Current_A",
                "Casing_Temperature_C",
                "Ambient_Temperature_C"
            ]
        );
        let rules: Vec<(&str, f64)> = profile.rules().iter().map(|r| (r.name.as_str(), r.above)).collect();
        assert_eq!(rules, [("bearing-overheating", 85.0), ("excessive-vibration", 8.0)]);
    }

    #[test]
    fn alarm_limits_are_in_order_and_within_the_plausible_range() {
        for (name, _) in BUILT_IN {
            for channel in load(name).expect(name).channels() {
                let limits = &channel.limits;
                let [low, high] = channel.plausible;
                let all = [
                    Some(low),
                    limits.low_alarm,
                    limits.low_warning,
                    limits.high_warning,
                    limits.high_alarm,
                    Some(high),
                ];
                let set: Vec<f64> = all.into_iter().flatten().collect();
                assert!(set.is_sorted_by(|a, b| a < b), "{name} {}: {set:?}", channel.name);
            }
        }
    }

    #[test]
    fn a_path_loads_a_profile_from_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mine.toml");
        fs::write(&path, BUILT_IN[1].1.replace("name = \"skab\"", "name = \"mine\"")).expect("written");
        assert_eq!(load(path.to_str().expect("text")).expect("a profile").name(), "mine");
        fs::write(&path, "name = 3").expect("written");
        assert!(matches!(load(path.to_str().expect("text")), Err(LoadProfileError::Invalid { .. })));
        assert!(matches!(load("./nowhere.toml"), Err(LoadProfileError::File { .. })));
    }

    #[test]
    fn the_error_of_an_unknown_name_lists_the_built_in_profiles() {
        let error = load("centrifuge").expect_err("no such profile").to_string();
        assert!(error.contains("centrifugal, skab") && error.ends_with("did you mean centrifugal?"), "{error}");
        assert_eq!(error.matches("allowed").count(), 1, "{error}");
        let error = load("gear").expect_err("no such profile").to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }
}
