//! Combines refused commands and requests for the audit log, so that a flood of them gives a bounded number of entries.
//!
//! The first refusal of a kind (the same action, client and reason, and for a request the same route) gives an entry at
//! once. The refusals that follow are counted, and give one entry per [`COUNTING_PERIOD`] while there are any:
//!
//! ```text
//! 10:00:00  restart of "nobody" refused           an entry
//! 10:00:01  1,234 times the same until 10:00:59   counted
//! 10:01:00                                        an entry: "1234 more from 10:00:01 to 10:00:59"
//! 10:02:00                                        nothing was counted: the next refusal is a first one
//! ```
//!
//! At most [`MAX_KINDS`] kinds are counted separately at a time, and at most [`MAX_KINDS_PER_CLIENT`] of one action and
//! client, so that a client that uses a new name for each command leaves room for others. Refusals of further kinds are
//! counted by their action alone; how many is shown as an overflow. So every refusal is counted, and memory is bounded.
//! An orderly stop writes the counts; a kill loses counts that have no entry yet. Does not combine commands that were
//! carried out; each of them gives an entry.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use volute_data::{AuditAction, AuditEntry};
use volute_plant::Timestamp;

/// How long refusals of one kind are counted before they give an entry.
const COUNTING_PERIOD: Duration = Duration::from_secs(60);
/// The maximum number of kinds that are counted separately at a time.
const MAX_KINDS: usize = 256;
/// The maximum number of these kinds with the same action and client. A reason may contain a name that the client
/// chose.
const MAX_KINDS_PER_CLIENT: usize = 4;
/// The same for requests, whose kinds are made of the node's routes and reasons.
const MAX_REQUESTS_PER_CLIENT: usize = 32;

/// The value of a field that differs among the refusals of one entry.
const VARIOUS: &str = "various";

/// [`Refusals`] shared by several threads. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedRefusals(Arc<Mutex<Refusals>>);

impl SharedRefusals {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Refusals> {
        self.0.lock()
    }
}

/// Counts refusals by kind.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    kinds: HashMap<Kind, Tally>,
    /// Refusals of further kinds, by action.
    by_action: HashMap<String, Tally>,
    /// How many refusals were of further kinds.
    merged: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    action: String,
    client: String,
    reason: String,
    /// The route of a request; none for a command, whose object the client chooses.
    route: Option<String>,
}

#[derive(Debug)]
struct Tally {
    until: Instant,
    /// The object of the refused commands; none if their objects differed.
    object: Option<String>,
    counted: Option<Counted>,
}

/// Counted refusals that have no entry yet.
#[derive(Debug, Clone, Copy)]
struct Counted {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Refusals {
    /// Returns the entry if it has to be written now, or none if it was counted.
    pub(crate) fn record(&mut self, entry: AuditEntry, now: Instant) -> Option<AuditEntry> {
        if entry.is_done() {
            return Some(entry);
        }
        let kind = Kind::of(&entry);
        if let Some(tally) = self.kinds.get_mut(&kind) {
            tally.count(&entry);
            return None;
        }
        let same_client = self.kinds.keys().filter(|known| known.is_of(&kind.action, &kind.client)).count();
        if self.kinds.len() < MAX_KINDS && same_client < kind.max_per_client() {
            self.kinds.insert(kind, Tally::until(now + COUNTING_PERIOD, &entry));
            return Some(entry);
        }
        self.merged += 1;
        self.by_action.entry(kind.action).or_insert_with(|| Tally::until(now + COUNTING_PERIOD, &entry)).count(&entry);
        None
    }

    /// Returns how many refusals since the start were counted by their action alone.
    pub(crate) fn merged(&self) -> u64 {
        self.merged
    }

    /// Returns the entries of counting periods that have ended.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<AuditEntry> {
        let entries = self.end(|tally| tally.until <= now, Some(now + COUNTING_PERIOD));
        let is_over = |tally: &Tally| tally.until <= now && tally.counted.is_none();
        self.kinds.retain(|_, tally| !is_over(tally));
        self.by_action.retain(|_, tally| !is_over(tally));
        entries
    }

    /// Ends all counting periods and returns their entries.
    pub(crate) fn drain(&mut self) -> Vec<AuditEntry> {
        let entries = self.end(|_| true, None);
        self.kinds.clear();
        self.by_action.clear();
        entries
    }

    /// Returns the entries of the periods that have ended. Those in which something was counted begin again, until
    /// `next`.
    fn end(&mut self, ended: impl Fn(&Tally) -> bool, next: Option<Instant>) -> Vec<AuditEntry> {
        let mut entries = Vec::new();
        let mut take = |tally: &mut Tally, kind: Kind| {
            if let Some(entry) = tally.take_entry(kind) {
                tally.until = next.unwrap_or(tally.until);
                entries.push(entry);
            }
        };
        for (kind, tally) in self.kinds.iter_mut().filter(|(_, tally)| ended(tally)) {
            take(tally, kind.clone());
        }
        for (action, tally) in self.by_action.iter_mut().filter(|(_, tally)| ended(tally)) {
            let reason = "refused, for various reasons".to_owned();
            take(tally, Kind { action: action.clone(), client: VARIOUS.into(), reason, route: None });
        }
        entries.sort();
        entries
    }
}

impl Kind {
    fn of(entry: &AuditEntry) -> Self {
        // Without the port, which differs for each connection.
        let client = entry.who.parse().map_or_else(|_| entry.who.clone(), |peer: SocketAddr| peer.ip().to_string());
        let route = (entry.action == AuditAction::Request.as_str()).then(|| entry.object.clone());
        Self { action: entry.action.clone(), client, reason: entry.outcome.clone(), route }
    }

    fn is_of(&self, action: &str, client: &str) -> bool {
        self.action == action && self.client == client
    }

    fn max_per_client(&self) -> usize {
        if self.route.is_some() { MAX_REQUESTS_PER_CLIENT } else { MAX_KINDS_PER_CLIENT }
    }
}

impl Tally {
    fn until(until: Instant, entry: &AuditEntry) -> Self {
        Self { until, object: Some(entry.object.clone()), counted: None }
    }

    fn count(&mut self, entry: &AuditEntry) {
        self.object.take_if(|object| *object != entry.object);
        let counted = self.counted.get_or_insert(Counted { count: 0, first: entry.at, last: entry.at });
        counted.count += 1;
        counted.last = counted.last.max(entry.at);
    }

    fn take_entry(&mut self, Kind { action, client, reason, route: _ }: Kind) -> Option<AuditEntry> {
        let Counted { count, first, last } = self.counted.take()?;
        let object = self.object.as_deref().unwrap_or(VARIOUS);
        let detail = format!("{count} more from {first} to {last}");
        Some(AuditEntry::new(last, &client, &action, object).refused(&reason).detail(&detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, who: &str, object: &str, outcome: &str) -> AuditEntry {
        let at = Timestamp::from_millis(1_773_051_273_000 + second * 1000).expect("a time");
        AuditEntry::new(at, who, "restart", object).refused(outcome)
    }

    fn refused(second: i64, port: u16) -> AuditEntry {
        entry(second, &format!("10.0.0.1:{port}"), "nobody", "no such actor")
    }

    fn count(entry: &AuditEntry) -> u64 {
        entry.detail.split_once(' ').map_or(1, |(count, _)| count.parse().expect("a count"))
    }

    #[test]
    fn the_first_gives_an_entry_at_once_and_the_others_one_at_the_end_of_the_counting_period() {
        let (mut refusals, begun) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.record(refused(0, 1), begun), Some(refused(0, 1)));
        for second in 1..1000_u16 {
            let now = begun + COUNTING_PERIOD.mul_f64(f64::from(second) / 1000.0);
            assert_eq!(refusals.record(refused(second.into(), second), now), None, "from another port each time");
        }
        assert_eq!(refusals.due(begun + COUNTING_PERIOD - Duration::from_millis(1)), []);
        let [sum] = &refusals.due(begun + COUNTING_PERIOD)[..] else { panic!("one entry") };
        let first_to_last = "999 more from 2026-03-09T10:14:34.000Z to 2026-03-09T10:31:12.000Z";
        assert_eq!((sum.who.as_str(), sum.object.as_str(), sum.detail.as_str()), ("10.0.0.1", "nobody", first_to_last));
        assert_eq!((sum.at, sum.outcome.as_str()), (refused(999, 0).at, "no such actor"));
        assert_eq!(refusals.record(refused(1000, 1), begun + COUNTING_PERIOD), None, "it is still the same kind");
        assert_eq!(refusals.due(begun + 2 * COUNTING_PERIOD).len(), 1, "one a minute");
        assert_eq!(refusals.due(begun + 3 * COUNTING_PERIOD), [], "nothing was counted");
        assert!(
            refusals.record(refused(1001, 1), begun + 3 * COUNTING_PERIOD).is_some(),
            "and the next is a first one again"
        );
        assert_eq!(refusals.drain(), [], "nothing was counted since");
    }

    #[test]
    fn another_client_or_reason_is_another_kind_and_orders_carried_out_are_not_counted() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for first in [
            entry(0, "10.0.0.1:1", "nobody", "no such actor"),
            entry(0, "10.0.0.2:1", "nobody", "no such actor"),
            entry(0, "10.0.0.1:1", "nobody", "the node is stopping"),
            entry(0, "uid 0", "nobody", "no such actor"),
        ] {
            assert_eq!(refusals.record(first.clone(), now), Some(first));
        }
        for _ in 0..100 {
            let done = entry(1, "10.0.0.1:1", "gate", "done");
            assert_eq!(refusals.record(done.clone(), now), Some(done));
        }
        assert_eq!(refusals.record(entry(2, "10.0.0.1:9", "somebody", "no such actor"), now), None);
        let [sum] = &refusals.drain()[..] else { panic!("one entry") };
        assert_eq!((sum.object.as_str(), count(sum)), (VARIOUS, 1));
    }

    #[test]
    fn kinds_beyond_the_limit_are_counted_together() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let mut noted: Vec<AuditEntry> = Vec::new();
        for n in 0..10_000 {
            let (client, name) = (format!("10.0.{}.1:1", n % 5_000 / 20), format!("actor {}", n % 5_000));
            noted.extend(refusals.record(entry(n, &client, &name, &format!("no {name}")), now));
        }
        assert_eq!(noted.len(), MAX_KINDS);
        assert!(refusals.kinds.len() == MAX_KINDS && refusals.by_action.len() == 1, "bounded");
        noted.extend(refusals.drain());
        assert_eq!(noted.len(), 2 * MAX_KINDS + 1);
        assert_eq!(noted.iter().map(count).sum::<u64>(), 10_000);
        assert_eq!(refusals.merged(), 10_000 - 2 * MAX_KINDS as u64);
        let rest = noted.iter().find(|entry| entry.who == VARIOUS).expect("the others");
        assert_eq!((rest.object.as_str(), rest.action.as_str()), (VARIOUS, "restart"));
    }

    #[test]
    fn a_client_with_many_names_leaves_room_for_others() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for n in 0..1000 {
            let _ =
                refusals.record(entry(n, "10.0.0.1:1", &format!("a{n}"), &format!("no actor is called \"a{n}\"")), now);
        }
        let other = entry(1000, "10.0.0.2:1", "nobody", "no such actor");
        assert_eq!(refusals.record(other.clone(), now), Some(other));
        let mut another_action = entry(1000, "10.0.0.1:1", "pump-1", "no such pump");
        another_action.action = "remove pump".into();
        assert_eq!(refusals.record(another_action.clone(), now), Some(another_action));
    }

    #[test]
    fn requests_are_counted_by_route() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let request = |n: i64, route: &str| AuditEntry {
            action: AuditAction::Request.as_str().to_owned(),
            ..entry(n, &format!("10.0.0.1:{}", 1_000 + n), route, "401 not-logged-in")
        };
        for n in 0..600 {
            let written = refusals.record(request(n, &format!("GET /api/{}", n % 3)), now);
            assert_eq!(written.is_some(), n < 3, "{n}");
        }
        let entries = refusals.due(now + COUNTING_PERIOD);
        let summaries: Vec<_> = entries.iter().map(|entry| (entry.object.as_str(), count(entry))).collect();
        assert_eq!(summaries, [("GET /api/0", 199), ("GET /api/1", 199), ("GET /api/2", 199)]);
    }
}
