//! How many new pumps a client may register: some at once, and then so many a minute.
//!
//! Every place for a pump is for good, until a person removes the pump, so two posts must not take them all. An allowance
//! refills with time, as a token bucket does; with a burst of 1,000 and 60 a minute, a gateway with 1,500 pumps has 1,000
//! of them at once and the others within 9 minutes, in which it only has to go on posting. All clients together have
//! [`IN_ALL`] times as much.
//!
//! A client is an address, of IPv6 its first 64 bits, which one host can have all of. At most [`CLIENTS`] are told apart;
//! those that have their whole allowance are forgotten first, and those beyond share one. Does not know of pumps or posts.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Instant,
};

/// Clients that are told apart.
const CLIENTS: usize = 1024;
/// How many times one client's allowance all of them have together.
const IN_ALL: u32 = 4;

/// New pumps of one client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// At once.
    pub burst: u32,
    /// A minute, once these are used up.
    pub per_minute: u32,
}

/// What a client may register now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// How many pumps.
    pub pumps: usize,
    /// When there is one more, in whole seconds.
    pub next_s: u64,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Newcomers {
    rate: Rate,
    clients: HashMap<IpAddr, Bucket>,
    /// Of the clients for which there is no place.
    others: Bucket,
    all: Bucket,
}

/// Refills with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: Rate,
    tokens: f64,
    /// When it had so many.
    at: Instant,
}

impl Newcomers {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let all = Rate { burst: rate.burst.saturating_mul(IN_ALL), per_minute: rate.per_minute.saturating_mul(IN_ALL) };
        Self { rate, clients: HashMap::new(), others: Bucket::full(rate, now), all: Bucket::full(all, now) }
    }

    /// What a client may register now.
    pub(crate) fn allowance(&mut self, client: IpAddr, now: Instant) -> Allowance {
        let buckets = [*self.bucket(client, now), self.all];
        let pumps = buckets.iter().map(|bucket| bucket.whole_tokens(now)).min().unwrap_or_default();
        let short = buckets.iter().filter(|bucket| bucket.whole_tokens(now) == pumps);
        let next_s = short.map(|bucket| bucket.next_s(now)).max().unwrap_or_default();
        Allowance { pumps, next_s }
    }

    /// A client has registered so many, at most as many as it might.
    pub(crate) fn spend(&mut self, client: IpAddr, pumps: usize, now: Instant) {
        self.bucket(client, now).spend(pumps, now);
        self.all.spend(pumps, now);
    }

    fn bucket(&mut self, client: IpAddr, now: Instant) -> &mut Bucket {
        let client = host(client);
        if !self.clients.contains_key(&client) {
            if self.clients.len() >= CLIENTS {
                self.clients.retain(|_, bucket| !bucket.is_full(now));
            }
            if self.clients.len() >= CLIENTS {
                return &mut self.others;
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
        // A token that took exactly its time to come is whole.
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

/// The part of an address that stands for one host.
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
        let mut newcomers = Newcomers::new(RATE, begun);
        let one = client("10.0.0.1");
        // After so many seconds it may have so many, and takes so many.
        for (second, may, takes) in [
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
            assert_eq!(newcomers.allowance(one, now).pumps, may, "after {second} s");
            newcomers.spend(one, takes, now);
        }
    }

    /// A plant with 1,500 pumps behind one gateway, which posts for all of them every 10 s.
    #[test]
    fn a_large_plant_comes_in_by_itself() {
        let begun = Instant::now();
        let mut newcomers = Newcomers::new(RATE, begun);
        let (mut registered, mut second) = (0, 0);
        while registered < 1500 {
            let now = begun + Duration::from_secs(second);
            let pumps = newcomers.allowance(client("10.0.0.1"), now).pumps.min(1500 - registered);
            newcomers.spend(client("10.0.0.1"), pumps, now);
            registered += pumps;
            second += 10;
            assert!(second < 600, "{registered} after {second} s");
        }
        assert!(second > 400, "the rate holds: {second} s");
    }

    #[test]
    fn the_time_to_wait_is_that_of_the_next_one() {
        let begun = Instant::now();
        let mut newcomers = Newcomers::new(Rate { burst: 2, per_minute: 6 }, begun);
        let one = client("10.0.0.1");
        newcomers.spend(one, 2, begun);
        for (ms, next_s) in [(0, 10), (100, 10), (9_000, 1), (9_990, 1)] {
            let allowance = newcomers.allowance(one, begun + Duration::from_millis(ms));
            assert_eq!(allowance, Allowance { pumps: 0, next_s }, "after {ms} ms");
        }
        assert_eq!(newcomers.allowance(one, begun + Duration::from_secs(10)).pumps, 1);
    }

    #[test]
    fn clients_do_not_take_each_others_and_all_together_have_a_bound() {
        let now = Instant::now();
        let mut newcomers = Newcomers::new(RATE, now);
        for n in 1..=4 {
            let one = client(&format!("10.0.0.{n}"));
            assert_eq!(newcomers.allowance(one, now).pumps, 1000);
            newcomers.spend(one, 1000, now);
        }
        assert_eq!(newcomers.allowance(client("10.0.0.9"), now).pumps, 0, "all have four times as much");
    }

    #[test]
    fn an_address_is_that_of_a_host() {
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
    fn so_many_clients_are_told_apart_and_the_others_share() {
        let begun = Instant::now();
        let mut newcomers = Newcomers::new(Rate { burst: 2, per_minute: 60 }, begun);
        newcomers.all = Bucket::full(Rate { burst: 1_000_000, per_minute: 60 }, begun);
        let nth = |n: u32| IpAddr::from((0x0A00_0000 + n).to_be_bytes());
        for n in 0..5_000 {
            let pumps = newcomers.allowance(nth(n), begun).pumps;
            newcomers.spend(nth(n), pumps, begun);
        }
        assert_eq!(newcomers.clients.len(), CLIENTS);
        assert_eq!(newcomers.allowance(nth(6_000), begun).pumps, 0, "the others have used up theirs");
        let later = begun + Duration::from_secs(2);
        assert_eq!(newcomers.allowance(nth(6_000), later).pumps, 2, "who has all of it is forgotten");
        assert_eq!(newcomers.clients.len(), 1);
    }
}
