//! The limits with a clock that is set by hand.

use std::net::SocketAddr;

use governor::clock::FakeRelativeClock;
use volute_access::LocalRights;

use super::*;

fn settings() -> LimitSettings {
    let number = |number| NonZeroU32::new(number).expect("above 0");
    LimitSettings {
        requests_per_s_per_token: number(5),
        requests_per_s_per_user: number(4),
        requests_per_s_per_address: number(3),
        commands_per_minute: number(2),
        body_mib_per_minute: number(1),
        ..LimitSettings::default()
    }
}

fn limits() -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Limits::with_clock(&settings(), &clock), clock)
}

fn from(address: &str, rights: LocalRights) -> Principal {
    let peer: SocketAddr = format!("{address}:4711").parse().expect("an address");
    Principal::Anonymous { peer: Some(peer), rights }
}

fn remote(address: &str) -> Principal {
    from(address, LocalRights::Nothing)
}

/// Sends requests until one is refused, and returns how many were not.
fn allowed(limits: &Limits<FakeRelativeClock>, who: &Principal, is_command: bool) -> (u64, Option<LimitExceeded>) {
    for count in 0..1_000 {
        if let Err(exceeded) = limits.request(who, is_command) {
            return (count, Some(exceeded));
        }
    }
    (1_000, None)
}

#[test]
fn requests_of_an_address_are_limited_and_come_back_with_time() {
    let (limits, clock) = limits();
    let (count, exceeded) = allowed(&limits, &remote("10.0.0.1"), false);
    let exceeded = exceeded.expect("limited");
    assert_eq!((count, exceeded.key, exceeded.value), (30, "limits.requests_per_s_per_address", 3));
    assert_eq!(exceeded.retry_after_s, 1);
    assert_eq!(allowed(&limits, &remote("10.0.0.2"), false).0, 30, "another address has its own");
    clock.advance(Duration::from_secs(2));
    assert_eq!(allowed(&limits, &remote("10.0.0.1"), false).0, 6);
    assert_eq!(
        limits.unknown_request(Some("10.0.0.1".parse().expect("an address"))).expect_err("the same").key,
        exceeded.key
    );
}

#[test]
fn an_ipv6_client_is_its_network_and_a_mapped_address_is_ipv4() {
    let (limits, _) = limits();
    assert_eq!(allowed(&limits, &remote("[2001:db8::1]"), false).0, 30);
    assert_eq!(allowed(&limits, &remote("[2001:db8::ffff:2]"), false).0, 0);
    assert_eq!(allowed(&limits, &remote("[2001:db8:0:1::1]"), false).0, 30);
    assert_eq!(allowed(&limits, &remote("10.0.0.1"), false).0, 30);
    assert_eq!(allowed(&limits, &remote("[::ffff:10.0.0.1]"), false).0, 0);
}

#[test]
fn orders_have_a_limit_of_their_own() {
    let (limits, clock) = limits();
    let (count, exceeded) = allowed(&limits, &remote("10.0.0.1"), true);
    let exceeded = exceeded.expect("limited");
    assert_eq!((count, exceeded.key, exceeded.value), (2, "limits.commands_per_minute", 2));
    assert_eq!(exceeded.retry_after_s, 30);
    assert!(limits.request(&remote("10.0.0.1"), false).is_ok(), "it may still read");
    clock.advance(Duration::from_secs(30));
    assert_eq!(allowed(&limits, &remote("10.0.0.1"), true).0, 1);
}

#[test]
fn a_process_on_the_machine_is_not_limited_without_a_token() {
    let (limits, _) = limits();
    for rights in [LocalRights::Everything, LocalRights::Ingest] {
        let local = from("127.0.0.1", rights);
        assert_eq!(allowed(&limits, &local, true), (1_000, None));
        assert!(limits.body(&local, 100 << 20).is_ok());
    }
    let operator = Principal::LocalOperator { uid: 0 };
    assert_eq!(allowed(&limits, &operator, true), (1_000, None));
}

#[test]
fn bodies_are_limited_by_their_bytes() {
    let (limits, clock) = limits();
    let client = remote("10.0.0.1");
    assert!(limits.body(&client, 0).is_ok());
    assert!(limits.body(&client, 1 << 19).is_ok() && limits.body(&client, (1 << 19) - 1).is_ok());
    let exceeded = limits.body(&client, 1).expect_err("limited");
    assert_eq!((exceeded.key, exceeded.value), ("limits.body_mib_per_minute", 1));
    assert!(limits.body(&client, 2 << 20).is_err(), "more than the limit allows at once");
    clock.advance(Duration::from_secs(30));
    assert!(limits.body(&client, 1 << 19).is_ok());
}

#[test]
fn the_number_of_clients_is_bounded_and_idle_ones_are_forgotten() {
    let (limits, clock) = limits();
    let flood = |first: u32, count: u32| {
        (first..first + count)
            .filter(|n| limits.unknown_request(Some(std::net::Ipv4Addr::from_bits(*n).into())).is_ok())
            .count()
    };
    flood(0, 100_000);
    let state = &limits.requests_of_addresses;
    assert!(state.clients.len() <= MAX_CLIENTS + CHECKS_PER_CLEANING as usize, "{}", state.clients.len());
    assert!(limits.shared() > 0);
    assert!(flood(200_000, 10_000) < 10_000, "all share one limit, and it is used up");
    clock.advance(Duration::from_secs(60));
    flood(300_000, CHECKS_PER_CLEANING);
    assert!(state.clients.len() <= CHECKS_PER_CLEANING as usize, "{}", state.clients.len());
    let before = limits.shared();
    assert_eq!(flood(400_000, 100), 100);
    assert_eq!(limits.shared(), before, "each has its own again");
}
