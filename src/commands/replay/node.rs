//! A node as a replay sees it: a place to post to, and its answers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use ureq::{Agent, Body, http};

use crate::cli::NodeUrl;

/// How long one post may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// What became of the readings of one post.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    pub(super) accepted: u64,
    pub(super) duplicate: u64,
    pub(super) late: u64,
    pub(super) rejected: Vec<Rejected>,
    /// How many more were rejected.
    #[serde(default)]
    pub(super) rejected_not_listed: u64,
    /// Of the rejected, listed or not, those that are to be sent again.
    #[serde(default)]
    pub(super) send_again: Vec<SendAgain>,
}

/// Readings of a post, from one place to another, that are to be sent again after so many seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct SendAgain {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) retry_after_s: u64,
}

impl Answer {
    /// Takes out what is to be sent again of a post with so many readings: their places, and after how many seconds.
    pub(super) fn take_again(&mut self, posted: usize) -> (Vec<usize>, u64) {
        let listed = self.rejected.extract_if(.., |no| no.retry_after_s.is_some()).count();
        let ranges = std::mem::take(&mut self.send_again);
        let places: Vec<usize> =
            ranges.iter().flat_map(|again| again.from..posted.min(again.to.saturating_add(1))).collect();
        let unlisted = places.len().saturating_sub(listed) as u64;
        self.rejected_not_listed = self.rejected_not_listed.saturating_sub(unlisted);
        (places, ranges.iter().map(|again| again.retry_after_s).max().unwrap_or_default())
    }
}

/// A reading that was not taken.
#[derive(Debug, Deserialize)]
pub(super) struct Rejected {
    /// Its place in the post.
    pub(super) index: usize,
    /// Why.
    pub(super) message: String,
    /// It may be sent again after so many seconds; none where it is rejected for good.
    #[serde(default)]
    pub(super) retry_after_s: Option<u64>,
}

/// What a node says to a post.
#[derive(Debug)]
pub(super) enum Reply {
    /// It looked at every reading.
    Taken(Answer),
    /// It took nothing; the same post may come again after this long.
    Busy(Duration),
}

/// A post led to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// No answer.
    #[error("{url} does not answer: {source}")]
    Unreachable {
        /// Where it was posted to.
        url: String,
        /// Why not.
        source: Box<ureq::Error>,
    },
    /// The whole post was refused.
    #[error("the node refused the post ({status}): {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the node said.
        reason: String,
    },
    /// The node was busy for too long.
    #[error("the node is still busy after {} s", waited.as_secs())]
    Busy {
        /// How long it was waited for.
        waited: Duration,
    },
}

/// Where posts go to.
pub(super) trait Node {
    /// Posts one reading (an object) or several (an array).
    fn post(&mut self, body: &Value) -> Result<Reply, PostError>;
}

/// A node over HTTP.
pub(super) struct HttpNode {
    agent: Agent,
    ingest: String,
}

impl HttpNode {
    pub(super) fn new(url: &NodeUrl) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
        Self { agent: config.build().new_agent(), ingest: format!("{url}/api/ingest") }
    }
}

impl Node for HttpNode {
    fn post(&mut self, body: &Value) -> Result<Reply, PostError> {
        let unreachable =
            |source: ureq::Error| PostError::Unreachable { url: self.ingest.clone(), source: source.into() };
        let mut response = self.agent.post(&self.ingest).send_json(body).map_err(unreachable)?;
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().map_err(unreachable)?;
        read(&response, &text)
    }
}

/// Reads a node's answer. An answer about each reading counts, whatever its status.
fn read(response: &http::Response<Body>, text: &str) -> Result<Reply, PostError> {
    let status = response.status().as_u16();
    if matches!(status, 429 | 503) {
        return Ok(Reply::Busy(pause(response.headers())));
    }
    match serde_json::from_str(text) {
        Ok(answer) if matches!(status, 200 | 207 | 400) => Ok(Reply::Taken(answer)),
        _ => Err(PostError::Refused { status, reason: reason(text) }),
    }
}

/// `Retry-After` in seconds (RFC 9110), within reason; 1 s without it or where it is a date.
fn pause(headers: &http::HeaderMap) -> Duration {
    let asked = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let seconds = Duration::from_secs(asked.unwrap_or(1));
    within_reason(seconds)
}

/// A pause that a node asks for, within reason.
pub(super) fn within_reason(asked: Duration) -> Duration {
    asked.clamp(Duration::from_millis(100), Duration::from_secs(60))
}

/// What problem JSON (RFC 9457) says, or the beginning of whatever else came.
fn reason(text: &str) -> String {
    #[derive(Deserialize)]
    struct Problem {
        title: Option<String>,
        detail: Option<String>,
    }
    match serde_json::from_str(text) {
        Ok(Problem { title: Some(title), detail: Some(detail) }) => format!("{title}: {detail}"),
        Ok(Problem { title: Some(said), .. } | Problem { detail: Some(said), .. }) => said,
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
    fn a_busy_node_is_waited_for_as_it_asks() {
        for (status, retry_after, pause_ms) in [
            (429, Some("3"), 3000),
            (503, Some("0"), 100),
            (503, None, 1000),
            (429, Some("Fri, 31 Dec 1999 23:59:59 GMT"), 1000),
            (429, Some("86400"), 60_000),
        ] {
            let reply = read(&response(status, retry_after), "{}").expect("a reply");
            let Reply::Busy(pause) = reply else { panic!("busy, not {reply:?}") };
            assert_eq!(pause, Duration::from_millis(pause_ms), "{status} {retry_after:?}");
        }
    }

    #[test]
    fn an_answer_about_each_reading_is_an_answer() {
        let text = r#"{"accepted": 3, "duplicate": 2, "late": 1, "bad_channels": [], "durable": true,
            "rejected": [{"index": 6, "field": "Q", "value": "x", "allowed": "a number", "message": "Q: no"}]}"#;
        for status in [200, 207, 400] {
            let Ok(Reply::Taken(answer)) = read(&response(status, None), text) else { panic!("{status}") };
            assert_eq!((answer.accepted, answer.duplicate, answer.late), (3, 2, 1));
            assert_eq!((answer.rejected[0].index, answer.rejected[0].message.as_str()), (6, "Q: no"));
        }
    }

    #[test]
    fn anything_else_is_a_refusal_with_its_reason() {
        for (status, text, reason) in [
            (413, r#"{"title": "Too large", "detail": "at most 4 MiB"}"#, "(413): Too large: at most 4 MiB"),
            (400, r#"{"title": "Not JSON"}"#, "(400): Not JSON"),
            (502, "<html>Bad gateway", "(502): <html>Bad gateway"),
            (200, "hello", "(200): hello"),
            (500, r#"{"accepted": 1, "duplicate": 0, "late": 0, "rejected": []}"#, "(500): "),
        ] {
            let error = read(&response(status, None), text).expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        let url: NodeUrl = "http://node.plant:5000/".parse().expect("an address");
        assert_eq!(HttpNode::new(&url).ingest, "http://node.plant:5000/api/ingest");
        for bad in ["", "node:5000", "ftp://node", "http://", "http://a/?x=1"] {
            assert!(bad.parse::<NodeUrl>().is_err(), "{bad:?}");
        }
    }
}
