//! The catalog of the node's kinds of pumps, by profile name.
//!
//! A pump is registered with the name of its profile. A pump registered without a profile name is of the default kind.
//! Kinds can be added and removed while the node runs; see `kind_changes`. A kind is never removed while a pump is of
//! that kind.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;
use volute_data::Store;
use volute_plant::PumpId;

use crate::kind::PumpKind;

/// The catalog. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalog(Arc<Inner>);

struct Inner {
    /// The default kind, as it was at the start.
    default: PumpKind,
    kinds: RwLock<BTreeMap<String, PumpKind>>,
    store: Store,
}

impl Catalog {
    /// Returns a catalog with the default kind and the others.
    pub(crate) fn new(default: PumpKind, others: Vec<PumpKind>, store: Store) -> Self {
        let named = |kind: PumpKind| (kind.profile.name().to_owned(), kind);
        let kinds = others.into_iter().chain([default.clone()]).map(named).collect();
        Self(Arc::new(Inner { default, kinds: RwLock::new(kinds), store }))
    }

    /// Returns the default kind, as it was at the start. Its profile does not change while the node runs.
    pub(crate) fn default_kind(&self) -> &PumpKind {
        &self.0.default
    }

    /// Returns the kind with this profile name.
    pub(crate) fn get(&self, name: &str) -> Option<PumpKind> {
        self.0.kinds.read().get(name).cloned()
    }

    /// Returns the kind of a registered pump.
    pub(crate) fn of_registered(&self, pump: &PumpId) -> Option<PumpKind> {
        self.0.store.profile_of(pump).and_then(|name| self.get(&name))
    }

    /// Returns the kind of a registered pump, or the default kind for any other pump.
    pub(crate) fn of(&self, pump: &PumpId) -> PumpKind {
        self.of_registered(pump).unwrap_or_else(|| self.0.default.clone())
    }

    /// Returns all kinds, ordered by name.
    pub(crate) fn all(&self) -> Vec<PumpKind> {
        self.0.kinds.read().values().cloned().collect()
    }

    /// Returns the kinds whose profiles cannot be read: their names, and why.
    pub(crate) fn damaged(&self) -> Vec<(String, Arc<str>)> {
        let kinds = self.0.kinds.read();
        kinds.iter().filter_map(|(name, kind)| Some((name.clone(), kind.damage.clone()?))).collect()
    }

    /// Returns the names of all kinds.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.kinds.read().keys().cloned().collect()
    }

    /// Adds a kind, or replaces the one with the same name.
    pub(crate) fn put(&self, kind: PumpKind) {
        self.0.kinds.write().insert(kind.profile.name().to_owned(), kind);
    }

    /// Removes a kind, and returns it. No pump may be of the kind. Only the ingress calls this, because it also
    /// registers pumps and can therefore check that.
    pub(crate) fn remove(&self, name: &str) -> Option<PumpKind> {
        self.0.kinds.write().remove(name)
    }
}
