//! By which profile an item of a post is read: its pump's, or for a pump that is new the one that the post names.

use std::{cell::RefCell, collections::BTreeMap};

use volute_actors::{EngineHandle, UnfitProfile};
use volute_plant::{Profile, PumpId};

/// Which profile the readings of a pump are of.
pub(crate) trait Profiles {
    /// Returns the profile of a pump; none: of the node's default pump. `named` is what an item says its pump's profile is.
    fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile>;
}

impl Profiles for EngineHandle {
    fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        self.profile_named(pump, named)
    }
}

/// The profiles of the pumps of one post: what an item names its pump's profile holds for the items of that pump that follow.
pub(crate) struct PostProfiles<'a> {
    all: &'a dyn Profiles,
    named: RefCell<BTreeMap<Option<PumpId>, Profile>>,
}

impl<'a> PostProfiles<'a> {
    /// Those of a post that has named none yet.
    pub(crate) fn new(all: &'a dyn Profiles) -> Self {
        Self { all, named: RefCell::default() }
    }
}

impl Profiles for PostProfiles<'_> {
    fn of(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        if named.is_none() {
            let before = self.named.borrow();
            // Most posts name none, and cost no look-up.
            if let Some(profile) = before.first_key_value().and_then(|_| before.get(&pump.cloned())) {
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

/// The only one there is.
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
