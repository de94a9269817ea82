//! Stub.
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
use volute_plant::{Detection, PumpId, Reading, Sample, Timestamp};
#[derive(Debug, thiserror::Error)]
#[error("bad block")]
pub struct BlockError;
#[derive(Serialize, Deserialize)]
enum S {
    G(f64),
    B(f64),
    F,
    M,
}
pub(crate) fn encode_readings(r: &[Reading]) -> Vec<u8> {
    let rows: Vec<(i64, i64, bool, Vec<S>)> = r
        .iter()
        .map(|r| {
            (
                r.at.millis(),
                r.received.millis(),
                r.late,
                r.samples
                    .iter()
                    .map(|s| match *s {
                        Sample::Good(v) => S::G(v),
                        Sample::Bad(v) => S::B(v),
                        Sample::Filled => S::F,
                        Sample::Missing => S::M,
                    })
                    .collect(),
            )
        })
        .collect();
    postcard::to_stdvec(&rows).unwrap_or_default()
}
pub(crate) fn decode_readings(p: &PumpId, b: &[u8]) -> Result<Vec<Reading>, BlockError> {
    let rows: Vec<(i64, i64, bool, Vec<S>)> = postcard::from_bytes(b).map_err(|_| BlockError)?;
    rows.into_iter()
        .map(|(a, r, l, s)| {
            Ok(Reading {
                pump: p.clone(),
                at: Timestamp::from_millis(a).map_err(|_| BlockError)?,
                received: Timestamp::from_millis(r).map_err(|_| BlockError)?,
                late: l,
                samples: s
                    .into_iter()
                    .map(|s| match s {
                        S::G(v) => Sample::Good(v),
                        S::B(v) => Sample::Bad(v),
                        S::F => Sample::Filled,
                        S::M => Sample::Missing,
                    })
                    .collect(),
            })
        })
        .collect()
}
pub(crate) fn encode_detections(d: &[Detection]) -> Vec<u8> {
    let rows: Vec<(i64, f64, f64, bool, Vec<f64>, String)> = d
        .iter()
        .map(|d| (d.at.millis(), d.loss, d.threshold, d.is_anomaly, d.contributions.to_vec(), d.model.to_string()))
        .collect();
    postcard::to_stdvec(&rows).unwrap_or_default()
}
pub(crate) fn decode_detections(p: &PumpId, b: &[u8]) -> Result<Vec<Detection>, BlockError> {
    let rows: Vec<(i64, f64, f64, bool, Vec<f64>, String)> = postcard::from_bytes(b).map_err(|_| BlockError)?;
    rows.into_iter()
        .map(|(a, loss, threshold, is_anomaly, c, m)| {
            Ok(Detection {
                pump: p.clone(),
                at: Timestamp::from_millis(a).map_err(|_| BlockError)?,
                loss,
                threshold,
                is_anomaly,
                contributions: c.into(),
                model: Arc::from(m),
            })
        })
        .collect()
}
/// a
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Aggregate {
    /// a
    pub count: u32,
    /// a
    pub min: f64,
    /// a
    pub max: f64,
    /// a
    pub sum: f64,
}
impl Aggregate {
    /// a
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}
/// a
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Aggregates(Vec<Aggregate>);
impl Aggregates {
    /// a
    pub fn of(r: &[Reading]) -> Self {
        let mut all = Self::default();
        for r in r {
            for (i, s) in r.samples.iter().enumerate() {
                if all.0.len() <= i {
                    all.0.push(Aggregate::default());
                }
                if let Some(v) = s.good() {
                    all.0[i] = join(all.0[i], Aggregate { count: 1, min: v, max: v, sum: v });
                }
            }
        }
        all
    }
    /// a
    pub fn merge(&mut self, o: &Self) {
        for (i, a) in o.0.iter().enumerate() {
            if self.0.len() <= i {
                self.0.push(Aggregate::default());
            }
            self.0[i] = join(self.0[i], *a);
        }
    }
    /// a
    pub fn channel(&self, i: usize) -> Option<&Aggregate> {
        self.0.get(i)
    }
}
fn join(a: Aggregate, b: Aggregate) -> Aggregate {
    if a.count == 0 {
        b
    } else if b.count == 0 {
        a
    } else {
        Aggregate { count: a.count + b.count, min: a.min.min(b.min), max: a.max.max(b.max), sum: a.sum + b.sum }
    }
}
pub(crate) fn encode_aggregates(a: &Aggregates) -> Vec<u8> {
    postcard::to_stdvec(a).unwrap_or_default()
}
pub(crate) fn decode_aggregates(b: &[u8]) -> Result<Aggregates, BlockError> {
    postcard::from_bytes(b).map_err(|_| BlockError)
}
impl fmt::Display for Aggregates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "")
    }
}
