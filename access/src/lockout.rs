//! Failed logins: after some, further attempts must wait, before a password is hashed.
//!
//! Attempts are counted by name and address together, by address, and by name. Each count has a number of free
//! failures; after those each failure doubles the wait, from 30 s up to 15 min:
//!
//! ```text
//! failures of ada from 10.0.0.7:  1 2 3 4 5  6     7     8      ...
//! wait after it:                  - - - - -  30 s  60 s  120 s  ... 15 min
//! ```
//!
//! An attempt counts as failed when it begins, so sending many attempts at once does not avoid the wait; a success
//! takes back the counts of its name and address. A count ends one hour after its last failure. An attacker can lock a
//! user out from the attacker's own address, and from everywhere only with [`FREE_BY_NAME`] failures. At most
//! [`MAX_COUNTS`] counts are held; beyond that the oldest are dropped.

use std::{collections::HashMap, net::IpAddr};

use crate::name::Name;

/// Free failures of one name from one address.
const FREE_BY_PAIR: u32 = 5;
/// Free failures from one address.
const FREE_BY_ADDRESS: u32 = 20;
/// Free failures of one name from all addresses.
const FREE_BY_NAME: u32 = 100;
/// The wait after the first failure that is not free.
const FIRST_WAIT_MS: i64 = 30_000;
/// The longest wait.
const MAX_WAIT_MS: i64 = 15 * 60_000;
/// How long after its last failure a count ends.
const COUNT_LASTS_MS: i64 = 60 * 60_000;
/// The most counts.
const MAX_COUNTS: usize = 10_000;

/// Further attempts must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many failed logins; try again in {retry_after_s} s")]
pub struct LockedOut {
    /// For how many seconds.
    pub retry_after_s: u64,
}

/// Counts failed logins.
#[derive(Debug, Default)]
pub struct Lockout {
    counts: HashMap<Key, Count>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(Name, Option<IpAddr>),
    Address(Option<IpAddr>),
    Name(Name),
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    last_ms: i64,
}

impl Lockout {
    /// Counts an attempt that begins, as failed, or refuses it because it must wait.
    pub fn begin(&mut self, name: &Name, address: Option<IpAddr>, now_ms: i64) -> Result<(), LockedOut> {
        self.counts.retain(|_, count| now_ms < count.last_ms + COUNT_LASTS_MS);
        let keys = keys(name, address);
        let wait_ms = keys.iter().map(|key| self.wait_ms(key, now_ms)).max().unwrap_or(0);
        if wait_ms > 0 {
            return Err(LockedOut { retry_after_s: u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000) });
        }
        if self.counts.len() + keys.len() > MAX_COUNTS {
            self.drop_oldest();
        }
        for key in keys {
            let count = self.counts.entry(key).or_insert(Count { failures: 0, last_ms: now_ms });
            *count = Count { failures: count.failures.saturating_add(1), last_ms: now_ms };
        }
        Ok(())
    }

    /// Takes back the counts of an attempt that succeeded.
    pub fn succeeded(&mut self, name: &Name, address: Option<IpAddr>) {
        self.counts.remove(&Key::Pair(name.clone(), address));
        for key in [Key::Address(address), Key::Name(name.clone())] {
            if let Some(count) = self.counts.get_mut(&key) {
                count.failures = count.failures.saturating_sub(1);
            }
        }
    }

    fn wait_ms(&self, key: &Key, now_ms: i64) -> i64 {
        let Some(Count { failures, last_ms }) = self.counts.get(key) else { return 0 };
        let Some(beyond) = failures.checked_sub(key.free() + 1) else { return 0 };
        let wait_ms = (FIRST_WAIT_MS << beyond.min(10)).min(MAX_WAIT_MS);
        (last_ms + wait_ms - now_ms).max(0)
    }

    /// Drops the older half of the counts.
    fn drop_oldest(&mut self) {
        let mut times: Vec<i64> = self.counts.values().map(|count| count.last_ms).collect();
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or(0);
        self.counts.retain(|_, count| count.last_ms > median);
    }
}

impl Key {
    fn free(&self) -> u32 {
        match self {
            Self::Pair(..) => FREE_BY_PAIR,
            Self::Address(_) => FREE_BY_ADDRESS,
            Self::Name(_) => FREE_BY_NAME,
        }
    }
}

fn keys(name: &Name, address: Option<IpAddr>) -> [Key; 3] {
    [Key::Pair(name.clone(), address), Key::Address(address), Key::Name(name.clone())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn the_wait_doubles_up_to_a_quarter_of_an_hour_and_ends() {
        let (mut lockout, ada, mut now) = (Lockout::default(), name("ada"), 0);
        for _ in 0..6 {
            lockout.begin(&ada, address(7), now).expect("free");
        }
        for wait_s in [30, 60, 120, 240, 480, 900, 900] {
            assert_eq!(lockout.begin(&ada, address(7), now), Err(LockedOut { retry_after_s: wait_s }));
            let almost = lockout.begin(&ada, address(7), now + i64::try_from(wait_s).expect("small") * 1000 - 1);
            assert_eq!(almost, Err(LockedOut { retry_after_s: 1 }));
            now += i64::try_from(wait_s).expect("small") * 1000;
            lockout.begin(&ada, address(7), now).expect("one attempt after the wait");
        }
        lockout.begin(&name("eve"), address(7), now).expect("another user from there");
        lockout.begin(&ada, address(8), now).expect("the user from elsewhere");
        now += COUNT_LASTS_MS;
        for _ in 0..6 {
            lockout.begin(&ada, address(7), now).expect("the count has ended");
        }
    }

    #[test]
    fn a_success_takes_back_the_counts() {
        let (mut lockout, ada) = (Lockout::default(), name("ada"));
        for _ in 0..1000 {
            lockout.begin(&ada, address(7), 0).expect("never locked");
            lockout.succeeded(&ada, address(7));
        }
        assert!(lockout.counts.values().all(|count| count.failures == 0), "{lockout:?}");
    }

    #[test]
    fn an_address_with_many_names_and_a_name_from_many_addresses_must_wait() {
        let mut lockout = Lockout::default();
        let from_one = (0..100).find(|n| lockout.begin(&name(&format!("user{n}")), address(7), 0).is_err());
        assert_eq!(from_one, Some(FREE_BY_ADDRESS + 1));
        let of_one = (0..200_u8).find(|n| lockout.begin(&name("ada"), Some(IpAddr::from([10, 1, 0, *n])), 0).is_err());
        assert_eq!(of_one.map(u32::from), Some(FREE_BY_NAME + 1));
    }

    #[test]
    fn the_counts_are_bounded() {
        let mut lockout = Lockout::default();
        for n in 0..20_000_u32 {
            let [_, a, b, c] = n.to_be_bytes();
            let _ = lockout.begin(&name(&format!("u{n}")), Some(IpAddr::from([a + 1, 0, b, c])), i64::from(n));
            assert!(lockout.counts.len() <= MAX_COUNTS);
        }
    }
}
