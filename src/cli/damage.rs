//! The value of `--damage`: what is damaged in recordings, and how much.

use std::str::FromStr;

/// Damage to the rows of a recording. The default is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Damage {
    /// The share of cells that are missing.
    pub dropout: f64,
    /// The maximum number of seconds by which each row's time is moved, forward or back.
    pub jitter_s: f64,
    /// Channels with added noise, and the standard deviation of the noise, in standard deviations of the channel in the
    /// training rows.
    pub noise: Vec<(String, f64)>,
    /// Channels that drift, and the drift at the last row, in the same unit as the noise.
    pub drift: Vec<(String, f64)>,
}

/// The text does not describe a damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part:?}: {allowed}")]
pub struct DamageError {
    /// The part of the text that is wrong.
    pub part: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl FromStr for Damage {
    type Err = DamageError;

    fn from_str(text: &str) -> Result<Self, DamageError> {
        let mut damage = Self::default();
        for part in text.split(',') {
            let refuse = |allowed| DamageError { part: part.to_owned(), allowed };
            let (name, number) = part.split_once('=').ok_or_else(|| refuse("allowed: NAME=NUMBER"))?;
            let number: f64 = number.trim().parse().map_err(|_| refuse("allowed: NAME=NUMBER"))?;
            if !number.is_finite() {
                return Err(refuse("allowed: a finite number"));
            }
            let positive = number >= 0.0;
            match name.trim().split_once('.') {
                None if name.trim() == "dropout" => match number {
                    share if (0.0..=1.0).contains(&share) => damage.dropout = share,
                    _ => return Err(refuse("allowed: a share, 0 to 1")),
                },
                None if name.trim() == "jitter" && positive => damage.jitter_s = number,
                Some(("noise", channel)) if positive => damage.noise.push((channel.to_owned(), number)),
                Some(("drift", channel)) => damage.drift.push((channel.to_owned(), number)),
                _ => return Err(refuse("allowed: dropout, jitter, noise.CHANNEL (from 0), drift.CHANNEL")),
            }
        }
        Ok(damage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_damage_is_read_and_anything_else_is_refused() {
        let damage: Damage = "dropout=0.1,noise.Flow=3, drift.Flow=-2.5,jitter=0.3".parse().expect("valid");
        let (noise, drift) = (vec![("Flow".to_owned(), 3.0)], vec![("Flow".to_owned(), -2.5)]);
        assert_eq!(damage, Damage { dropout: 0.1, jitter_s: 0.3, noise, drift });
        for text in ["", "dropout", "dropout=1.1", "dropout=x", "jitter=-1", "noise.Flow=NaN", "noise=1", "loss=0.1"] {
            assert!(text.parse::<Damage>().is_err(), "{text:?}");
        }
    }
}
