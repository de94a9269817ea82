//! The planned work of all pumps that is not over: shared by the maintenance actor, which is the only writer, and the pumps'
//! actors, which follow it.
//!
//! An example: work on P-7 is planned from 08:00 to 12:00. Its row is stored, and it is added to [`OpenPlannedWork`].
//! P-7's actor reads that with each post and every ten seconds. At 08:00 it suppresses P-7's alarms with the work's id
//! and stops counting normal running; at 12:00 it does the opposite. The node is killed at 09:00 and started at 13:00: the open work is read
//! from the store, none is active, and P-7's actor ends the suppression that its alarms' rows still have.
//!
//! Until the stored work is read, a pump changes nothing: suppressions stay as they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::RwLock;
use volute_plant::{
    Comment, PlannedWork, PumpId, Timestamp,
    planned_work::{MAX_OPEN_WORKS, WorkEnd},
};

use crate::protocol::rules::PlannedWorkError;

/// The planned work that is not over, by pump: a view in memory of the stored rows. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenPlannedWork(Arc<RwLock<Option<WorksByPump>>>);

/// The works of each pump that were not over at its last change.
type WorksByPump = BTreeMap<PumpId, Arc<[PlannedWork]>>;

impl OpenPlannedWork {
    /// Returns whether the stored work was read.
    pub(crate) fn is_loaded(&self) -> bool {
        self.0.read().is_some()
    }

    /// Adds the stored work, without what is over.
    pub(crate) fn load(&self, works: Vec<PlannedWork>, now: Timestamp) {
        let mut by_pump: BTreeMap<PumpId, Vec<PlannedWork>> = BTreeMap::new();
        for work in works.into_iter().filter(|work| !work.is_over(now)) {
            by_pump.entry(work.pump.clone()).or_default().push(work);
        }
        *self.0.write() = Some(by_pump.into_iter().map(|(pump, works)| (pump, works.into())).collect());
    }

    /// Returns the works of a pump; none if the stored work is not read yet. Some may be over.
    pub(crate) fn of(&self, pump: &PumpId) -> Option<Arc<[PlannedWork]>> {
        self.0.read().as_ref().map(|pumps| pumps.get(pump).cloned().unwrap_or_default())
    }

    /// Plans work, and returns it.
    pub(crate) fn plan(
        &self,
        pump: &PumpId,
        (from, until): (Timestamp, Timestamp),
        why: Comment,
        by: String,
        now: Timestamp,
    ) -> Result<PlannedWork, PlannedWorkError> {
        PlannedWork::check_times(from, until, now)?;
        self.change(pump, now, |works| {
            if works.len() >= MAX_OPEN_WORKS {
                return Err(PlannedWorkError::TooMany);
            }
            let id = free_id(works, now);
            let work = PlannedWork { id, pump: pump.clone(), from, until, why, by, at: now, ended: None };
            works.push(work.clone());
            Ok(work)
        })
    }

    /// Ends or cancels work, and returns it.
    pub(crate) fn end(
        &self,
        pump: &PumpId,
        id: &str,
        by: String,
        now: Timestamp,
    ) -> Result<PlannedWork, PlannedWorkError> {
        self.change(pump, now, |works| {
            let found = works.iter().position(|work| work.id == id);
            let unknown = || PlannedWorkError::UnknownWork { pump: pump.clone(), id: id.to_owned() };
            let mut work = works.remove(found.ok_or_else(unknown)?);
            work.ended = Some(WorkEnd { at: now, by });
            Ok(work)
        })
    }

    /// Drops the works of a removed pump.
    pub(crate) fn forget(&self, pump: &PumpId) {
        if let Some(pumps) = self.0.write().as_mut() {
            pumps.remove(pump);
        }
    }

    fn change(
        &self,
        pump: &PumpId,
        now: Timestamp,
        change: impl FnOnce(&mut Vec<PlannedWork>) -> Result<PlannedWork, PlannedWorkError>,
    ) -> Result<PlannedWork, PlannedWorkError> {
        let mut pumps = self.0.write();
        let pumps = pumps.as_mut().ok_or(PlannedWorkError::Unavailable)?;
        let known = pumps.get(pump).map_or(&[][..], |works| &works[..]);
        let mut works: Vec<PlannedWork> = known.iter().filter(|work| !work.is_over(now)).cloned().collect();
        let changed = change(&mut works)?;
        if works.is_empty() {
            pumps.remove(pump);
        } else {
            pumps.insert(pump.clone(), works.into());
        }
        Ok(changed)
    }
}

/// Returns the ids of the works that are active.
pub(crate) fn active_ids(works: &[PlannedWork], now: Timestamp) -> BTreeSet<String> {
    works.iter().filter(|work| work.covers(now)).map(|work| work.id.clone()).collect()
}

/// Returns an id that none of these works has. It begins with the time, so no earlier work has it either.
fn free_id(works: &[PlannedWork], now: Timestamp) -> String {
    let mut id = format!("w{:x}", now.millis());
    while works.iter().any(|work| work.id == id) {
        id.push('x');
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_773_050_400_000 + second * 1_000).expect("a time")
    }

    fn pump() -> PumpId {
        "P-7".parse().expect("an id")
    }

    fn plan(work: &OpenPlannedWork, from: i64, until: i64, now: i64) -> Result<PlannedWork, PlannedWorkError> {
        let why = Comment::try_from("new bearing").expect("a comment");
        work.plan(&pump(), (at(from), at(until)), why, "user asha".into(), at(now))
    }

    fn active(work: &OpenPlannedWork, now: i64) -> usize {
        active_ids(&work.of(&pump()).expect("loaded"), at(now)).len()
    }

    #[test]
    fn nothing_is_planned_before_the_stored_work_is_read() {
        let work = OpenPlannedWork::default();
        assert_eq!(plan(&work, 10, 20, 0), Err(PlannedWorkError::Unavailable));
        assert_eq!(work.of(&pump()), None);
        work.load(Vec::new(), at(0));
        assert!(plan(&work, 10, 20, 0).is_ok());
    }

    #[test]
    fn works_overlap_and_end_by_themselves_or_early() {
        let work = OpenPlannedWork::default();
        work.load(Vec::new(), at(0));
        let first = plan(&work, 10, 30, 0).expect("planned");
        let second = plan(&work, 20, 40, 0).expect("planned");
        assert_ne!(first.id, second.id, "planned at the same time");
        assert_eq!([5, 15, 25, 35, 45].map(|now| active(&work, now)), [0, 1, 2, 1, 0]);
        let ended = work.end(&pump(), &second.id, "user ravi".into(), at(25)).expect("ended");
        assert_eq!((ended.end(), active(&work, 26)), (at(25), 1));
        assert!(matches!(
            work.end(&pump(), &second.id, "user ravi".into(), at(26)),
            Err(PlannedWorkError::UnknownWork { .. })
        ));
        // A restart reads what is stored.
        let restarted = OpenPlannedWork::default();
        restarted.load(vec![first, ended], at(27));
        assert_eq!([27, 31].map(|now| active(&restarted, now)), [1, 0]);
        restarted.forget(&pump());
        assert_eq!(active(&restarted, 27), 0);
    }

    #[test]
    fn the_number_of_open_works_is_bounded() {
        let work = OpenPlannedWork::default();
        work.load(Vec::new(), at(0));
        let planned = (0..100).map(|_| plan(&work, 10, 20, 0)).take_while(Result::is_ok).count();
        assert_eq!(planned, MAX_OPEN_WORKS);
        assert!(plan(&work, 30, 40, 25).is_ok(), "those that are over do not count");
    }
}
