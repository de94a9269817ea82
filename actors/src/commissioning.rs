//! Commissioning: learns what is normal for one pump at a time, on a thread of its own.
//!
//! A pump that has gathered enough normal running asks for it, and so does whoever wants it learned anew. The readings
//! are read, or made, when their turn comes, one pump at a time, and no inference worker is held up. Stored readings are
//! read twice, a page at a time, so that a stretch may be as long as it likes: of more windows than
//! [`volute_anomaly::MOST_LEVELS`] an even share is learned from, and the baseline's reason says so. Deliberately absent: what becomes of the baseline (the pump stores and uses it), and when there is enough
//! ([`gathering`]).

pub(crate) mod footing;
pub(crate) mod gathering;
mod orders;
mod versions;

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::sync::oneshot;
use volute_anomaly::{Baseline, Commissioning, CommissioningError, MOST_LEVELS, Model, Observed, Survey};
use volute_data::{NewBaseline, Range, Store, StoreError};
use volute_plant::{Clock, Profile, PumpId, Reading, Timestamp, Window};
use volute_runtime::{Envelope, Mailbox, Message, Subject};

pub use orders::CommissionRefusal;
pub use versions::{BaselineVersion, Baselines};

use crate::{
    counters::{Counters, add},
    pump::PumpActor,
};
use gathering::NormalWindows;

/// Lessons that may wait. A pump for whose own there is no room tries again later.
pub(crate) const LESSONS: usize = 64;
/// Readings in one page from the store.
const PAGE: usize = 10_000;

/// What judges windows on this node, and how its pumps are commissioned.
#[derive(Clone)]
pub(crate) struct Judging {
    pub model: Model,
    /// Normal running that a pump is commissioned from at least, as it is configured.
    pub running_ms: i64,
    pub lessons: Mailbox<CommissioningActor>,
}

/// Learn what is normal for a pump.
pub(crate) struct Lesson {
    pump: PumpId,
    why: String,
    material: Material,
    pupil: Pupil,
}

/// Who is told how a lesson ended; one that is dropped says that it was broken off.
struct Pupil {
    home: Mailbox<PumpActor>,
    asker: Option<Asker>,
}

impl Message for Lesson {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Lesson {
    pub(crate) fn new(pump: PumpId, why: String, material: Material, home: Mailbox<PumpActor>, asker: Asker) -> Self {
        Self { pump, why, material, pupil: Pupil { home, asker: Some(asker) } }
    }

    /// Nobody waits for it after all.
    pub(crate) fn forget(mut self) {
        self.pupil.asker = None;
    }
}

impl Pupil {
    async fn tell(mut self, outcome: Result<(Baseline, NewBaseline), LessonError>) {
        if let Some(asker) = self.asker.take() {
            // A pump that is gone needs no answer.
            let _ = self.home.send(Learned { outcome, asker }).await;
        }
    }
}

impl Drop for Pupil {
    fn drop(&mut self) {
        if let Some(asker) = self.asker.take() {
            let _ = self.home.try_send(Learned { outcome: Err(LessonError::BrokenOff), asker });
        }
    }
}

/// What is learned from.
pub(crate) enum Material {
    /// Stored readings, up to and without the second time.
    Stored(Timestamp, Timestamp),
    /// Readings that are made when their turn comes, in runs: no window spans two of them.
    Made(Box<dyn FnOnce() -> Vec<Vec<Reading>> + Send>),
}

/// Who wants to know how it ended.
pub(crate) enum Asker {
    /// The pump, whose course this was when it asked.
    Pump { course: u64 },
    /// Somebody else: the version's number.
    Caller(oneshot::Sender<Result<u32, CommissionRefusal>>),
}

/// How a lesson ended.
pub(crate) struct Learned {
    pub outcome: Result<(Baseline, NewBaseline), LessonError>,
    pub asker: Asker,
}

impl Message for Learned {}

/// There is no baseline.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LessonError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Learning(#[from] CommissioningError),
    #[error("the baseline cannot be written: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the pump's interval was changed meanwhile")]
    OtherInterval,
    #[error("the lesson was broken off; ask again")]
    BrokenOff,
}

/// The actor.
pub(crate) struct CommissioningActor {
    pub school: Arc<School>,
    pub counters: Arc<Counters>,
}

/// All that a lesson takes.
pub(crate) struct School {
    pub profile: Profile,
    pub model: Model,
    pub how: Commissioning,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

impl School {
    async fn teach(
        &self,
        pump: &PumpId,
        why: String,
        material: Material,
    ) -> Result<(Baseline, NewBaseline), LessonError> {
        // The windows are of the pump's own interval.
        let profile = &self.store.pump_settings(pump).await?.apply(&self.profile);
        let (observed, why, stretch) = match material {
            Material::Stored(from, to) => {
                let (observed, every) = self.stored(profile, pump, from, to).await?;
                (observed, thinned(why, every), Some((from, to)))
            }
            Material::Made(make) => {
                let runs = make();
                let all = || runs.iter().flatten();
                let ends = all().next().map(|first| first.at).zip(all().next_back().map(|last| last.at.plus_ms(1)));
                (self.made(profile, &runs)?, why, ends)
            }
        };
        let baseline = Baseline::of(profile, &observed, &self.how);
        let (from, to) = stretch.unwrap_or((baseline.learned.from, baseline.learned.to));
        let new = NewBaseline {
            created_at: self.clock.now(),
            network: baseline.network.clone(),
            baseline: baseline.id.clone(),
            from,
            to,
            why,
            document: serde_json::to_string(&baseline)?,
        };
        Ok((baseline, new))
    }

    fn made(&self, profile: &Profile, runs: &[Vec<Reading>]) -> Result<Observed, CommissioningError> {
        let of_run = |readings: &Vec<Reading>| {
            let mut normal = NormalWindows::new(profile);
            let all = readings.iter().cloned().map(Some).chain([None]);
            all.flat_map(move |next| normal.take(next)).collect::<Vec<_>>()
        };
        Observed::of(&self.model, profile, || runs.iter().flat_map(of_run))
    }

    /// Learns from a stretch that is stored. Returns also how thin: every nth of its windows was looked at.
    async fn stored(
        &self,
        profile: &Profile,
        pump: &PumpId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(Observed, usize), LessonError> {
        let mut survey = Survey::new(profile);
        let count = |window: Window| {
            survey.take(&window);
            Ok(())
        };
        self.each_window(profile, pump, (from, to), count).await?;
        let mut observation = survey.observe(&self.model)?;
        self.each_window(profile, pump, (from, to), |window| Ok(observation.take(window)?)).await?;
        let every = observation.every();
        Ok((observation.finish()?, every))
    }

    /// Reads a stretch, a page at a time, and hands on its windows of normal running, oldest first.
    async fn each_window(
        &self,
        profile: &Profile,
        pump: &PumpId,
        (from, to): (Timestamp, Timestamp),
        mut take: impl FnMut(Window) -> Result<(), LessonError>,
    ) -> Result<(), LessonError> {
        let mut normal = NormalWindows::new(profile);
        let mut after = None;
        loop {
            let range = Range { from: Some(from), to: Some(to), limit: PAGE, after, ..Range::default() };
            let page = self.store.readings(pump, &range).await?.all()?;
            let Some(last) = page.last() else { break };
            after = Some(last.at);
            page.into_iter().flat_map(|reading| normal.take(Some(reading))).try_for_each(&mut take)?;
        }
        normal.take(None).try_for_each(take)
    }
}

/// Why a baseline was learned, and from which share of the windows if not from all.
fn thinned(why: String, every: usize) -> String {
    if every == 1 { why } else { format!("{why}; from every {every}th window, for there are more than {MOST_LEVELS}") }
}

impl Actor for CommissioningActor {
    type Context = Context<Self>;
}

impl Handler<Envelope<Lesson>> for CommissioningActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Lesson>, ctx: &mut Self::Context) {
        let Lesson { pump, why, material, pupil } = message.into_inner();
        let school = self.school.clone();
        let lesson = async move {
            let outcome = school.teach(&pump, why, material).await;
            let learned = outcome.is_ok();
            pupil.tell(outcome).await;
            learned
        };
        // The actor takes nothing else until this is done: one pump at a time.
        ctx.wait(lesson.into_actor(self).map(|learned, actor, _| {
            add(if learned { &actor.counters.commissioned } else { &actor.counters.commissioning_failures }, 1);
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_that_was_thinned_says_so() {
        assert_eq!(thinned("as asked".into(), 1), "as asked");
        let thin = "as asked; from every 12th window, for there are more than 259200";
        assert_eq!(thinned("as asked".into(), 12), thin);
    }
}
