//! A pump's minutes in the order of their starts: usually two or three, some thousand after a long outage.
//!
//! The list is a sorted vector. A `BTreeMap` would allocate a node with room for eleven entries for each pump.

use std::ops::Range;

use super::minute::Minute;

/// The minutes, sorted by their start in milliseconds since 1970.
#[derive(Default)]
pub(super) struct Minutes(Vec<(i64, Minute)>);

impl Minutes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of past minutes.
    pub(super) fn past(&self) -> usize {
        self.iter().filter(|minute| minute.past).count()
    }

    pub(super) fn starts(&self) -> impl Iterator<Item = i64> {
        self.0.iter().map(|(start_ms, _)| *start_ms)
    }

    /// Returns the start of the newest minute.
    pub(super) fn newest(&self) -> Option<i64> {
        self.0.last().map(|(start_ms, _)| *start_ms)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Minute> {
        self.0.iter().map(|(_, minute)| minute)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (i64, &mut Minute)> {
        self.0.iter_mut().map(|(start_ms, minute)| (*start_ms, minute))
    }

    /// Returns the minutes that start in this range.
    pub(super) fn starting_in(&self, time: Range<i64>) -> impl Iterator<Item = &Minute> {
        let first = self.0.partition_point(|(start_ms, _)| *start_ms < time.start);
        self.0[first..].iter().take_while(move |(start_ms, _)| *start_ms < time.end).map(|(_, minute)| minute)
    }

    pub(super) fn get(&self, start_ms: i64) -> Option<&Minute> {
        self.index(start_ms).ok().map(|index| &self.0[index].1)
    }

    pub(super) fn get_mut(&mut self, start_ms: i64) -> Option<&mut Minute> {
        self.index(start_ms).ok().map(|index| &mut self.0[index].1)
    }

    /// Returns the minute that starts at this time. Inserts `fresh()` if there is none.
    pub(super) fn get_or_insert(&mut self, start_ms: i64, fresh: impl FnOnce() -> Minute) -> &mut Minute {
        let index = self.index(start_ms).unwrap_or_else(|index| {
            self.0.insert(index, (start_ms, fresh()));
            index
        });
        &mut self.0[index].1
    }

    pub(super) fn remove(&mut self, start_ms: i64) {
        if let Ok(index) = self.index(start_ms) {
            self.0.remove(index);
        }
    }

    fn index(&self, start_ms: i64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&start_ms, |(start_ms, _)| *start_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_sorted_by_their_start() {
        let mut minutes = Minutes::default();
        for (start_ms, opened_ms) in [(120, 1), (0, 2), (60, 3), (120, 4)] {
            minutes.get_or_insert(start_ms, || Minute { opened_ms, ..Minute::default() });
        }
        assert_eq!(minutes.starts().collect::<Vec<_>>(), [0, 60, 120]);
        assert_eq!((minutes.newest(), minutes.get(120).map(|minute| minute.opened_ms)), (Some(120), Some(1)));
        let opened = |time| minutes.starting_in(time).map(|minute| minute.opened_ms).collect::<Vec<_>>();
        assert_eq!((opened(0..120), opened(1..121), opened(61..120)), (vec![2, 3], vec![3, 1], vec![]));
        minutes.remove(60);
        minutes.remove(61);
        assert!(minutes.get(60).is_none() && minutes.get_mut(61).is_none());
        assert_eq!(minutes.starts().collect::<Vec<_>>(), [0, 120]);
    }
}
