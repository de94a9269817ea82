//! Limits the rate of log lines that clients can cause, so that bad requests do not fill the log.
//!
//! Applies to the log targets in [`TARGETS`]. Lines are counted per line of code that logs them, and per HTTP status if
//! the event has one. Of each, at most [`MAX_LINES`] lines are written per [`INTERVAL`]. One line reports how many
//! further lines were suppressed.
//!
//! Example: a client sends 10,000 requests per second that are not HTTP. The log has five lines "stream error: ...",
//! and after 10 s `lines suppressed count=99995 target="actix_http::h1::dispatcher" example="stream error: ..."`.
//!
//! Does not limit other lines of the node, for example of the journal, the database and the actors.

use std::{
    collections::HashMap,
    fmt,
    sync::LazyLock,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

/// Prefixes of the targets whose lines are caused by requests and connections.
const TARGETS: [&str; 7] = [
    "actix_http",
    "actix_server",
    "actix_web",
    "volute_web",
    "volute::control",
    "volute_actors::ingress",
    "volute_actors::recorder::writer",
];
/// The maximum number of lines that are written per key and interval.
const MAX_LINES: u64 = 5;
/// The interval in which lines are counted.
const INTERVAL: Duration = Duration::from_secs(10);
/// The maximum length of the message that is quoted as an example, in characters.
const MAX_EXAMPLE_CHARS: usize = 120;

static THROTTLE: LazyLock<Mutex<Throttle>> = LazyLock::new(Mutex::default);

/// The layer that drops lines above the limit, before they are written.
pub(super) struct ThrottleLayer;

/// What identifies lines that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct LineKey {
    target: &'static str,
    line: Option<u32>,
    status: Option<u64>,
}

/// The number of lines per key in the key's current interval. The number of keys is at most that of lines of code that
/// log, times that of HTTP statuses.
#[derive(Debug, Default)]
struct Throttle {
    counts: HashMap<LineKey, LineCount>,
}

#[derive(Debug)]
struct LineCount {
    ends_at: Instant,
    count: u64,
    /// The first message.
    example: String,
}

/// Lines of one key that were not written.
#[derive(Debug, PartialEq, Eq)]
struct SuppressedLines {
    key: LineKey,
    count: u64,
    example: String,
}

/// Logs how many lines were suppressed, for each key once per interval. Does not return.
pub async fn report_suppressed() {
    let mut interval = tokio::time::interval(INTERVAL / 2);
    loop {
        interval.tick().await;
        let suppressed = throttle().take_ended(Instant::now());
        for SuppressedLines { key, count, example } in suppressed {
            tracing::warn!(count, target = key.target, status = key.status, example, "lines suppressed");
        }
    }
}

impl<S: Subscriber> Layer<S> for ThrottleLayer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if !TARGETS.iter().any(|target| metadata.target().starts_with(target)) {
            return true;
        }
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let key = LineKey { target: metadata.target(), line: metadata.line(), status: fields.status };
        throttle().admit(key, &fields.message, Instant::now())
    }
}

impl Throttle {
    /// Counts a line. Returns whether it is written.
    fn admit(&mut self, key: LineKey, message: &str, now: Instant) -> bool {
        let new = || LineCount {
            ends_at: now + INTERVAL,
            count: 0,
            example: message.chars().take(MAX_EXAMPLE_CHARS).collect(),
        };
        let lines = self.counts.entry(key).or_insert_with(new);
        lines.count = lines.count.saturating_add(1);
        lines.count <= MAX_LINES
    }

    /// Removes the intervals that have ended, and returns the lines that were suppressed in them.
    fn take_ended(&mut self, now: Instant) -> Vec<SuppressedLines> {
        let ended = self.counts.extract_if(|_, lines| lines.ends_at <= now);
        let suppressed = ended.map(|(key, lines)| SuppressedLines {
            key,
            count: lines.count.saturating_sub(MAX_LINES),
            example: lines.example,
        });
        suppressed.filter(|suppressed| suppressed.count > 0).collect()
    }
}

/// The fields of an event that the limit needs.
#[derive(Default)]
struct EventFields {
    status: Option<u64>,
    message: String,
}

impl Visit for EventFields {
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
    THROTTLE.lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_limit_and_further_lines_are_counted() {
        let key = |status| LineKey { target: "volute_web::server", line: Some(7), status: Some(status) };
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let written = (0..1000).filter(|_| throttle.admit(key(503), "request", start)).count();
        assert_eq!(written as u64, MAX_LINES);
        assert!(throttle.admit(key(500), "request", start), "another key has its own limit");
        assert_eq!(throttle.take_ended(start + INTERVAL / 2), [], "the interval is not over");
        let suppressed = SuppressedLines { key: key(503), count: 1000 - MAX_LINES, example: "request".into() };
        assert_eq!(throttle.take_ended(start + INTERVAL), [suppressed]);
        assert!(throttle.admit(key(503), "request", start + INTERVAL), "the next interval has its own limit");
        assert!(throttle.take_ended(start + INTERVAL * 3).is_empty());
        assert!(throttle.counts.is_empty(), "ended intervals are removed");
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
