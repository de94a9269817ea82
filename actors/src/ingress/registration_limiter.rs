//! Limits how many new pumps a client may register: a burst, and then a number per minute.
//!
//! A registered pump stays until an operator removes it, so a few posts must not use up `ingest.max_pumps`. Each client
//! has a token bucket. An example with a burst of 1,000 and 60 per minute: a gateway with 1,500 pumps registers 1,000
//! of them at once and the others within 9 minutes; it only has to continue posting. All clients together have
//! [`ALL_CLIENTS_FACTOR`] times the limit of one.
//!
//! A client is an IP address. Of an IPv6 address only the first 64 bits count, because one host can use all addresses
//! with the same first 64 bits. At most [`MAX_CLIENTS`] clients have a bucket of their own. Clients with a full bucket
//! are forgotten first; those beyond the limit share one bucket. Does not know about pumps or posts.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Instant,
};

/// The maximum number of clients with a bucket of their own.
const MAX_CLIENTS: usize = 1024;
/// The limit of all clients together, as a multiple of one client's.
const ALL_CLIENTS_FACTOR: u32 = 4;

/// The limit of new pumps of one client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// New pumps at once.
    pub burst: u32,
    /// New pumps per minute after the burst.
    pub per_minute: u32,
}

/// How many pumps a client may register now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// The number of pumps.
    pub pumps: usize,
    /// Seconds until one more is allowed, rounded up.
    pub next_s: u64,
}

/// Limits the registrations of all clients.
#[derive(Debug)]
pub(crate) struct RegistrationLimiter {
    rate: Rate,
    clients: HashMap<IpAddr, Bucket>,
    /// Shared by the clients without a bucket of their own.
    shared: Bucket,
    all: Bucket,
}

/// A token bucket.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: Rate,
    tokens: f64,
    /// When it had this number of tokens.
    at: Instant,
}

impl RegistrationLimiter {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let all = Rate {
            burst: rate.burst.saturating_mul(ALL_CLIENTS_FACTOR),
            per_minute: rate.per_minute.saturating_mul(ALL_CLIENTS_FACTOR),
        };
        Self { rate, clients: HashMap::new(), shared: Bucket::full(rate, now), all: Bucket::full(all, now) }
    }

    /// Returns how many pumps a client may register now.
    pub(crate) fn allowance(&mut self, client: IpAddr, now: Instant) -> Allowance {
        let buckets = [*self.bucket(client, now), self.all];
        let pumps = buckets.iter().map(|bucket| bucket.whole_tokens(now)).min().unwrap_or_default();
        let limiting = buckets.iter().filter(|bucket| bucket.whole_tokens(now) == pumps);
        let next_s = limiting.map(|bucket| bucket.next_s(now)).max().unwrap_or_default();
        Allowance { pumps, next_s }
    }

    /// Takes tokens for pumps that a client has registered, at most its allowance.
    pub(crate) fn spend(&mut self, client: IpAddr, pumps: usize, now: Instant) {
        self.bucket(client, now).spend(pumps, now);
        self.all.spend(pumps, now);
    }

    fn bucket(&mut self, client: IpAddr, now: Instant) -> &mut Bucket {
        let client = host(client);
        if !self.clients.contains_key(&client) {
            if self.clients.len() >= MAX_CLIENTS {
                self.clients.retain(|_, bucket| !bucket.is_full(now));
            }
            if self.clients.len() >= MAX_CLIENTS {
                return &mut self.shared;
            }
        }
        self.clients.entry(client).or_insert_with(|| Bucket::full(self.rate, now))
    }
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: rate.burst.into(), at: now }
    }

    fn tokens(&self, now: Instant) -> f64 {
        let refilled = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second();
        (self.tokens + refilled).min(self.rate.burst.into())
    }

    fn per_second(&self) -> f64 {
        f64::from(self.rate.per_minute) / 60.0
    }

    fn is_full(&self, now: Instant) -> bool {
        self.tokens(now) >= self.rate.burst.into()
    }

    fn whole_tokens(&self, now: Instant) -> usize {
        // Rounding must not delay a token that is due.
        (self.tokens(now) + 1e-6) as usize
    }

    fn next_s(&self, now: Instant) -> u64 {
        let missing = 1.0 - self.tokens(now).fract();
        ((missing / self.per_second() - 1e-6).ceil() as u64).max(1)
    }

    fn spend(&mut self, pumps: usize, now: Instant) {
        let tokens = (self.tokens(now) - pumps as f64).max(0.0);
        (self.tokens, self.at) = (tokens, now);
    }
}

/// Returns the part of an address that identifies one host.
fn host(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate { burst: 1000, per_minute: 60 };

    fn client(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_has_its_burst_and_then_its_rate() {
        let begun = Instant::now();
        let mut limiter = RegistrationLimiter::new(RATE, begun);
        let one = client("10.0.0.1");
        // Each row holds the second, how many pumps the client may register then, and how many it does register.
        for (second, allowed, registered) in [
            (0, 1000, 1000),
            (0, 0, 0),
            (1, 1, 1),
            (1, 0, 0),
            (61, 60, 10),
            (61, 50, 50),
            (61, 0, 0),
            (90_000, 1000, 3),
        ] {
            let now = begun + Duration::from_secs(second);
            assert_eq!(limiter.allowance(one, now).pumps, allowed, "after {second} s");
            limiter.spend(one, registered, now);
        }
    }

    /// A plant with 1,500 pumps behind one gateway, which posts for all of them every 10 s.
    #[test]
    fn a_large_plant_is_registered_by_continued_posts() {
        let begun = Instant::now();
        let mut limiter = RegistrationLimiter::new(RATE, begun);
        let (mut registered, mut second) = (0, 0);
        while registered < 1500 {
            let now = begun + Duration::from_secs(second);
            let pumps = limiter.allowance(client("10.0.0.1"), now).pumps.min(1500 - registered);
            limiter.spend(client("10.0.0.1"), pumps, now);
            registered += pumps;
            second += 10;
            assert!(second < 600, "{registered} after {second} s");
        }
        assert!(second > 400, "the rate holds: {second} s");
    }

    #[test]
    fn the_time_to_wait_is_until_the_next_token() {
        let begun = Instant::now();
        let mut limiter = RegistrationLimiter::new(Rate { burst: 2, per_minute: 6 }, begun);
        let one = client("10.0.0.1");
        limiter.spend(one, 2, begun);
        for (ms, next_s) in [(0, 10), (100, 10), (9_000, 1), (9_990, 1)] {
            let allowance = limiter.allowance(one, begun + Duration::from_millis(ms));
            assert_eq!(allowance, Allowance { pumps: 0, next_s }, "after {ms} ms");
        }
        assert_eq!(limiter.allowance(one, begun + Duration::from_secs(10)).pumps, 1);
    }

    #[test]
    fn clients_have_separate_limits_and_one_together() {
        let now = Instant::now();
        let mut limiter = RegistrationLimiter::new(RATE, now);
        for n in 1..=4 {
            let one = client(&format!("10.0.0.{n}"));
            assert_eq!(limiter.allowance(one, now).pumps, 1000);
            limiter.spend(one, 1000, now);
        }
        assert_eq!(limiter.allowance(client("10.0.0.9"), now).pumps, 0, "all have four times as much");
    }

    #[test]
    fn addresses_of_one_host_are_one_client() {
        for (a, b, same) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
        ] {
            assert_eq!(host(client(a)) == host(client(b)), same, "{a} {b}");
        }
    }

    #[test]
    fn clients_beyond_the_limit_share_one_bucket() {
        let begun = Instant::now();
        let mut limiter = RegistrationLimiter::new(Rate { burst: 2, per_minute: 60 }, begun);
        limiter.all = Bucket::full(Rate { burst: 1_000_000, per_minute: 60 }, begun);
        let nth = |n: u32| IpAddr::from((0x0A00_0000 + n).to_be_bytes());
        for n in 0..5_000 {
            let pumps = limiter.allowance(nth(n), begun).pumps;
            limiter.spend(nth(n), pumps, begun);
        }
        assert_eq!(limiter.clients.len(), MAX_CLIENTS);
        assert_eq!(limiter.allowance(nth(6_000), begun).pumps, 0, "the shared bucket is empty");
        let later = begun + Duration::from_secs(2);
        assert_eq!(limiter.allowance(nth(6_000), later).pumps, 2, "clients with a full bucket are forgotten");
        assert_eq!(limiter.clients.len(), 1);
    }
}
