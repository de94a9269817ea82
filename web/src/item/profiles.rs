//! Determines the profile of an item of a post: that of its pump, or for a new pump the one that the post names.

use std::{cell::RefCell, collections::BTreeMap};

use volute_actors::{EngineHandle, UnfitProfile};
use volute_plant::{Profile, PumpId};

/// Looks up the profile of a pump's readings.
pub(crate) trait Profiles {
    /// Returns the profile of a pump; without a pump, of the node's default pump. `named` is the profile that the item names.
    fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile>;
}

impl Profiles for EngineHandle {
    fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        self.profile_named(pump, named)
    }
}

/// The profiles of one post. A profile that an item names applies to the later items of its pump, too.
pub(crate) struct PostProfiles<'a> {
    all: &'a dyn Profiles,
    named: RefCell<BTreeMap<Option<PumpId>, Profile>>,
}

impl<'a> PostProfiles<'a> {
    /// Creates the profiles of a post that has named none yet.
    pub(crate) fn new(all: &'a dyn Profiles) -> Self {
        Self { all, named: RefCell::default() }
    }
}

impl Profiles for PostProfiles<'_> {
    fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        if named.is_none() {
            let named = self.named.borrow();
            // Most posts name no profile, and need no lookup here.
            if let Some(profile) = named.first_key_value().and_then(|_| named.get(&pump.cloned())) {
                return Ok(profile.clone());
            }
        }
        let profile = self.all.of(pump, named)?;
        if named.is_some() {
            self.named.borrow_mut().insert(pump.cloned(), profile.clone());
        }
        Ok(profile)
    }
}

/// Looks up this profile for every pump.
#[cfg(test)]
impl Profiles for Profile {
    fn of(&self, _: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        match named {
            Some(other) if other != self.name() => {
                Err(UnfitProfile { allowed: self.name().to_owned(), why: format!("there is no profile {other}") })
            }
            _ => Ok(self.clone()),
        }
    }
}
