//! A pump's last losses with their times. Each takes 8 bytes instead of 16, to save memory: every pump has a trend.

use std::collections::VecDeque;

use volute_plant::Timestamp;

/// The largest number of losses in a trend.
pub const TREND_LEN: usize = 120;

/// The last [`TREND_LEN`] losses, ordered by time.
#[derive(Debug, Default)]
pub(crate) struct Trend {
    /// Each as the milliseconds since the point before it, and the loss.
    points: VecDeque<(u32, f32)>,
    newest: Option<Timestamp>,
}

impl Trend {
    /// Appends a loss. If it is older than the newest point, or more than 2^32 ms (49 days) newer, all earlier points
    /// are dropped.
    pub(crate) fn push(&mut self, at: Timestamp, loss: f32) {
        let gap = self.newest.and_then(|newest| u32::try_from(at.since_ms(newest)).ok());
        if gap.is_none() {
            self.points.clear();
        }
        if self.points.len() == TREND_LEN {
            self.points.pop_front();
        }
        self.points.push_back((gap.unwrap_or(0), loss));
        self.newest = Some(at);
    }

    /// Returns all points, oldest first.
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
    fn the_newest_points_are_kept_with_their_times() {
        let mut trend = Trend::default();
        assert_eq!(trend.points(), []);
        let all: Vec<(Timestamp, f32)> = (0..200).map(|n| (at(n * n), n as f32)).collect();
        for &(at, loss) in &all {
            trend.push(at, loss);
        }
        assert_eq!(trend.points(), all[200 - TREND_LEN..]);
    }

    #[test]
    fn a_gap_of_weeks_or_a_step_back_drops_earlier_points() {
        let max_gap_ms = i64::from(u32::MAX);
        for (gap_ms, count) in [(max_gap_ms, 2), (max_gap_ms + 1, 1), (-1, 1)] {
            let mut trend = Trend::default();
            trend.push(at(0), 1.0);
            trend.push(at(gap_ms), 2.0);
            assert_eq!((trend.points().len(), trend.points().last()), (count, Some(&(at(gap_ms), 2.0))));
        }
    }
}
