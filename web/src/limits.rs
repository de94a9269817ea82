//! Limits of what one client may do: requests, commands and bytes per time, and connections and live streams at once.
//!
//! A request is counted for its token, or else its user, or else its address; an IPv6 client has the address of its
//! /64 network. A request without credentials from a process on the node's machine is not limited, so that a gateway
//! there never waits; only its connections are. `limits.*` in the configuration has the numbers.
//!
//! | Limit | Counted for | Where |
//! | --- | --- | --- |
//! | requests per second | token, user, address | `access/gate.rs`, also for requests without valid credentials |
//! | commands per minute | user, address | `access/gate.rs` |
//! | bytes of bodies per minute | token, user, address | `node.rs` |
//! | connections at once | address | `connection.rs`: the first request of a further one gets the 429 |
//! | live streams at once | user, address | `routes/stream.rs` |
//! | restarts of an actor | actor | `restart_pacer.rs` |
//!
//! Failed logins have a lock-out of their own (`volute-access`), and so have new pumps (the engine).
//!
//! An example, with `limits.commands_per_minute = 60`: a user sends 60 commands at once, which are carried out. The next one gets
//! a 429 with `Retry-After: 1`, because one command a second becomes free.
//!
//! Memory: each limit remembers at most [`MAX_CLIENTS`] clients that were active within the last minutes. If there are
//! more, all clients share one limit, [`SHARED_FACTOR`] times as large, until some are idle; that is counted
//! ([`Limits::shared`]).

mod concurrent;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};
use volute_access::{LocalRights, Principal};

pub(crate) use concurrent::{Concurrent, Place};

/// The maximum number of clients that a limit remembers.
const MAX_CLIENTS: usize = 20_000;
/// How much larger the limit is that all clients share if there are more.
const SHARED_FACTOR: u32 = 100;
/// Idle clients are forgotten once per this number of checks.
const CHECKS_PER_CLEANING: u32 = 4_096;
/// How many seconds' worth of requests a client may send at once.
const BURST_S: u32 = 10;

/// The numbers of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Requests per second of one token.
    pub requests_per_s_per_token: NonZeroU32,
    /// Requests per second of one user.
    pub requests_per_s_per_user: NonZeroU32,
    /// Requests per second of one address.
    pub requests_per_s_per_address: NonZeroU32,
    /// Commands per minute of one user or address.
    pub commands_per_minute: NonZeroU32,
    /// MiB of bodies per minute of one token, user or address.
    pub body_mib_per_minute: NonZeroU32,
    /// Connections of one address at once.
    pub connections_per_address: usize,
    /// Live streams of one user or address at once.
    pub streams_per_client: usize,
    /// The time between two restarts of an actor.
    pub restart_pause: Duration,
}

impl Default for LimitSettings {
    /// As in the configuration's defaults.
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            requests_per_s_per_token: number(20_000),
            requests_per_s_per_user: number(200),
            requests_per_s_per_address: number(20_000),
            commands_per_minute: number(600),
            body_mib_per_minute: number(6_000),
            connections_per_address: 5_000,
            streams_per_client: 100,
            restart_pause: Duration::from_secs(5),
        }
    }
}

/// A limit that a request exceeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitExceeded {
    /// Its key in the configuration.
    pub(crate) key: &'static str,
    /// Its value there.
    pub(crate) value: u64,
    /// What is limited.
    pub(crate) what: &'static str,
    /// When a further one is allowed, in seconds.
    pub(crate) retry_after_s: u64,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, what, retry_after_s } = self;
        write!(f, "more than {value} {what} ({key}); try again in {retry_after_s} s")
    }
}

/// The limits of a node, and the state of its clients.
pub(crate) struct Limits<C: Clock = DefaultClock> {
    requests_of_tokens: Limit<C>,
    requests_of_users: Limit<C>,
    requests_of_addresses: Limit<C>,
    commands: Limit<C>,
    body_kib: Limit<C>,
    /// Live streams at once.
    pub(crate) streams: Concurrent,
    /// Makes keys of clients. Its seed is random, so that nobody can choose keys that collide.
    hasher: RandomState,
}

impl Limits {
    /// Creates the limits of a node that starts.
    pub(crate) fn new(settings: &LimitSettings) -> Self {
        Self::with_clock(settings, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(settings: &LimitSettings, clock: &C) -> Self {
        let per_s = |key, what, number: NonZeroU32| {
            let burst = number.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_S - 1));
            Limit::new(key, what, number, Quota::per_second(number).allow_burst(burst), clock)
        };
        let mib = settings.body_mib_per_minute;
        let kib = mib.saturating_mul(NonZeroU32::MIN.saturating_add(1_023));
        Self {
            requests_of_tokens: per_s(
                "limits.requests_per_s_per_token",
                "requests per second with one token",
                settings.requests_per_s_per_token,
            ),
            requests_of_users: per_s(
                "limits.requests_per_s_per_user",
                "requests per second of one user",
                settings.requests_per_s_per_user,
            ),
            requests_of_addresses: per_s(
                "limits.requests_per_s_per_address",
                "requests per second from one address",
                settings.requests_per_s_per_address,
            ),
            commands: Limit::new(
                "limits.commands_per_minute",
                "commands per minute",
                settings.commands_per_minute,
                Quota::per_minute(settings.commands_per_minute),
                clock,
            ),
            body_kib: Limit::new(
                "limits.body_mib_per_minute",
                "MiB of bodies per minute",
                mib,
                Quota::per_minute(kib),
                clock,
            ),
            streams: Concurrent::new(settings.streams_per_client),
            hasher: RandomState::new(),
        }
    }

    /// Counts a request.
    pub(crate) fn request(&self, principal: &Principal, is_command: bool) -> Result<(), LimitExceeded> {
        let Some(client) = client(principal) else { return Ok(()) };
        let key = self.hasher.hash_one(client);
        match &client {
            Client::Token(_) => self.requests_of_tokens.check(key, NonZeroU32::MIN)?,
            Client::User(_) => self.requests_of_users.check(key, NonZeroU32::MIN)?,
            Client::Address(_) => self.requests_of_addresses.check(key, NonZeroU32::MIN)?,
        }
        // A token gives no commands: its requests are posts of readings.
        match client {
            Client::User(_) | Client::Address(_) if is_command => self.commands.check(key, NonZeroU32::MIN),
            _ => Ok(()),
        }
    }

    /// Counts a request whose credentials are not valid.
    pub(crate) fn unknown_request(&self, address: Option<IpAddr>) -> Result<(), LimitExceeded> {
        let Some(address) = address else { return Ok(()) };
        let key = self.hasher.hash_one(Client::Address(network(address)));
        self.requests_of_addresses.check(key, NonZeroU32::MIN)
    }

    /// Counts the bytes of a body.
    pub(crate) fn body(&self, principal: &Principal, bytes: usize) -> Result<(), LimitExceeded> {
        let kib = u32::try_from(bytes.div_ceil(1_024)).unwrap_or(u32::MAX);
        let (Some(client), Some(kib)) = (client(principal), NonZeroU32::new(kib)) else { return Ok(()) };
        self.body_kib.check(self.hasher.hash_one(client), kib)
    }

    /// Returns how often the client was unknown and the limit that all share was applied.
    pub(crate) fn shared(&self) -> u64 {
        let limits = [
            &self.requests_of_tokens,
            &self.requests_of_users,
            &self.requests_of_addresses,
            &self.commands,
            &self.body_kib,
        ];
        limits.into_iter().map(|limit| limit.shared_checks.load(Relaxed)).sum()
    }
}

/// Whom a request is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client<'a> {
    Token(&'a str),
    User(&'a str),
    Address(IpAddr),
}

/// Returns whom a request is counted for; none if it is not limited.
fn client(principal: &Principal) -> Option<Client<'_>> {
    match principal {
        Principal::PumpToken { id, .. } => Some(Client::Token(id.as_str())),
        Principal::User { name, .. } => Some(Client::User(name.as_str())),
        // Clients whose address is not known, behind a proxy that does not say it, count as one.
        Principal::Anonymous { peer, rights } if *rights == LocalRights::Nothing => {
            Some(Client::Address(peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| network(peer.ip()))))
        }
        Principal::Anonymous { .. } | Principal::LocalOperator { .. } => None,
    }
}

/// Returns a text that identifies the client of a live stream; none if it is not limited.
pub(crate) fn stream_client(principal: &Principal) -> Option<String> {
    client(principal).map(|client| match client {
        Client::Token(id) => format!("token {id}"),
        Client::User(name) => format!("user {name}"),
        Client::Address(address) => address.to_string(),
    })
}

/// Returns the address, or the /64 network of an IPv6 address: one client has a whole network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

type Keyed<C> = RateLimiter<u64, HashMapStateStore<u64>, C, NoOpMiddleware<<C as Clock>::Instant>>;
type Direct<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A rate per client.
struct Limit<C: Clock> {
    key: &'static str,
    what: &'static str,
    value: NonZeroU32,
    clients: Keyed<C>,
    /// The limit of all clients while there are too many.
    all: Direct<C>,
    clock: C,
    checks: AtomicU32,
    too_many: AtomicBool,
    shared_checks: AtomicU64,
}

impl<C: Clock + Clone> Limit<C> {
    fn new(key: &'static str, what: &'static str, value: NonZeroU32, quota: Quota, clock: &C) -> Self {
        let factor = NonZeroU32::MIN.saturating_add(SHARED_FACTOR - 1);
        let per_client = quota.replenish_interval().max(Duration::from_nanos(u64::from(SHARED_FACTOR)));
        let shared = Quota::with_period(per_client / SHARED_FACTOR).unwrap_or(quota);
        let shared = shared.allow_burst(quota.burst_size().saturating_mul(factor));
        Self {
            key,
            what,
            value,
            clients: RateLimiter::hashmap_with_clock(quota, clock.clone()),
            all: RateLimiter::direct_with_clock(shared, clock.clone()),
            clock: clock.clone(),
            checks: AtomicU32::new(0),
            too_many: AtomicBool::new(false),
            shared_checks: AtomicU64::new(0),
        }
    }

    fn check(&self, client: u64, count: NonZeroU32) -> Result<(), LimitExceeded> {
        if self.checks.fetch_add(1, Relaxed) % CHECKS_PER_CLEANING == CHECKS_PER_CLEANING - 1 {
            self.forget_idle();
        }
        let outcome = if self.too_many.load(Relaxed) {
            self.shared_checks.fetch_add(1, Relaxed);
            self.all.check_n(count)
        } else {
            self.clients.check_key_n(&client, count)
        };
        let wait = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(not_until)) => not_until.wait_time_from(self.clock.now()),
            // More than the limit allows at once; it never passes.
            Err(_) => Duration::from_secs(60),
        };
        let retry_after_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let value = self.value.get().into();
        Err(LimitExceeded { key: self.key, value, what: self.what, retry_after_s: retry_after_s.max(1) })
    }

    /// Forgets the clients that have their whole limit again.
    fn forget_idle(&self) {
        self.clients.retain_recent();
        self.clients.shrink_to_fit();
        self.too_many.store(self.clients.len() > MAX_CLIENTS, Relaxed);
    }
}

#[cfg(test)]
mod tests;
