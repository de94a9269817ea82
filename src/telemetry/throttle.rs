//! Keeps those who send bad requests from filling the log.
//!
//! Of the targets in [`TARGETS`], every kind of line (the place in the code that says it, and the HTTP status where it has
//! one) is written at most [`BURST`] times in [`INTERVAL`]. The rest are counted, and one line says how many there were.
//!
//! An example: 10,000 requests a second are no HTTP. The log has five lines "stream error: ..." and after 10 s
//! `lines were left out count=99995 target="actix_http::h1::dispatcher" like="stream error: ..."`.
//!
//! Does not touch what the node says of itself: the journal, the database, its actors.

use std::{
    collections::HashMap,
    fmt,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

/// The beginnings of the targets whose lines requests and connections cause.
const TARGETS: [&str; 7] = [
    "actix_http",
    "actix_server",
    "actix_web",
    "volute_web",
    "volute::control",
    "volute_actors::ingress",
    "volute_actors::recorder::writer",
];
/// Lines of a kind in one interval.
const BURST: u64 = 5;
/// How long lines are counted together.
const INTERVAL: Duration = Duration::from_secs(10);
/// How much of a kind's first message stands for all of them, in characters.
const LIKE_CHARS: usize = 120;

static THROTTLE: LazyLock<Mutex<Throttle>> = LazyLock::new(Mutex::default);

/// The layer before the log's writer.
pub(super) struct Throttled;

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    target: &'static str,
    line: Option<u32>,
    status: Option<u64>,
}

/// How often each kind was said in its interval. There are as many kinds as places in the code times statuses.
#[derive(Debug, Default)]
struct Throttle {
    kinds: HashMap<Kind, Said>,
}

#[derive(Debug)]
struct Said {
    ends: Instant,
    count: u64,
    like: String,
}

/// Lines that were not written.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    kind: Kind,
    count: u64,
    like: String,
}

/// Says, once in each interval, what was left out. Does not end.
pub async fn report_left_out() {
    let mut interval = tokio::time::interval(INTERVAL / 2);
    loop {
        interval.tick().await;
        let left_out = throttle().take_ended(Instant::now());
        for LeftOut { kind, count, like } in left_out {
            tracing::warn!(count, target = kind.target, status = kind.status, like, "lines were left out");
        }
    }
}

impl<S: Subscriber> Layer<S> for Throttled {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if !TARGETS.iter().any(|target| metadata.target().starts_with(target)) {
            return true;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let kind = Kind { target: metadata.target(), line: metadata.line(), status: fields.status };
        throttle().admit(kind, &fields.message, Instant::now())
    }
}

impl Throttle {
    /// Counts a line; whether it is written.
    fn admit(&mut self, kind: Kind, message: &str, now: Instant) -> bool {
        let new = || Said { ends: now + INTERVAL, count: 0, like: message.chars().take(LIKE_CHARS).collect() };
        let said = self.kinds.entry(kind).or_insert_with(new);
        said.count = said.count.saturating_add(1);
        said.count <= BURST
    }

    /// Ends the intervals that are over, and returns what was left out in them.
    fn take_ended(&mut self, now: Instant) -> Vec<LeftOut> {
        let ended = self.kinds.extract_if(|_, said| said.ends <= now);
        let left_out =
            ended.map(|(kind, said)| LeftOut { kind, count: said.count.saturating_sub(BURST), like: said.like });
        left_out.filter(|left_out| left_out.count > 0).collect()
    }
}

/// What of an event tells its kind.
#[derive(Default)]
struct Fields {
    status: Option<u64>,
    message: String,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "status" {
            self.status = Some(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

fn throttle() -> MutexGuard<'static, Throttle> {
    THROTTLE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_lines_and_the_rest_are_counted() {
        let kind = |status| Kind { target: "volute_web::server", line: Some(7), status: Some(status) };
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let written = (0..1000).filter(|_| throttle.admit(kind(503), "request", start)).count();
        assert_eq!(written as u64, BURST);
        assert!(throttle.admit(kind(500), "request", start), "another kind has lines of its own");
        assert_eq!(throttle.take_ended(start + INTERVAL / 2), [], "the interval is not over");
        let left_out = LeftOut { kind: kind(503), count: 1000 - BURST, like: "request".into() };
        assert_eq!(throttle.take_ended(start + INTERVAL), [left_out]);
        assert!(throttle.admit(kind(503), "request", start + INTERVAL), "the next interval has lines again");
        assert!(throttle.take_ended(start + INTERVAL * 3).is_empty());
        assert!(throttle.kinds.is_empty(), "nothing is kept");
    }

    #[test]
    fn every_target_of_ours_is_a_module_that_logs() {
        for target in TARGETS.iter().filter(|target| target.starts_with("volute")) {
            let (name, module) = target.split_once("::").unwrap_or((target, "lib"));
            let folder = match name {
                "volute" => "src",
                "volute_web" => "web/src",
                "volute_actors" => "actors/src",
                other => panic!("{other} is not a crate that clients reach"),
            };
            let file = format!("{}/{folder}/{}.rs", env!("CARGO_MANIFEST_DIR"), module.replace("::", "/"));
            let source = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{target}: {file}: {error}"));
            assert!(module == "lib" || source.contains("tracing::"), "{target}: {file} writes no line");
        }
    }
}
