//! The HTTP client of a replay: posts readings to a node, and parses the responses.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use ureq::{
    Agent, Body, http,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::cli::NodeUrl;

/// The longest time that one post may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum size of a response.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024 * 1024;

/// The response to a post whose readings were processed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct IngestResponse {
    pub(super) accepted: u64,
    pub(super) duplicate: u64,
    pub(super) late: u64,
    pub(super) rejected: Vec<Rejected>,
    /// Rejected readings that are not in `rejected`.
    #[serde(default)]
    pub(super) rejected_not_listed: u64,
    /// The rejected readings, listed or not, that have to be sent again.
    #[serde(default)]
    pub(super) send_again: Vec<RetryRange>,
}

/// A range of a post's readings that have to be sent again after `retry_after_s` seconds: from index `from` up to and
/// including index `to`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct RetryRange {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) retry_after_s: u64,
}

impl IngestResponse {
    /// Removes the readings that have to be sent again from the rejected ones. Returns their indexes in the post, and
    /// the number of seconds after which to send them. `posted` is the number of readings in the post.
    pub(super) fn take_retries(&mut self, posted: usize) -> (Vec<usize>, u64) {
        let listed = self.rejected.extract_if(.., |rejected| rejected.retry_after_s.is_some()).count();
        let ranges = std::mem::take(&mut self.send_again);
        let indexes: Vec<usize> =
            ranges.iter().flat_map(|range| range.from..posted.min(range.to.saturating_add(1))).collect();
        let unlisted = indexes.len().saturating_sub(listed) as u64;
        self.rejected_not_listed = self.rejected_not_listed.saturating_sub(unlisted);
        (indexes, ranges.iter().map(|range| range.retry_after_s).max().unwrap_or_default())
    }
}

/// A rejected reading.
#[derive(Debug, Deserialize)]
pub(super) struct Rejected {
    /// Its index in the post.
    pub(super) index: usize,
    /// The reason.
    pub(super) message: String,
    /// The number of seconds after which it may be sent again; `None` if the rejection is final.
    #[serde(default)]
    pub(super) retry_after_s: Option<u64>,
}

/// The node's response to a post.
#[derive(Debug)]
pub(super) enum PostOutcome {
    /// Each reading was accepted or rejected.
    Processed(IngestResponse),
    /// The node is busy and accepted nothing; the post may be sent again after this time.
    Busy(Duration),
}

/// A post failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// There was no response.
    #[error("{url} does not respond: {source}")]
    Unreachable {
        /// The URL of the request.
        url: String,
        /// The cause.
        source: Box<ureq::Error>,
    },
    /// The node rejected the whole post.
    #[error("the node rejected the post ({status}): {reason}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The reason in the response.
        reason: String,
    },
    /// The node was busy for too long.
    #[error("the node is still busy after {} s", waited.as_secs())]
    Busy {
        /// How long the replay has waited.
        waited: Duration,
    },
}

/// Receives posts.
pub(super) trait Node {
    /// Posts one reading (an object) or several (an array).
    fn post(&mut self, body: &Value) -> Result<PostOutcome, PostError>;
}

/// A node over HTTP.
pub(super) struct HttpNode {
    agent: Agent,
    ingest_url: String,
    health_url: String,
    /// The header with the pump token, if there is one.
    authorization: Option<String>,
}

impl HttpNode {
    /// Creates the client of the node at this URL. `token` is the pump token that it posts with. With `certificates` it
    /// trusts these, and no others.
    pub(super) fn new(url: &NodeUrl, token: Option<&str>, certificates: Option<&[Certificate<'static>]>) -> Self {
        let roots = certificates.map_or(RootCerts::WebPki, RootCerts::new_with_certs);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        Self {
            agent: config.build().new_agent(),
            ingest_url: format!("{url}/api/ingest"),
            health_url: format!("{url}/healthz"),
            authorization: token.map(|token| format!("Bearer {token}")),
        }
    }

    /// Returns an error if nothing responds at the node's URL.
    pub(super) fn check(&self) -> Result<(), PostError> {
        match self.agent.get(&self.health_url).call() {
            Ok(_) => Ok(()),
            Err(source) => Err(PostError::Unreachable { url: self.health_url.clone(), source: Box::new(source) }),
        }
    }
}

impl Node for HttpNode {
    fn post(&mut self, body: &Value) -> Result<PostOutcome, PostError> {
        let unreachable =
            |source: ureq::Error| PostError::Unreachable { url: self.ingest_url.clone(), source: source.into() };
        let mut request = self.agent.post(&self.ingest_url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.send_json(body).map_err(unreachable)?;
        let text = response.body_mut().with_config().limit(MAX_RESPONSE_BYTES).read_to_string().map_err(unreachable)?;
        parse_response(&response, &text)
    }
}

/// Parses a node's response. A response with an outcome for each reading counts as processed, even if its status is 207
/// or 400.
fn parse_response(response: &http::Response<Body>, text: &str) -> Result<PostOutcome, PostError> {
    let status = response.status().as_u16();
    if matches!(status, 429 | 503) {
        return Ok(PostOutcome::Busy(retry_after(response.headers())));
    }
    match serde_json::from_str(text) {
        Ok(response) if matches!(status, 200 | 207 | 400) => Ok(PostOutcome::Processed(response)),
        _ => Err(PostError::Rejected { status, reason: rejection_reason(text) }),
    }
}

/// Returns the pause of `Retry-After` (RFC 9110) if it is in seconds, or else 1 s. The result is clamped by
/// [`clamped_pause`].
fn retry_after(headers: &http::HeaderMap) -> Duration {
    let requested_s = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    clamped_pause(Duration::from_secs(requested_s.unwrap_or(1)))
}

/// Returns the requested pause, but at least 100 ms and at most 60 s.
pub(super) fn clamped_pause(requested: Duration) -> Duration {
    requested.clamp(Duration::from_millis(100), Duration::from_secs(60))
}

/// Returns title and detail of a problem (RFC 9457), or else the first 200 characters of the body.
fn rejection_reason(text: &str) -> String {
    #[derive(Deserialize)]
    struct Problem {
        title: Option<String>,
        detail: Option<String>,
    }
    match serde_json::from_str(text) {
        Ok(Problem { title: Some(title), detail: Some(detail) }) => format!("{title}: {detail}"),
        Ok(Problem { title: Some(text), .. } | Problem { detail: Some(text), .. }) => text,
        _ => text.chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, retry_after: Option<&str>) -> http::Response<Body> {
        let mut builder = http::Response::builder().status(status);
        if let Some(value) = retry_after {
            builder = builder.header("retry-after", value);
        }
        builder.body(Body::builder().data(Vec::new())).expect("a response")
    }

    #[test]
    fn the_pause_of_a_busy_node_is_its_retry_after() {
        for (status, retry_after, pause_ms) in [
            (429, Some("3"), 3000),
            (503, Some("0"), 100),
            (503, None, 1000),
            (429, Some("Fri, 31 Dec 1999 23:59:59 GMT"), 1000),
            (429, Some("86400"), 60_000),
        ] {
            let outcome = parse_response(&response(status, retry_after), "{}").expect("an outcome");
            let PostOutcome::Busy(pause) = outcome else { panic!("busy, not {outcome:?}") };
            assert_eq!(pause, Duration::from_millis(pause_ms), "{status} {retry_after:?}");
        }
    }

    #[test]
    fn a_response_with_an_outcome_for_each_reading_is_processed() {
        let text = r#"{"accepted": 3, "duplicate": 2, "late": 1, "bad_channels": [], "durable": true,
            "rejected": [{"index": 6, "field": "Q", "value": "x", "allowed": "a number", "message": "Q: no"}]}"#;
        for status in [200, 207, 400] {
            let Ok(PostOutcome::Processed(outcome)) = parse_response(&response(status, None), text) else {
                panic!("{status}")
            };
            assert_eq!((outcome.accepted, outcome.duplicate, outcome.late), (3, 2, 1));
            assert_eq!((outcome.rejected[0].index, outcome.rejected[0].message.as_str()), (6, "Q: no"));
        }
    }

    #[test]
    fn any_other_response_is_a_rejection_with_its_reason() {
        for (status, text, reason) in [
            (413, r#"{"title": "Too large", "detail": "at most 4 MiB"}"#, "(413): Too large: at most 4 MiB"),
            (400, r#"{"title": "Not JSON"}"#, "(400): Not JSON"),
            (502, "<html>Bad gateway", "(502): <html>Bad gateway"),
            (200, "hello", "(200): hello"),
            (500, r#"{"accepted": 1, "duplicate": 0, "late": 0, "rejected": []}"#, "(500): "),
        ] {
            let error = parse_response(&response(status, None), text).expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn invalid_urls_are_rejected() {
        let url: NodeUrl = "http://node.plant:5000/".parse().expect("an address");
        assert_eq!(HttpNode::new(&url, None, None).ingest_url, "http://node.plant:5000/api/ingest");
        for invalid in ["", "node:5000", "ftp://node", "http://", "http://a/?x=1"] {
            assert!(invalid.parse::<NodeUrl>().is_err(), "{invalid:?}");
        }
    }
}
