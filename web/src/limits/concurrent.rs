//! How many of something a client has at once, such as connections and live streams.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;

/// Counts per client, up to a limit. Cheap to clone. A client without any is not remembered.
#[derive(Debug)]
pub(crate) struct Concurrent<K = String> {
    limit: usize,
    counts: Arc<Mutex<HashMap<K, usize>>>,
}

/// One of a client's; it is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + Hash = String> {
    client: K,
    counts: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Eq + Hash + Clone> Concurrent<K> {
    /// Creates the counts, with this limit of each client.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, counts: Arc::default() }
    }

    /// Returns the limit.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes one; none if the client has as many as it may.
    pub(crate) fn take(&self, client: K) -> Option<Place<K>> {
        let mut counts = self.counts.lock();
        let count = counts.entry(client.clone()).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Place { client, counts: self.counts.clone() })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_limit_and_is_forgotten_without_any() {
        let streams = Concurrent::new(2);
        let places: Vec<_> = ["a", "a", "b"].map(|client| streams.take(client).expect("a place")).into();
        assert!(streams.take("a").is_none() && streams.take("b").is_some());
        drop(places);
        assert!(streams.counts.lock().is_empty());
        assert!(streams.take("a").is_some());
    }
}
