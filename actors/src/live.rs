//! The live feed: the latest of every pump for those who ask, and frames for those who listen.
//!
//! Nothing here is kept for long: history is the store's. A slow listener loses its oldest frames; an
//! update for which the mailbox has no room is counted and dropped, since the next one replaces it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler};
use tokio::sync::{broadcast, oneshot};
use volute_plant::{Channel, Clock, Detection, NoWindow, Profile, PumpId, Reading, Sample, Timestamp};

use crate::{
    mailbox::{Mail, unbound},
    settings::LiveSettings,
};

/// How a pump is, as far as the model can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The window is filling; no verdict yet.
    Learning {
        /// Steps so far.
        have: usize,
        /// Steps it takes.
        need: usize,
    },
    /// No verdict is possible, and why.
    Unknown {
        /// The reason, for people.
        reason: String,
    },
    /// The last window is like those the model was trained on.
    Normal,
    /// It is not.
    Anomaly,
    /// Nothing was heard for too long: what was last known says nothing about now.
    Stale,
}

/// One channel of the latest reading.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveChannel {
    /// What was sent.
    pub sample: Sample,
    /// `ok`, `bad`, `filled`, `missing`, or the limit it is beyond: `low_alarm`, `low_warning`, `high_warning`,
    /// `high_alarm`.
    pub state: &'static str,
}

/// The latest of one pump.
#[derive(Debug, Clone)]
pub struct LivePump {
    /// Which pump.
    pub pump: PumpId,
    /// Its newest reading, and its channels in the profile's order.
    pub latest: Option<(Reading, Vec<LiveChannel>)>,
    /// How long ago that was received, in milliseconds.
    pub age_ms: Option<i64>,
    /// How it is.
    pub status: Status,
    /// The model's last verdict.
    pub detection: Option<Detection>,
    /// Readings since the node started.
    pub readings: u64,
    /// Windows scored since the node started.
    pub scored: u64,
    /// Anomalous windows since the node started.
    pub anomalies: u64,
}

/// What listeners get.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Readings of one pump.
    Readings(ReadingFrame),
    /// Detections of one pump.
    Detections(DetectionFrame),
}

/// Readings of one pump, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingFrame {
    /// Which pump.
    pub pump: PumpId,
    /// The times, in the order of arrival.
    pub t: Vec<Timestamp>,
    /// One column per channel of the profile, each as long as `t`; nothing where nothing was sent.
    pub values: Vec<Vec<Option<f64>>>,
}

/// Detections of one pump, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionFrame {
    /// Which pump.
    pub pump: PumpId,
    /// The times of the windows' last readings.
    pub t: Vec<Timestamp>,
    /// The losses.
    pub loss: Vec<f64>,
    /// The thresholds.
    pub threshold: Vec<f64>,
    /// Whether each was anomalous.
    pub is_anomaly: Vec<bool>,
}

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
    detection: Option<Detection>,
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
        let channels = self.profile.channels().len();
        self.pumps.entry(pump.clone()).or_insert_with(|| State::new(pump, channels))
    }

    fn snapshot(&self, pump: &PumpId, state: &State) -> LivePump {
        let age_ms = state.latest.as_ref().map(|r| self.clock.now().since_ms(r.received).max(0));
        let stale = age_ms.is_some_and(|age| age > self.stale_after_ms);
        let channels = |r: &Reading| {
            let pairs = self.profile.channels().iter().zip(r.samples.iter());
            pairs.map(|(channel, &sample)| LiveChannel { sample, state: channel_state(channel, sample) }).collect()
        };
        LivePump {
            pump: pump.clone(),
            latest: state.latest.as_ref().map(|r| (r.clone(), channels(r))),
            age_ms,
            status: if stale { Status::Stale } else { state.status.clone() },
            detection: state.detection.clone(),
            readings: state.readings,
            scored: state.scored,
            anomalies: state.anomalies,
        }
    }

    fn send_frames(&mut self) {
        let channels = self.profile.channels().len();
        for (pump, state) in &mut self.pumps {
            if !state.new_readings.t.is_empty() {
                let frame = std::mem::replace(&mut state.new_readings, empty_readings(pump, channels));
                // No listener is no error.
                let _ = self.listeners.send(Arc::new(Frame::Readings(frame)));
            }
            if !state.new_detections.t.is_empty() {
                let frame = std::mem::replace(&mut state.new_detections, empty_detections(pump));
                let _ = self.listeners.send(Arc::new(Frame::Detections(frame)));
            }
        }
    }
}

impl Actor for LiveActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        unbound(ctx);
        ctx.run_interval(self.frame, |actor, _| actor.send_frames());
    }
}

impl Handler<Mail<LiveReading>> for LiveActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<LiveReading>, _: &mut Self::Context) {
        let LiveReading(reading) = mail.open();
        let listened_to = self.listeners.receiver_count() > 0;
        let state = self.state(&reading.pump);
        state.readings += 1;
        if listened_to {
            state.new_readings.t.push(reading.at);
            for (column, sample) in state.new_readings.values.iter_mut().zip(reading.samples.iter()) {
                column.push(sample.value());
            }
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
        let names = self.profile.clone();
        self.state(&pump).status = match why {
            Some(NoWindow::Filling { have, need }) => Status::Learning { have, need },
            Some(NoWindow::Missing { channels }) => {
                let missing: Vec<_> = channels.iter().map(|&c| names.channels()[c].name.as_str()).collect();
                Status::Unknown { reason: format!("no usable value in the window for {}", missing.join(", ")) }
            }
            None => Status::Unknown { reason: "no model is loaded".into() },
        };
    }
}

impl Handler<Mail<LiveDetection>> for LiveActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<LiveDetection>, _: &mut Self::Context) {
        let LiveDetection(detection) = mail.open();
        let listened_to = self.listeners.receiver_count() > 0;
        let state = self.state(&detection.pump);
        state.scored += 1;
        state.anomalies += u64::from(detection.is_anomaly);
        state.status = if detection.is_anomaly { Status::Anomaly } else { Status::Normal };
        if listened_to {
            let frame = &mut state.new_detections;
            frame.t.push(detection.at);
            frame.loss.push(detection.loss);
            frame.threshold.push(detection.threshold);
            frame.is_anomaly.push(detection.is_anomaly);
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
    fn new(pump: &PumpId, channels: usize) -> Self {
        Self {
            latest: None,
            status: Status::Unknown { reason: "no reading has been judged yet".into() },
            detection: None,
            readings: 0,
            scored: 0,
            anomalies: 0,
            new_readings: empty_readings(pump, channels),
            new_detections: empty_detections(pump),
        }
    }
}

fn empty_readings(pump: &PumpId, channels: usize) -> ReadingFrame {
    ReadingFrame { pump: pump.clone(), t: Vec::new(), values: vec![Vec::new(); channels] }
}

fn empty_detections(pump: &PumpId) -> DetectionFrame {
    let (t, loss, threshold, is_anomaly) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    DetectionFrame { pump: pump.clone(), t, loss, threshold, is_anomaly }
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
