//! One value per channel, as a JSON object.

use serde::{Serialize, Serializer, ser::SerializeMap};
use volute_plant::Profile;

/// An object with the channels' wire names as keys, in the order of the profile.
#[derive(Debug)]
pub(crate) struct ByChannel<T> {
    profile: Profile,
    entries: Vec<(usize, T)>,
}

impl<T> ByChannel<T> {
    /// Creates the object. `entries` has the channels by index in the profile.
    pub(crate) fn new(profile: &Profile, entries: impl IntoIterator<Item = (usize, T)>) -> Self {
        Self { profile: profile.clone(), entries: entries.into_iter().collect() }
    }
}

impl<T: Serialize> Serialize for ByChannel<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.entries.len()))?;
        for (index, value) in &self.entries {
            object.serialize_entry(&self.profile.channels()[*index].name, value)?;
        }
        object.end()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A profile of two channels with an interval of 1 s.
    pub(crate) fn profile() -> Profile {
        let text = r#"
            name = "small"
            title = "A pump for tests"
            interval_ms = 1000
            [[channels]]
            name = "Tb"
            quantity = "bearing_temperature"
            unit = "°C"
            plausible = [-40, 200]
            resolution = 0.1
            limits = { high_warning = 80 }
            [[channels]]
            name = "Q"
            quantity = "flow"
            unit = "L/min"
            plausible = [0, 5000]
            resolution = 1
        "#;
        Profile::from_toml(text).expect("the test profile is valid")
    }

    #[test]
    fn channels_are_in_the_order_of_the_profile() {
        let all = ByChannel::new(&profile(), [(0, 1.5), (1, -0.0)]);
        assert_eq!(serde_json::to_string(&all).expect("JSON"), r#"{"Tb":1.5,"Q":-0.0}"#);
    }
}
