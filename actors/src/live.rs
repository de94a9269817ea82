//! The live feed: the present state of every pump, for queries and as frames for subscribers.
//!
//! Pumps send updates to one actor. It keeps a state per pump and broadcasts frames: readings and detections every
//! `live.frame_ms`, and the status of all pumps once a second. An example of one pump's status:
//!
//! 1. A current reading arrives. The status is learning (12 of 30 steps) until the window is full.
//! 2. The detection of the window arrives: the status is normal or anomaly.
//! 3. No reading arrives for the pump's `stale_after_ms`. At the end of this time the status becomes stale.
//! 4. Only old readings arrive, as part of a backlog: the status is unknown, because none shows the present state.
//!
//! A slow subscriber loses its oldest frames. An update that does not fit into the inbox is counted and dropped,
//! since the next update replaces it. Does not keep history; see the store.

pub(crate) mod frames;
pub(crate) mod last_shown;
pub(crate) mod snapshot;
pub(crate) mod trend;

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler};
use tokio::sync::broadcast;
use volute_plant::{
    Channel, Clock, ClockFault, Detection, Limit, OperatingState, Profile, PumpId, Reading, Sample, Timestamp,
};
use volute_runtime::Envelope;

use crate::{
    alarms::StandingAlarms,
    catalog::Catalog,
    protocol::{
        alarms::{AlarmSummary, AlarmsChanged},
        live::{
            GetLivePumps, LiveCadenceChanged, LiveClockFault, LiveDetection, LiveNoDetection, LiveProfileChanged,
            LivePumpRemoved, LivePumpRenamed, LiveReading, LiveSimulationEnded, NoDetectionReason,
        },
    },
    settings::LiveSettings,
};
use frames::{DetectionFrame, FleetFrame, FleetRow, Frame, ReadingFrame};
use snapshot::{LiveCadence, LiveChannel, LivePump, Status};
use trend::Trend;

/// The time between two frames of the whole fleet.
const FLEET_FRAME_INTERVAL: Duration = Duration::from_secs(1);

/// The actor.
pub(crate) struct LiveActor {
    catalog: Catalog,
    standing_alarms: StandingAlarms,
    clock: Arc<dyn Clock>,
    stale_after_intervals: i64,
    frame: Duration,
    subscribers: broadcast::Sender<Arc<Frame>>,
    pumps: BTreeMap<PumpId, LivePumpState>,
    /// Readings and detections that were not sent to subscribers yet, by pump.
    unsent: BTreeMap<PumpId, Unsent>,
}

struct LivePumpState {
    profile: Profile,
    /// The current reading that was received last.
    latest: Option<Reading>,
    /// When `latest` was received.
    last_current_at: Option<Timestamp>,
    /// When any reading was received last, current or not.
    last_received_at: Option<Timestamp>,
    /// When its simulation ended, if no reading arrived since.
    simulation_ended_at: Option<Timestamp>,
    clock: Option<ClockFault>,
    status: Status,
    /// When the status last changed.
    since: Timestamp,
    detection: Option<Detection>,
    note: Option<Arc<str>>,
    cadence: Option<LiveCadence>,
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
        standing_alarms: StandingAlarms,
        clock: Arc<dyn Clock>,
        stale_after_intervals: i64,
        settings: &LiveSettings,
        subscribers: broadcast::Sender<Arc<Frame>>,
    ) -> Self {
        let (pumps, unsent) = Default::default();
        Self {
            catalog,
            standing_alarms,
            clock,
            stale_after_intervals,
            frame: settings.frame,
            subscribers,
            pumps,
            unsent,
        }
    }

    fn state(&mut self, pump: &PumpId) -> &mut LivePumpState {
        let new = || LivePumpState::new(self.catalog.of(pump).profile, self.clock.now());
        self.pumps.entry(pump.clone()).or_insert_with(new)
    }

    /// Returns the unsent frames of a pump; none if there is no subscriber.
    fn unsent(&mut self, pump: &PumpId) -> Option<&mut Unsent> {
        if self.subscribers.receiver_count() == 0 {
            return None;
        }
        let profile = self.state(pump).profile.clone();
        let empty = || Unsent {
            readings: ReadingFrame::empty(pump, &profile),
            detections: DetectionFrame::empty(pump, &profile),
        };
        Some(self.unsent.entry(pump.clone()).or_insert_with(empty))
    }

    /// Returns for how long a pump may be silent before it is stale: the time by the node's setting, or the longer time
    /// that is derived from the pump's usual pauses between posts.
    fn stale_after_ms(&self, state: &LivePumpState) -> i64 {
        let own_ms = state.cadence.as_ref().map_or(0, |cadence| cadence.stale_after_ms);
        own_ms.max(self.stale_after_intervals * state.profile.interval_ms())
    }

    /// Returns how long ago a reading was received, in milliseconds, and whether that is so long that the pump is
    /// stale.
    fn age(&self, state: &LivePumpState, received: Option<Timestamp>) -> (Option<i64>, bool) {
        let age_ms = received.map(|received| self.clock.now().since_ms(received).max(0));
        (age_ms, age_ms.is_some_and(|age| age > self.stale_after_ms(state)))
    }

    /// Returns a pump's status now. A pump that sends only old readings is not stale but unknown.
    fn status(&self, state: &LivePumpState) -> Status {
        let any = self.age(state, state.last_received_at);
        let current = self.age(state, state.last_current_at);
        match (any, current) {
            ((None, _), _) if state.clock.is_some() => Status::Stale,
            ((_, true), _) => Status::Stale,
            _ if state.simulation_ended_at.is_some() => Status::Stale,
            ((Some(_), _), (None, _) | (_, true)) => Status::Unknown {
                reason: match state.clock {
                    Some(fault) => fault.message(),
                    None => "no current reading has arrived, only older ones".into(),
                },
            },
            _ => state.status.clone(),
        }
    }

    fn snapshot(&self, pump: &PumpId, state: &LivePumpState) -> LivePump {
        let (age_ms, _) = self.age(state, state.last_received_at);
        let status = self.status(state);
        let channels = |r: &Reading| {
            let pairs = state.profile.channels().iter().zip(r.samples.iter());
            pairs.map(|(channel, &sample)| LiveChannel { sample, state: channel_state(channel, sample) }).collect()
        };
        let last = match status {
            Status::Stale => state.last_received_at,
            Status::Unknown { .. } if self.age(state, state.last_current_at).1 => state.last_current_at,
            _ => None,
        };
        let silent_since = last.map(|last| last.plus_ms(self.stale_after_ms(state)));
        LivePump {
            pump: pump.clone(),
            latest: state.latest.as_ref().map(|r| (r.clone(), channels(r))),
            age_ms,
            status,
            clock: state.clock,
            since: state.simulation_ended_at.or(silent_since).unwrap_or(state.since),
            detection: state.detection.clone(),
            note: state.note.clone(),
            trend: state.trend.points(),
            cadence: state
                .cadence
                .clone()
                .map(|cadence| LiveCadence { stale_after_ms: self.stale_after_ms(state), ..cadence }),
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
                // Fails if there are no subscribers, which is not an error.
                let _ = self.subscribers.send(Arc::new(Frame::Readings(readings)));
            }
            if !detections.t.is_empty() {
                let _ = self.subscribers.send(Arc::new(Frame::Detections(detections)));
            }
        }
    }

    fn send_fleet(&self) {
        if self.subscribers.receiver_count() == 0 {
            return;
        }
        let row = |(pump, state): (&PumpId, &LivePumpState)| {
            let ((age_ms, _), status) = (self.age(state, state.last_received_at), self.status(state));
            let clock = state.clock.map(|fault| fault.message());
            let detection = state.detection.as_ref().map(|d| (d.at, d.loss, d.threshold));
            FleetRow {
                pump: pump.clone(),
                status,
                age_ms,
                clock,
                detection,
                alarms: AlarmSummary::of(&self.standing_alarms.of(pump)),
            }
        };
        let frame = FleetFrame { now: self.clock.now(), pumps: self.pumps.iter().map(row).collect() };
        let _ = self.subscribers.send(Arc::new(Frame::Fleet(frame)));
    }
}

impl Actor for LiveActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.frame, |actor, _| actor.send_frames());
        ctx.run_interval(FLEET_FRAME_INTERVAL, |actor, _| actor.send_fleet());
    }
}

impl Handler<Envelope<LiveReading>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveReading>, _: &mut Self::Context) {
        let LiveReading { reading, received_at, is_current, is_late, is_part } = message.into_inner();
        let now = self.clock.now();
        if is_current && let Some(unsent) = self.unsent(&reading.pump) {
            unsent.readings.push(&reading);
        }
        let is_stale =
            |state: &LivePumpState| state.simulation_ended_at.is_some() || self.age(state, state.last_current_at).1;
        let was_stale = self.pumps.get(&reading.pump).is_some_and(is_stale);
        let state = self.state(&reading.pump);
        state.readings += u64::from(!is_part);
        state.late += u64::from(is_late);
        state.past += u64::from(!is_current);
        (state.last_received_at, state.simulation_ended_at) = (Some(received_at), None);
        if is_current {
            if was_stale {
                state.since = now;
            }
            (state.latest, state.last_current_at) = (Some(reading), Some(received_at));
        }
    }
}

impl Handler<Envelope<LiveClockFault>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveClockFault>, _: &mut Self::Context) {
        let LiveClockFault { pump, fault } = message.into_inner();
        self.state(&pump).clock = fault;
    }
}

impl Handler<Envelope<LiveNoDetection>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveNoDetection>, _: &mut Self::Context) {
        let LiveNoDetection { pump, reason } = message.into_inner();
        let now = self.clock.now();
        let state = self.state(&pump);
        let status = reason.status(&state.profile);
        state.set_status(status, now);
    }
}

impl Handler<Envelope<LiveCadenceChanged>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveCadenceChanged>, _: &mut Self::Context) {
        let LiveCadenceChanged { pump, cadence } = message.into_inner();
        self.state(&pump).cadence = Some(cadence);
    }
}

impl Handler<Envelope<LiveDetection>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveDetection>, _: &mut Self::Context) {
        let LiveDetection { detection, note } = message.into_inner();
        let now = self.clock.now();
        if let Some(unsent) = self.unsent(&detection.pump) {
            unsent.detections.push(&detection);
        }
        let state = self.state(&detection.pump);
        state.scored += 1;
        state.anomalies += u64::from(detection.is_anomaly);
        state.set_status(if detection.is_anomaly { Status::Anomaly } else { Status::Normal }, now);
        state.trend.push(detection.at, detection.loss as f32);
        state.detection = Some(detection);
        state.note = note;
    }
}

impl Handler<Envelope<AlarmsChanged>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<AlarmsChanged>, _: &mut Self::Context) {
        let AlarmsChanged { pump, summary } = message.into_inner();
        let _ = self.subscribers.send(Arc::new(Frame::Alarms(pump, summary)));
    }
}

impl Handler<Envelope<LivePumpRemoved>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LivePumpRemoved>, _: &mut Self::Context) {
        let LivePumpRemoved(pump) = message.into_inner();
        self.pumps.remove(&pump);
        self.unsent.remove(&pump);
        let _ = self.subscribers.send(Arc::new(Frame::Removed(pump)));
    }
}

impl Handler<Envelope<LiveProfileChanged>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveProfileChanged>, _: &mut Self::Context) {
        let LiveProfileChanged { pump, profile } = message.into_inner();
        // The unsent frames have the columns of the old profile.
        self.unsent.remove(&pump);
        if let Some(state) = self.pumps.get_mut(&pump) {
            *state = LivePumpState {
                readings: state.readings,
                late: state.late,
                ..LivePumpState::new(profile, self.clock.now())
            };
        }
    }
}

impl Handler<Envelope<LiveSimulationEnded>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LiveSimulationEnded>, _: &mut Self::Context) {
        let LiveSimulationEnded(pump) = message.into_inner();
        let now = self.clock.now();
        if let Some(state) = self.pumps.get_mut(&pump) {
            state.simulation_ended_at.get_or_insert(now);
        }
    }
}

impl Handler<Envelope<LivePumpRenamed>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<LivePumpRenamed>, _: &mut Self::Context) {
        let LivePumpRenamed { pump, name } = message.into_inner();
        let _ = self.subscribers.send(Arc::new(Frame::Named(pump, name)));
    }
}

impl Handler<Envelope<GetLivePumps>> for LiveActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<GetLivePumps>, _: &mut Self::Context) {
        let GetLivePumps { pump, reply } = message.into_inner();
        let pumps = match pump {
            Some(pump) => self.pumps.get(&pump).map(|state| self.snapshot(&pump, state)).into_iter().collect(),
            None => self.pumps.iter().map(|(pump, state)| self.snapshot(pump, state)).collect(),
        };
        // The caller may have stopped waiting.
        let _ = reply.send(pumps);
    }
}

impl NoDetectionReason {
    fn status(self, profile: &Profile) -> Status {
        match self {
            Self::DamagedProfile { reason } => Status::Unknown {
                reason: format!("its profile cannot be used, so its readings are only stored: {reason}"),
            },
            Self::NoModel => Status::Unknown { reason: "its profile has no model".into() },
            Self::BaselineUnavailable => {
                Status::Unknown { reason: "the database does not answer, so the pump's baseline is not known".into() }
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
                        "no usable value in the window for {}; for a channel that is reported only when it changes, set how long a \
                         value holds (volute pumps set-hold)",
                        missing.join(", ")
                    ),
                }
            }
            Self::TooSparse { reason } => Status::Unknown { reason },
            Self::ScoringFailed => {
                Status::Unknown { reason: "its window could not be scored; its limits are still evaluated".into() }
            }
        }
    }
}

impl LivePumpState {
    fn new(profile: Profile, now: Timestamp) -> Self {
        Self {
            profile,
            latest: None,
            last_current_at: None,
            last_received_at: None,
            simulation_ended_at: None,
            clock: None,
            status: Status::Unknown { reason: "no reading has been judged yet".into() },
            since: now,
            detection: None,
            note: None,
            cadence: None,
            trend: Trend::default(),
            readings: 0,
            late: 0,
            past: 0,
            scored: 0,
            anomalies: 0,
        }
    }

    /// Sets the status. `since` stays the same if only figures within the status change.
    fn set_status(&mut self, status: Status, now: Timestamp) {
        if mem::discriminant(&self.status) != mem::discriminant(&status) {
            self.since = now;
        }
        self.status = status;
    }
}

fn channel_state(channel: &Channel, sample: Sample) -> &'static str {
    let Sample::Good(value) = sample else { return sample.flag().unwrap_or("ok") };
    channel.limits.beyond(value).map_or("ok", Limit::name)
}

#[cfg(test)]
mod tests {
    use volute_plant::NoWindow;

    use super::*;
    use crate::live::snapshot::{CommissioningPhase, LearningProgress};

    #[test]
    fn each_reason_for_no_detection_has_a_status() {
        let text = include_str!("../../config/profiles/centrifugal.toml");
        let profile = Profile::from_toml(text).expect("the default profile");
        let not_running = |state, have| NoWindow::NotRunning { state, have, need: 60 }.into();
        let unknown = |reason: &str| Status::Unknown { reason: reason.into() };
        let commissioning = || LearningProgress::Commissioning {
            phase: CommissioningPhase::Gathering,
            running_ms: 11_520_000,
            needed_ms: 86_400_000,
            last_error: None,
        };
        for (reason, expected) in [
            (NoDetectionReason::NoModel, unknown("its profile has no model")),
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
                    "no usable value in the window for Motor_RPM, Motor_Current_A; for a channel that is reported only when it \
                     changes, set how long a value holds (volute pumps set-hold)",
                ),
            ),
            (NoDetectionReason::Learning(commissioning()), Status::Learning(commissioning())),
        ] {
            assert_eq!(reason.status(&profile), expected);
        }
    }
}
