//! The live feed: the latest of every pump for those who ask, and frames for those who listen.
//!
//! Nothing here is kept for long: history is the store's. A slow listener loses its oldest frames; an
//! update for which the mailbox has no room is counted and dropped, since the next one replaces it.

mod frames;
mod picture;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use actix::{Actor, AsyncContext, Context, Handler};
use tokio::sync::{broadcast, oneshot};
use volute_plant::{Channel, Clock, Detection, NoWindow, Profile, PumpId, Reading, Sample, Timestamp};

pub use frames::{DetectionFrame, FleetFrame, FleetRow, Frame, ReadingFrame};
pub use picture::{LiveChannel, LivePump, Status, TREND};

use crate::{
    mailbox::{Mail, unbound},
    settings::LiveSettings,
};

/// Time between two pictures of the whole fleet.
const FLEET_FRAME: Duration = Duration::from_secs(1);

/// A reading has become durable.
pub(crate) struct LiveReading(pub Reading);

/// A reading got its place but no window, or there is no model.
pub(crate) struct LiveBlind {
    pub pump: PumpId,
    pub why: Option<NoWindow>,
}

/// A window was judged.
pub(crate) struct LiveDetection(pub Detection);

/// Somebody asks for one pump, or for all.
pub(crate) struct AskLive {
    pub pump: Option<PumpId>,
    pub reply: oneshot::Sender<Vec<LivePump>>,
}

/// The actor.
pub(crate) struct LiveActor {
    profile: Profile,
    clock: Arc<dyn Clock>,
    stale_after_ms: i64,
    frame: Duration,
    listeners: broadcast::Sender<Arc<Frame>>,
    pumps: BTreeMap<PumpId, State>,
}

struct State {
    latest: Option<Reading>,
    status: Status,
    since: Timestamp,
    detection: Option<Detection>,
    trend: VecDeque<(Timestamp, f32)>,
    readings: u64,
    scored: u64,
    anomalies: u64,
    new_readings: ReadingFrame,
    new_detections: DetectionFrame,
}

impl LiveActor {
    pub(crate) fn new(
        profile: Profile,
        clock: Arc<dyn Clock>,
        stale_after_intervals: i64,
        settings: &LiveSettings,
        listeners: broadcast::Sender<Arc<Frame>>,
    ) -> Self {
        let stale_after_ms = stale_after_intervals * profile.interval_ms();
        Self { profile, clock, stale_after_ms, frame: settings.frame, listeners, pumps: BTreeMap::new() }
    }

    fn state(&mut self, pump: &PumpId) -> &mut State {
        let (channels, clock) = (self.profile.channels().len(), &self.clock);
        self.pumps.entry(pump.clone()).or_insert_with(|| State::new(pump, channels, clock.now()))
    }

    /// How long ago the newest reading was received, in milliseconds, and whether that is too long.
    fn age(&self, state: &State) -> (Option<i64>, bool) {
        let age_ms = state.latest.as_ref().map(|r| self.clock.now().since_ms(r.received).max(0));
        (age_ms, age_ms.is_some_and(|age| age > self.stale_after_ms))
    }

    fn snapshot(&self, pump: &PumpId, state: &State) -> LivePump {
        let (age_ms, stale) = self.age(state);
        let channels = |r: &Reading| {
            let pairs = self.profile.channels().iter().zip(r.samples.iter());
            pairs.map(|(channel, &sample)| LiveChannel { sample, state: channel_state(channel, sample) }).collect()
        };
        let heard = state.latest.as_ref().map(|r| r.received).filter(|_| stale);
        LivePump {
            pump: pump.clone(),
            latest: state.latest.as_ref().map(|r| (r.clone(), channels(r))),
            age_ms,
            status: if stale { Status::Stale } else { state.status.clone() },
            since: heard.map_or(state.since, |heard| heard.plus_ms(self.stale_after_ms)),
            detection: state.detection.clone(),
            trend: state.trend.iter().copied().collect(),
            readings: state.readings,
            scored: state.scored,
            anomalies: state.anomalies,
        }
    }

    fn send_frames(&mut self) {
        let channels = self.profile.channels().len();
        for (pump, state) in &mut self.pumps {
            if !state.new_readings.t.is_empty() {
                let frame = mem::replace(&mut state.new_readings, ReadingFrame::empty(pump, channels));
                // No listener is no error.
                let _ = self.listeners.send(Arc::new(Frame::Readings(frame)));
            }
            if !state.new_detections.t.is_empty() {
                let frame = mem::replace(&mut state.new_detections, DetectionFrame::empty(pump, channels));
                let _ = self.listeners.send(Arc::new(Frame::Detections(frame)));
            }
        }
    }

    fn send_fleet(&self) {
        if self.listeners.receiver_count() == 0 {
            return;
        }
        let row = |(pump, state): (&PumpId, &State)| {
            let (age_ms, stale) = self.age(state);
            let status = if stale { Status::Stale } else { state.status.clone() };
            let verdict = state.detection.as_ref().map(|d| (d.at, d.loss, d.threshold));
            FleetRow { pump: pump.clone(), status, age_ms, verdict }
        };
        let frame = FleetFrame { now: self.clock.now(), pumps: self.pumps.iter().map(row).collect() };
        let _ = self.listeners.send(Arc::new(Frame::Fleet(frame)));
    }
}

impl Actor for LiveActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        unbound(ctx);
        ctx.run_interval(self.frame, |actor, _| actor.send_frames());
        ctx.run_interval(FLEET_FRAME, |actor, _| actor.send_fleet());
    }
}

impl Handler<Mail<LiveReading>> for LiveActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<LiveReading>, _: &mut Self::Context) {
        let LiveReading(reading) = mail.open();
        let (listened_to, now) = (self.listeners.receiver_count() > 0, self.clock.now());
        let was_stale = self.pumps.get(&reading.pump).is_some_and(|state| self.age(state).1);
        let state = self.state(&reading.pump);
        state.readings += 1;
        if was_stale {
            state.since = now;
        }
        if listened_to {
            state.new_readings.push(&reading);
        }
        if state.latest.as_ref().is_none_or(|latest| latest.at <= reading.at) {
            state.latest = Some(reading);
        }
    }
}

impl Handler<Mail<LiveBlind>> for LiveActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<LiveBlind>, _: &mut Self::Context) {
        let LiveBlind { pump, why } = mail.open();
        let (names, now) = (self.profile.clone(), self.clock.now());
        let status = match why {
            Some(NoWindow::Filling { have, need }) => Status::Learning { have, need },
            Some(NoWindow::Missing { channels }) => {
                let missing: Vec<_> = channels.iter().map(|&c| names.channels()[c].name.as_str()).collect();
                Status::Unknown { reason: format!("no usable value in the window for {}", missing.join(", ")) }
            }
            None => Status::Unknown { reason: "no model is loaded".into() },
        };
        self.state(&pump).turn(status, now);
    }
}

impl Handler<Mail<LiveDetection>> for LiveActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<LiveDetection>, _: &mut Self::Context) {
        let LiveDetection(detection) = mail.open();
        let (listened_to, now) = (self.listeners.receiver_count() > 0, self.clock.now());
        let state = self.state(&detection.pump);
        state.scored += 1;
        state.anomalies += u64::from(detection.is_anomaly);
        state.turn(if detection.is_anomaly { Status::Anomaly } else { Status::Normal }, now);
        if state.trend.len() == TREND {
            state.trend.pop_front();
        }
        state.trend.push_back((detection.at, detection.loss as f32));
        if listened_to {
            state.new_detections.push(&detection);
        }
        state.detection = Some(detection);
    }
}

impl Handler<Mail<AskLive>> for LiveActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<AskLive>, _: &mut Self::Context) {
        let AskLive { pump, reply } = mail.open();
        let answer = match pump {
            Some(pump) => self.pumps.get(&pump).map(|state| self.snapshot(&pump, state)).into_iter().collect(),
            None => self.pumps.iter().map(|(pump, state)| self.snapshot(pump, state)).collect(),
        };
        // Whoever asked may have gone.
        let _ = reply.send(answer);
    }
}

impl State {
    fn new(pump: &PumpId, channels: usize, now: Timestamp) -> Self {
        Self {
            latest: None,
            status: Status::Unknown { reason: "no reading has been judged yet".into() },
            since: now,
            detection: None,
            trend: VecDeque::new(),
            readings: 0,
            scored: 0,
            anomalies: 0,
            new_readings: ReadingFrame::empty(pump, channels),
            new_detections: DetectionFrame::empty(pump, channels),
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
