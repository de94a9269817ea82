//! The kinds of pumps that this node watches, by the names of their profiles.
//!
//! A pump is registered with the name of its profile, and keeps it. One that names none is of the default kind. Kinds are
//! added while the node runs; none is ever taken away, since pumps may be of it.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;
use volute_data::Store;
use volute_plant::PumpId;

use crate::kind::PumpKind;

/// See the module's head. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalog(Arc<Inner>);

struct Inner {
    /// The default one as it was at the start.
    default: PumpKind,
    kinds: RwLock<BTreeMap<String, PumpKind>>,
    store: Store,
}

impl Catalog {
    /// With the default kind, and others.
    pub(crate) fn new(default: PumpKind, others: Vec<PumpKind>, store: Store) -> Self {
        let named = |kind: PumpKind| (kind.profile.name().to_owned(), kind);
        let kinds = others.into_iter().chain([default.clone()]).map(named).collect();
        Self(Arc::new(Inner { default, kinds: RwLock::new(kinds), store }))
    }

    /// Returns the kind of pumps that name none, as it was at the start: its profile does not change.
    pub(crate) fn default_kind(&self) -> &PumpKind {
        &self.0.default
    }

    /// Returns the kind with this name.
    pub(crate) fn get(&self, name: &str) -> Option<PumpKind> {
        self.0.kinds.read().get(name).cloned()
    }

    /// Returns the kind of a registered pump; of any other the default.
    pub(crate) fn of(&self, pump: &PumpId) -> PumpKind {
        let profile = self.0.store.profile_of(pump);
        profile.and_then(|name| self.get(&name)).unwrap_or_else(|| self.0.default.clone())
    }

    /// Returns all kinds, by name.
    pub(crate) fn all(&self) -> Vec<PumpKind> {
        self.0.kinds.read().values().cloned().collect()
    }

    /// Returns the names of all kinds.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.kinds.read().keys().cloned().collect()
    }

    /// Adds a kind, or replaces the one with its name.
    pub(crate) fn put(&self, kind: PumpKind) {
        self.0.kinds.write().insert(kind.profile.name().to_owned(), kind);
    }
}
