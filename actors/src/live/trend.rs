//! A pump's last losses with their times, in half the room: there is one for every pump.

use std::collections::VecDeque;

use volute_plant::Timestamp;

/// Detections in a pump's trend.
pub const TREND: usize = 120;

/// At most [`TREND`] losses, in the order of their times.
#[derive(Debug, Default)]
pub(crate) struct Trend {
    /// Milliseconds since the one before, and the loss.
    points: VecDeque<(u32, f32)>,
    newest: Option<Timestamp>,
}

impl Trend {
    /// One more. What lies weeks before it, or after, says nothing beside it and is forgotten.
    pub(crate) fn push(&mut self, at: Timestamp, loss: f32) {
        let gap = self.newest.and_then(|newest| u32::try_from(at.since_ms(newest)).ok());
        if gap.is_none() {
            self.points.clear();
        }
        if self.points.len() == TREND {
            self.points.pop_front();
        }
        self.points.push_back((gap.unwrap_or(0), loss));
        self.newest = Some(at);
    }

    /// All of them, the oldest first.
    pub(crate) fn points(&self) -> Vec<(Timestamp, f32)> {
        let Some(mut at) = self.newest else { return Vec::new() };
        let mut points = Vec::with_capacity(self.points.len());
        for &(gap_ms, loss) in self.points.iter().rev() {
            points.push((at, loss));
            at = at.plus_ms(-i64::from(gap_ms));
        }
        points.reverse();
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_773_051_240_000 + ms).expect("a time")
    }

    #[test]
    fn the_newest_are_there_with_their_times() {
        let mut trend = Trend::default();
        assert_eq!(trend.points(), []);
        let all: Vec<(Timestamp, f32)> = (0..200).map(|n| (at(n * n), n as f32)).collect();
        for &(at, loss) in &all {
            trend.push(at, loss);
        }
        assert_eq!(trend.points(), all[200 - TREND..]);
    }

    #[test]
    fn what_is_weeks_away_is_forgotten() {
        let weeks_ms = i64::from(u32::MAX);
        for (gap_ms, left) in [(weeks_ms, 2), (weeks_ms + 1, 1), (-1, 1)] {
            let mut trend = Trend::default();
            trend.push(at(0), 1.0);
            trend.push(at(gap_ms), 2.0);
            assert_eq!((trend.points().len(), trend.points().last()), (left, Some(&(at(gap_ms), 2.0))));
        }
    }
}
