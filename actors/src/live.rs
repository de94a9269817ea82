//! The live feed: the latest of every pump for those who ask, and frames for those who listen.
//!
//! Nothing here is kept for long: history is the store's. A slow listener loses its oldest frames; an
//! update for which the mailbox has no room is counted and dropped, since the next one replaces it.

pub(crate) mod frames;
pub(crate) mod last_shown;
pub(crate) mod snapshot;
pub(crate) mod trend;

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler};
use tokio::sync::broadcast;
use volute_plant::{
    Channel, Clock, ClockFault, Detection, OperatingState, Profile, PumpId, Reading, Sample, Timestamp,
};
use volute_runtime::Envelope;

use crate::{
    catalog::Catalog,
    protocol::live::{
        AskLive, LiveClock, LiveDetection, LiveEnded, LiveFeed, LiveGone, LiveNamed, LiveNotScored, LiveProfile,
        LiveReading, NotScoredReason,
    },
    settings::LiveSettings,
};
use frames::{DetectionFrame, FleetFrame, FleetRow, Frame, ReadingFrame};
use snapshot::{LiveChannel, LiveFeedState, LivePump, Status};
use trend::Trend;

/// Time between two pictures of the whole fleet.
const FLEET_FRAME: Duration = Duration::from_secs(1);

/// The actor.
pub(crate) struct LiveActor {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    stale_after_intervals: i64,
    frame: Duration,
    listeners: broadcast::Sender<Arc<Frame>>,
    pumps: BTreeMap<PumpId, State>,
    /// What listeners were not sent yet, of the pumps that have such.
    unsent: BTreeMap<PumpId, Unsent>,
}

struct State {
    profile: Profile,
    /// The current reading that was received last.
    latest: Option<Reading>,
    /// When that was.
    shown: Option<Timestamp>,
    /// When any reading was received last.
    heard: Option<Timestamp>,
    /// When its simulation ended, if no reading came since.
    ended: Option<Timestamp>,
    clock: Option<ClockFault>,
    status: Status,
    since: Timestamp,
    detection: Option<Detection>,
    feed: Option<LiveFeedState>,
    trend: Trend,
    readings: u64,
    late: u64,
    past: u64,
    scored: u64,
    anomalies: u64,
}

struct Unsent {
    readings: ReadingFrame,
    detections: DetectionFrame,
}

impl LiveActor {
    pub(crate) fn new(
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        stale_after_intervals: i64,
        settings: &LiveSettings,
        listeners: broadcast::Sender<Arc<Frame>>,
    ) -> Self {
        let (pumps, unsent) = Default::default();
        Self { catalog, clock, stale_after_intervals, frame: settings.frame, listeners, pumps, unsent }
    }

    fn state(&mut self, pump: &PumpId) -> &mut State {
        let new = || State::new(self.catalog.of(pump).profile, self.clock.now());
        self.pumps.entry(pump.clone()).or_insert_with(new)
    }

    /// Where news of this pump go; none if nobody listens.
    fn unsent(&mut self, pump: &PumpId) -> Option<&mut Unsent> {
        if self.listeners.receiver_count() == 0 {
            return None;
        }
        let profile = self.state(pump).profile.clone();
        let nothing = || Unsent {
            readings: ReadingFrame::empty(pump, &profile),
            detections: DetectionFrame::empty(pump, &profile),
        };
        Some(self.unsent.entry(pump.clone()).or_insert_with(nothing))
    }

    /// How long a pump may be silent: the node's time, or what its own posts say.
    fn stale_after_ms(&self, state: &State) -> i64 {
        let own_ms = state.feed.as_ref().map_or(0, |feed| feed.stale_after_ms);
        own_ms.max(self.stale_after_intervals * state.profile.interval_ms())
    }

    /// How long ago a reading was received, in milliseconds, and whether that is too long for this pump.
    fn age(&self, state: &State, received: Option<Timestamp>) -> (Option<i64>, bool) {
        let age_ms = received.map(|received| self.clock.now().since_ms(received).max(0));
        (age_ms, age_ms.is_some_and(|age| age > self.stale_after_ms(state)))
    }

    /// How a pump is. A pump that sends, and sends nothing current, is not stale: how it is now is not known.
    fn status(&self, state: &State) -> Status {
        let (heard, shown) = (self.age(state, state.heard), self.age(state, state.shown));
        match (heard, shown) {
            ((None, _), _) if state.clock.is_some() => Status::Stale,
            ((_, true), _) => Status::Stale,
            _ if state.ended.is_some() => Status::Stale,
            ((Some(_), _), (None, _) | (_, true)) => Status::Unknown {
                reason: match state.clock {
                    Some(fault) => fault.note(),
                    None => "no reading of now has come, only older ones".into(),
                },
            },
            _ => state.status.clone(),
        }
    }

    fn snapshot(&self, pump: &PumpId, state: &State) -> LivePump {
        let (age_ms, _) = self.age(state, state.heard);
        let status = self.status(state);
        let channels = |r: &Reading| {
            let pairs = state.profile.channels().iter().zip(r.samples.iter());
            pairs.map(|(channel, &sample)| LiveChannel { sample, state: channel_state(channel, sample) }).collect()
        };
        let last = match status {
            Status::Stale => state.heard,
            Status::Unknown { .. } if self.age(state, state.shown).1 => state.shown,
            _ => None,
        };
        let silent_since = last.map(|last| last.plus_ms(self.stale_after_ms(state)));
        LivePump {
            pump: pump.clone(),
            latest: state.latest.as_ref().map(|r| (r.clone(), channels(r))),
            age_ms,
            status,
            clock: state.clock,
            since: state.ended.or(silent_since).unwrap_or(state.since),
            detection: state.detection.clone(),
            trend: state.trend.points(),
            feed: state.feed.clone().map(|feed| LiveFeedState { stale_after_ms: self.stale_after_ms(state), ..feed }),
            readings: state.readings,
            late: state.late,
            past: state.past,
            scored: state.scored,
            anomalies: state.anomalies,
        }
    }

    fn send_frames(&mut self) {
        for Unsent { readings, detections } in mem::take(&mut self.unsent).into_values() {
            if !readings.t.is_empty() {
                // No listener is no error.
                let _ = self.listeners.send(Arc::new(Frame::Readings(readings)));
            }
            if !detections.t.is_empty() {
                let _ = self.listeners.send(Arc::new(Frame::Detections(detections)));
            }
        }
    }

    fn send_fleet(&self) {
        if self.listeners.receiver_count() == 0 {
            return;
        }
        let row = |(pump, state): (&PumpId, &State)| {
            let ((age_ms, _), status) = (self.age(state, state.heard), self.status(state));
            let clock = state.clock.map(|fault| fault.note());
            let verdict = state.detection.as_ref().map(|d| (d.at, d.loss, d.threshold));
            FleetRow { pump: pump.clone(), status, age_ms, clock, verdict }
        };
        let frame = FleetFrame { now: self.clock.now(), pumps: self.pumps.iter().map(row).collect() };
        let _ = self.listeners.send(Arc::new(Frame::Fleet(frame)));
    }
}

impl Actor for LiveActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.frame, |actor, _| actor.send_frames());
        ctx.run_interval(FLEET_FRAME, |actor, _| actor.send_fleet());
    }
}

impl Handler<Envelope<LiveReading>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveReading>, _: &mut Self::Context) {
        let LiveReading { reading, heard, is_current, is_late, is_part } = message.into_inner();
        let now = self.clock.now();
        if is_current && let Some(unsent) = self.unsent(&reading.pump) {
            unsent.readings.push(&reading);
        }
        let old = |state: &State| state.ended.is_some() || self.age(state, state.shown).1;
        let was_old = self.pumps.get(&reading.pump).is_some_and(old);
        let state = self.state(&reading.pump);
        state.readings += u64::from(!is_part);
        state.late += u64::from(is_late);
        state.past += u64::from(!is_current);
        (state.heard, state.ended) = (Some(heard), None);
        if is_current {
            if was_old {
                state.since = now;
            }
            (state.latest, state.shown) = (Some(reading), Some(heard));
        }
    }
}

impl Handler<Envelope<LiveClock>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveClock>, _: &mut Self::Context) {
        let LiveClock { pump, fault } = message.into_inner();
        self.state(&pump).clock = fault;
    }
}

impl Handler<Envelope<LiveNotScored>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveNotScored>, _: &mut Self::Context) {
        let LiveNotScored { pump, why } = message.into_inner();
        let now = self.clock.now();
        let state = self.state(&pump);
        let status = why.status(&state.profile);
        state.turn(status, now);
    }
}

impl Handler<Envelope<LiveFeed>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveFeed>, _: &mut Self::Context) {
        let LiveFeed { pump, feed } = message.into_inner();
        self.state(&pump).feed = Some(feed);
    }
}

impl Handler<Envelope<LiveDetection>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveDetection>, _: &mut Self::Context) {
        let LiveDetection(detection) = message.into_inner();
        let now = self.clock.now();
        if let Some(unsent) = self.unsent(&detection.pump) {
            unsent.detections.push(&detection);
        }
        let state = self.state(&detection.pump);
        state.scored += 1;
        state.anomalies += u64::from(detection.is_anomaly);
        state.turn(if detection.is_anomaly { Status::Anomaly } else { Status::Normal }, now);
        state.trend.push(detection.at, detection.loss as f32);
        state.detection = Some(detection);
    }
}

impl Handler<Envelope<LiveGone>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveGone>, _: &mut Self::Context) {
        let LiveGone(pump) = message.into_inner();
        self.pumps.remove(&pump);
        self.unsent.remove(&pump);
        let _ = self.listeners.send(Arc::new(Frame::Removed(pump)));
    }
}

impl Handler<Envelope<LiveProfile>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveProfile>, _: &mut Self::Context) {
        let LiveProfile { pump, profile } = message.into_inner();
        // What waits to be sent was of the other one.
        self.unsent.remove(&pump);
        if let Some(state) = self.pumps.get_mut(&pump) {
            *state = State { readings: state.readings, late: state.late, ..State::new(profile, self.clock.now()) };
        }
    }
}

impl Handler<Envelope<LiveEnded>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveEnded>, _: &mut Self::Context) {
        let LiveEnded(pump) = message.into_inner();
        let now = self.clock.now();
        if let Some(state) = self.pumps.get_mut(&pump) {
            state.ended.get_or_insert(now);
        }
    }
}

impl Handler<Envelope<LiveNamed>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveNamed>, _: &mut Self::Context) {
        let LiveNamed { pump, name } = message.into_inner();
        let _ = self.listeners.send(Arc::new(Frame::Named(pump, name)));
    }
}

impl Handler<Envelope<AskLive>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<AskLive>, _: &mut Self::Context) {
        let AskLive { pump, reply } = message.into_inner();
        let answer = match pump {
            Some(pump) => self.pumps.get(&pump).map(|state| self.snapshot(&pump, state)).into_iter().collect(),
            None => self.pumps.iter().map(|(pump, state)| self.snapshot(pump, state)).collect(),
        };
        // Whoever asked may have gone.
        let _ = reply.send(answer);
    }
}

impl NotScoredReason {
    fn status(self, profile: &Profile) -> Status {
        match self {
            Self::NoModel => Status::Unknown { reason: "no model is loaded".into() },
            Self::Unread => {
                Status::Unknown { reason: "the database does not answer, so what is normal for it is not known".into() }
            }
            Self::Learning(progress) => Status::Learning(progress),
            Self::NotRunning { state: OperatingState::Off, .. } => Status::Off { stopping: false },
            Self::NotRunning { state: OperatingState::Stopping, .. } => Status::Off { stopping: true },
            Self::NotRunning { state: OperatingState::Starting | OperatingState::Running, have, need } => {
                Status::Starting { have, need }
            }
            Self::Missing { channels } => {
                let missing: Vec<_> = channels.iter().map(|&c| profile.channels()[c].name.as_str()).collect();
                Status::Unknown {
                    reason: format!(
                        "no usable value in the window for {}; of what is reported only when it changes, say how long it holds \
                         (volute pumps set-hold)",
                        missing.join(", ")
                    ),
                }
            }
            Self::Starved { why } => Status::Unknown { reason: why },
            Self::Failed => {
                Status::Unknown { reason: "its window could not be scored; the limits are watched all the same".into() }
            }
        }
    }
}

impl State {
    fn new(profile: Profile, now: Timestamp) -> Self {
        Self {
            profile,
            latest: None,
            shown: None,
            heard: None,
            ended: None,
            clock: None,
            status: Status::Unknown { reason: "no reading has been judged yet".into() },
            since: now,
            detection: None,
            feed: None,
            trend: Trend::default(),
            readings: 0,
            late: 0,
            past: 0,
            scored: 0,
            anomalies: 0,
        }
    }

    /// Takes a status on. The same one with other figures holds since it began.
    fn turn(&mut self, status: Status, now: Timestamp) {
        if mem::discriminant(&self.status) != mem::discriminant(&status) {
            self.since = now;
        }
        self.status = status;
    }
}

fn channel_state(channel: &Channel, sample: Sample) -> &'static str {
    let Sample::Good(value) = sample else { return sample.flag().unwrap_or("ok") };
    let limits = &channel.limits;
    let below = |limit: Option<f64>| limit.is_some_and(|limit| value < limit);
    let above = |limit: Option<f64>| limit.is_some_and(|limit| value > limit);
    match () {
        () if below(limits.low_alarm) => "low_alarm",
        () if above(limits.high_alarm) => "high_alarm",
        () if below(limits.low_warning) => "low_warning",
        () if above(limits.high_warning) => "high_warning",
        () => "ok",
    }
}

#[cfg(test)]
mod tests {
    use volute_plant::NoWindow;

    use super::*;
    use crate::live::snapshot::{CommissioningPhase, LearningProgress};

    #[test]
    fn every_reason_for_no_verdict_is_a_status() {
        let text = include_str!("../../config/profiles/centrifugal.toml");
        let profile = Profile::from_toml(text).expect("the default profile");
        let not_running = |state, have| NoWindow::NotRunning { state, have, need: 60 }.into();
        let unknown = |reason: &str| Status::Unknown { reason: reason.into() };
        let commissioning = || LearningProgress::Commissioning {
            phase: CommissioningPhase::Gathering,
            running_ms: 11_520_000,
            needed_ms: 86_400_000,
            trouble: None,
        };
        for (why, expected) in [
            (NotScoredReason::NoModel, unknown("no model is loaded")),
            (not_running(OperatingState::Off, 0), Status::Off { stopping: false }),
            (not_running(OperatingState::Stopping, 0), Status::Off { stopping: true }),
            (not_running(OperatingState::Starting, 12), Status::Starting { have: 12, need: 60 }),
            (
                NoWindow::Filling { have: 12, need: 30 }.into(),
                Status::Learning(LearningProgress::Window { have: 12, need: 30 }),
            ),
            (
                NoWindow::Missing { channels: vec![0, 7] }.into(),
                unknown(
                    "no usable value in the window for Motor_RPM, Motor_Current_A; of what is reported only when it changes, say \
                     how long it holds (volute pumps set-hold)",
                ),
            ),
            (NotScoredReason::Learning(commissioning()), Status::Learning(commissioning())),
        ] {
            assert_eq!(why.status(&profile), expected);
        }
    }
}
