//! Types of flag values, with their parsers and errors.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use clap::ValueEnum;
use ureq::http;
use volute_actors::MAX_POST_ITEMS;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Text,
    /// JSON.
    Json,
}

/// The URL of a node: `http://host:port` or `https://...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUrl(String);

/// The text is not the URL of a node.
#[derive(Debug, thiserror::Error)]
#[error("not the URL of a node; allowed: http:// or https:// and a host, as http://127.0.0.1:5000")]
pub struct NodeUrlError;

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeUrl {
    type Err = NodeUrlError;

    fn from_str(text: &str) -> Result<Self, NodeUrlError> {
        let uri: http::Uri = text.parse().map_err(|_| NodeUrlError)?;
        match uri.scheme_str() {
            Some("http" | "https") if uri.query().is_none() => Ok(Self(text.trim_end_matches('/').into())),
            _ => Err(NodeUrlError),
        }
    }
}

/// Parses a whole number from 1.
pub(super) fn whole_from_1(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "allowed: a whole number from 1".to_owned())
}

/// Parses a whole number from 0.
pub(super) fn whole_from_0(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "allowed: a whole number from 0".to_owned())
}

/// Parses a finite number.
pub(super) fn finite(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| "allowed: a finite number".to_owned())
}

/// The maximum number of readings in one post.
const MAX_BATCH: usize = MAX_POST_ITEMS;

/// Parses a number of readings per post.
pub(super) fn batch(text: &str) -> Result<NonZeroUsize, String> {
    let batch = text.parse().ok().filter(|batch: &NonZeroUsize| batch.get() <= MAX_BATCH);
    batch.ok_or_else(|| format!("allowed: a whole number from 1 to {MAX_BATCH}"))
}

/// A replay speed, as a multiple of real time. 0 means without waiting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(f64);

impl Speed {
    /// Returns the multiple of real time.
    pub fn times(self) -> f64 {
        self.0
    }
}

/// The text is not a speed.
#[derive(Debug, thiserror::Error)]
#[error("not a speed; allowed: a number from 0 (without waiting); 1 is real time")]
pub struct SpeedError;

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        match text.parse() {
            Ok(speed) if (0.0..=1e9).contains(&speed) => Ok(Self(speed)),
            _ => Err(SpeedError),
        }
    }
}
