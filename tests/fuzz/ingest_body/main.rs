//! Any bytes as the body of a post. The first byte chooses the format.
//!
//! The parser's sources are linked into this folder, because the crate `volute-web` depends on SurrealDB. Where they name
//! `volute_actors`, they get the definitions of this file.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the sources are included without the code that uses the rest of them")]

extern crate self as volute_actors;

mod body {
    pub(crate) mod items;
}
mod invalid_value;
mod item;
mod non_finite;

use std::sync::LazyLock;

use body::items::Format;
use libfuzzer_sys::fuzz_target;
use volute_plant::{Profile, PumpId};

/// As in `actors/src/receipt.rs`.
pub const MAX_LISTED: usize = 100;
/// Fewer than the node accepts, so that the fuzzer reaches the limit.
pub const MAX_POST_ITEMS: usize = 50;

/// A profile that an item names and that does not fit.
#[derive(Debug, Clone, PartialEq)]
pub struct UnfitProfile {
    pub allowed: String,
    pub reason: String,
    pub retry_after_s: Option<u64>,
}

/// In place of the engine: two profiles, and one pump that is known.
pub struct EngineHandle {
    profiles: [Profile; 2],
    default_pump: PumpId,
}

impl EngineHandle {
    pub fn profile_named(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        let [first, second] = &self.profiles;
        match named {
            None => Ok(first.clone()),
            Some(name) if name == first.name() => Ok(first.clone()),
            Some(name) if name == second.name() && !pump.is_some_and(|pump| self.knows(pump)) => Ok(second.clone()),
            Some(name) => Err(UnfitProfile {
                allowed: first.name().to_owned(),
                reason: format!("there is no profile {name}"),
                retry_after_s: None,
            }),
        }
    }

    pub fn default_pump(&self) -> &PumpId {
        &self.default_pump
    }

    pub fn knows(&self, pump: &PumpId) -> bool {
        *pump == self.default_pump
    }
}

static ENGINE: LazyLock<EngineHandle> = LazyLock::new(|| EngineHandle {
    profiles: [
        include_str!("../../../config/profiles/centrifugal.toml"),
        include_str!("../../../config/profiles/skab.toml"),
    ]
    .map(|text| Profile::from_toml(text).expect("valid")),
    default_pump: "pump-1".parse().expect("an id"),
});

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    let format = if choice % 2 == 0 { Format::Json } else { Format::NdJson };
    let Ok((items, ignored)) = format.items(body, &*ENGINE) else { return };
    assert!(!items.is_empty() && items.len() <= MAX_POST_ITEMS);
    assert!(ignored.non_numeric.len() <= MAX_LISTED && ignored.unknown.len() <= MAX_LISTED);
    for item in &items {
        match item {
            Ok(draft) => {
                assert_eq!(draft.samples.len(), draft.profile.channels().len());
                assert!(draft.samples.iter().any(|sample| sample.value().is_some_and(f64::is_finite)));
            }
            Err(rejected) => assert!(!rejected.message.is_empty()),
        }
    }
});
