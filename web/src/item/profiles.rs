//! Determines the profile of an item of a post: that of its pump, or for a new pump the one that the post names.
//!
//! The first item that names a profile for a new pump decides for all of the pump's items in the post, also those before it. An
//! item that names another one is rejected. For example, of
//!
//! ```text
//! [{"pump_id": "B-3", "Tb": 50}, {"pump_id": "B-3", "profile": "bearing", "Tb": 51}, {"pump_id": "B-3", "profile": "skab", "Tb": 52}]
//! ```
//!
//! the first two are readings of a bearing, and the third is rejected. If the node does not have that profile, all three are:
//! a pump keeps the profile of its first reading.

use std::{cell::RefCell, collections::BTreeMap};

use volute_actors::{EngineHandle, UnfitProfile};
use volute_plant::{Profile, PumpId};

/// Looks up the profile of a pump's readings.
pub(crate) trait Profiles {
    /// Returns the profile of a pump; without a pump, of the node's default pump. `named` is the profile that the item names.
    fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile>;

    /// Returns the pump of items that name none.
    fn default_pump(&self) -> &PumpId;

    /// Returns whether the pump is known to the node: then it has a profile.
    fn knows(&self, pump: &PumpId) -> bool;
}

impl Profiles for EngineHandle {
    fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        self.profile_named(pump, named)
    }

    fn default_pump(&self) -> &PumpId {
        self.default_pump()
    }

    fn knows(&self, pump: &PumpId) -> bool {
        self.knows(pump)
    }
}

/// The profiles of one post.
pub(crate) struct PostProfiles<'a> {
    all: &'a dyn Profiles,
    /// The profile that the post names for each new pump.
    named: BTreeMap<PumpId, String>,
    /// The profiles looked up for these pumps.
    found: RefCell<BTreeMap<PumpId, Result<Profile, UnfitProfile>>>,
}

impl<'a> PostProfiles<'a> {
    /// Creates the profiles of a post. `named` are the profiles that its items name, in order, each with the item's pump.
    pub(crate) fn new(all: &'a dyn Profiles, named: impl Iterator<Item = (Option<PumpId>, String)>) -> Self {
        let mut first_named = BTreeMap::new();
        for (pump, profile) in named {
            let pump = pump.unwrap_or_else(|| all.default_pump().clone());
            if !all.knows(&pump) {
                first_named.entry(pump).or_insert(profile);
            }
        }
        Self { all, named: first_named, found: RefCell::default() }
    }

    /// Returns the profile that the post names for this new pump.
    fn find(&self, pump: &PumpId, named: &str) -> Result<Profile, UnfitProfile> {
        if let Some(found) = self.found.borrow().get(pump) {
            return found.clone();
        }
        let found = self.all.of(Some(pump), Some(named));
        self.found.borrow_mut().insert(pump.clone(), found.clone());
        found
    }
}

impl Profiles for PostProfiles<'_> {
    fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        // Most posts name no profile, and need no lookup here.
        if self.named.is_empty() {
            return self.all.of(pump, named);
        }
        let pump = pump.unwrap_or(self.default_pump());
        match (self.named.get(pump), named) {
            (None, _) => self.all.of(Some(pump), named),
            (Some(first), Some(named)) if first != named => {
                let reason = format!("the first item of {pump} that names a profile names {first}");
                Err(UnfitProfile { allowed: first.clone(), reason, retry_after_s: None })
            }
            (Some(first), _) => self.find(pump, first),
        }
    }

    fn default_pump(&self) -> &PumpId {
        self.all.default_pump()
    }

    fn knows(&self, pump: &PumpId) -> bool {
        self.all.knows(pump)
    }
}

/// Looks up this profile for every pump. No pump is known.
#[cfg(test)]
impl Profiles for Profile {
    fn of(&self, _: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        match named {
            Some(other) if other != self.name() => Err(UnfitProfile {
                allowed: self.name().to_owned(),
                reason: format!("there is no profile {other}"),
                retry_after_s: None,
            }),
            _ => Ok(self.clone()),
        }
    }

    fn default_pump(&self) -> &PumpId {
        static DEFAULT: std::sync::LazyLock<PumpId> = std::sync::LazyLock::new(|| "default".parse().expect("an id"));
        &DEFAULT
    }

    fn knows(&self, _: &PumpId) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::tests::profile;

    /// A node with the profile of the tests, and the pump `known`.
    struct TestNode(Profile);

    impl Profiles for TestNode {
        fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
            self.0.of(pump, named)
        }

        fn default_pump(&self) -> &PumpId {
            self.0.default_pump()
        }

        fn knows(&self, pump: &PumpId) -> bool {
            pump.as_str() == "known"
        }
    }

    /// Returns for each item, given as its pump and the profile that it names, what is allowed if it is rejected.
    fn rejected(items: &[(&str, &str)]) -> Vec<Option<String>> {
        let parse = |pump: &str| (!pump.is_empty()).then(|| pump.parse::<PumpId>().expect("an id"));
        let named = |profile: &str| (!profile.is_empty()).then(|| profile.to_owned());
        let node = TestNode(profile());
        let names = items.iter().filter_map(|(pump, profile)| Some((parse(pump), named(profile)?)));
        let profiles = PostProfiles::new(&node, names);
        let of = |(pump, profile): &(&str, &str)| profiles.of(parse(pump).as_ref(), named(profile).as_deref());
        items.iter().map(|item| of(item).err().map(|unfit| unfit.allowed)).collect()
    }

    #[test]
    fn the_first_item_that_names_a_profile_decides_for_its_pump() {
        let own = profile().name().to_owned();
        let (own, other) = (own.as_str(), Some("other".to_owned()));
        let is_own = Some(own.to_owned());
        for (items, expected) in [
            // The name comes late, and another one contradicts it.
            (&[("P", ""), ("P", own), ("P", "other"), ("P", own)][..], vec![None, None, is_own.clone(), None]),
            // The node does not have the first one, so no item is taken: the pump would keep another profile.
            (&[("P", ""), ("P", "other"), ("P", own)], vec![is_own.clone(), is_own.clone(), other]),
            // Each pump has its own; one without a name is the default pump.
            (
                &[("P", own), ("Q", ""), ("", ""), ("default", "other")],
                vec![None, None, is_own.clone(), is_own.clone()],
            ),
            // A known pump has its profile already: the items that name another are rejected, and no others.
            (&[("known", "other"), ("known", ""), ("known", own)], vec![is_own, None, None]),
        ] {
            assert_eq!(rejected(items), expected, "{items:?}");
        }
    }
}
