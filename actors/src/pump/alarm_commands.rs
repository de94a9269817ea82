//! The part of a pump's actor that runs its alarms: stores changes, updates the pump's standing alarms, and carries out
//! commands.
//!
//! A command's response is sent when its rows are durable. If they are not stored because the journal fails, the alarm has
//! changed already and the recorder tries again; the user gets an error that says so. [`super::alarms`] has the logic.

use std::{sync::Arc, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use volute_alarm::ChannelSpread;
use volute_anomaly::Baseline;
use volute_data::{AlarmRules, Batch, Document, StoreError};
use volute_plant::Timestamp;
use volute_runtime::Envelope;

use super::{
    actor::PumpActor,
    alarms::{AlarmChanges, RecoveredAlarms},
    recovery,
};
use crate::{
    alarms::arm,
    commissioning::mode::PumpMode,
    counters::add,
    planned_work::active_ids,
    protocol::{
        alarms::{
            AlarmCommand, AlarmCommandError, AlarmReply, AlarmRequest, AlarmResults, AlarmsChanged, NewAlarmRules,
        },
        recorder::RecordRow,
    },
};

/// How often time passes for the alarms of a pump.
const TICK_INTERVAL: Duration = Duration::from_secs(10);
/// The pause before the stored alarms are read again.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

impl PumpActor {
    /// Begins to evaluate readings against alarms. Without `recovered`, the stored alarms are read again later.
    pub(super) fn begin_alarms(&mut self, recovered: Option<RecoveredAlarms>, ctx: &mut Context<Self>) {
        let Some(recovered) = recovered else {
            ctx.run_later(RETRY_INTERVAL, |actor, ctx| actor.read_alarms_again(ctx));
            return;
        };
        let profile = self.pipeline.profile().clone();
        self.alarm_rules = recovered.stored.rules.clone();
        let armed = self.context.armed.get(&self.pump, &profile, self.alarm_rules.as_ref());
        let now = self.context.clock.now();
        self.alarms.begin(&profile, armed, recovered, now);
        self.apply_planned_work(now);
        self.set_alarm_baseline();
        self.publish_alarms();
        self.apply_alarms(ctx);
        ctx.run_interval(TICK_INTERVAL, Self::tick_alarms);
    }

    fn tick_alarms(&mut self, ctx: &mut Context<Self>) {
        let now = self.context.clock.now();
        self.apply_planned_work(now);
        self.alarms.tick(now);
        self.apply_alarms(ctx);
    }

    /// Lets time pass when the next delay is over, so that the alarm of a pump that has fallen silent is in time. A delay
    /// that a reading ends before costs one timer.
    fn schedule_alarm_tick(&mut self, ctx: &mut Context<Self>) {
        let Some(due_ms) = self.alarms.due_in_ms() else { return };
        let due = Duration::from_millis(due_ms.unsigned_abs());
        // The regular tick comes before.
        if self.alarm_tick_is_scheduled || due >= TICK_INTERVAL {
            return;
        }
        self.alarm_tick_is_scheduled = true;
        ctx.run_later(due, |actor, ctx| {
            actor.alarm_tick_is_scheduled = false;
            actor.tick_alarms(ctx);
        });
    }

    fn read_alarms_again(&mut self, ctx: &mut Context<Self>) {
        let (context, pump) = (self.context.clone(), self.pump.clone());
        let read = async move { recovery::alarms(&context, &pump).await };
        // Readings that arrive meanwhile wait, so that each is evaluated: as a stored one, or after it.
        ctx.wait(read.into_actor(self).map(|recovered, actor, ctx| match recovered {
            Ok(recovered) => actor.begin_alarms(recovered, ctx),
            Err(error) => actor.incarnation.fail(format!("the pump's alarms could not be read: {error}"), ctx),
        }));
    }

    /// Uses the alarms of the profile in use.
    pub(super) fn rearm(&mut self) {
        if self.alarms.is_ready() {
            let armed = self.context.armed.get(&self.pump, self.pipeline.profile(), self.alarm_rules.as_ref());
            let now = self.context.clock.now();
            self.alarms.rearm(armed, now);
            self.apply_planned_work(now);
        }
    }

    /// Suppresses the alarms by the planned work that is active, if that has changed.
    pub(super) fn apply_planned_work(&mut self, now: Timestamp) {
        if let Some(works) = self.context.work.of(&self.pump) {
            self.alarms.suppress_by_work(active_ids(&works, now), now);
        }
    }

    /// Uses the baseline of the mode in use for deviations.
    pub(super) fn set_alarm_baseline(&mut self) {
        let spreads = match self.pipeline.mode() {
            PumpMode::Detecting { decider, .. } => Some(channel_spreads(decider.baseline())),
            _ => None,
        };
        self.alarms.set_baseline(spreads);
    }

    /// Stores the changes of the alarms, and publishes them.
    pub(super) fn apply_alarms(&mut self, ctx: &mut Context<Self>) {
        if let Some(AlarmChanges { documents, rows }) = self.alarms.take_changes() {
            for document in documents {
                self.send_document(document, ctx);
            }
            let raised = rows.iter().filter(|row| row.announces).count();
            add(&self.context.counters.alarms_raised, raised);
            for row in rows.iter().filter(|row| row.announces) {
                tracing::warn!(pump = self.pump.as_str(), alarm = row.alarm.as_str(), priority = ?row.priority, "alarm raised");
            }
            self.publish_alarms();
        }
        if let Some(checkpoint) = self.alarms.checkpoint() {
            self.send_document(checkpoint, ctx);
        }
        self.schedule_alarm_tick(ctx);
    }

    /// Stores the timers when the node stops.
    pub(super) fn store_last_alarm_checkpoint(&mut self, ctx: &mut Context<Self>) {
        if let Some(checkpoint) = self.alarms.last_checkpoint() {
            self.send_document(checkpoint, ctx);
        }
    }

    fn send_document(&self, document: Document, ctx: &mut Context<Self>) {
        // The store refuses documents of a pump of which nothing is stored. Alarms of such a pump have no rows, because
        // rows come from durable readings.
        self.outbox.send_or_suspend(&self.context.recorder.results, RecordRow::Document(document), ctx);
    }

    /// Updates the pump's standing alarms, and shows a changed summary. Does nothing while nothing of the pump is stored.
    pub(super) fn publish_alarms(&mut self) {
        if self.unregistered.is_some() || !self.alarms.is_ready() {
            return;
        }
        let standing = self.alarms.standing();
        let changed = AlarmsChanged::of(self.pump.clone(), &standing);
        self.context.standing_alarms.set(&self.pump, standing);
        if self.published_alarms != changed.summary {
            self.published_alarms = changed.summary;
            add(&self.context.counters.live_dropped, usize::from(self.context.live.try_send(changed).is_err()));
        }
    }

    fn command_alarms(
        &mut self,
        request: AlarmRequest,
        ctx: &mut Context<Self>,
    ) -> Result<AlarmResults, AlarmCommandError> {
        if !self.alarms.is_ready() {
            return Err(AlarmCommandError::NotReady);
        }
        let now = self.context.clock.now();
        let results = match request {
            AlarmRequest::Commands { commands, user } => {
                let run = |(alarm, command)| (self.alarms.command(&alarm, command, &user, now), alarm);
                commands.into_iter().map(run).map(|(result, alarm)| (alarm, result)).collect()
            }
            AlarmRequest::FollowWork => {
                self.apply_planned_work(now);
                Vec::new()
            }
        };
        self.apply_alarms(ctx);
        Ok(results)
    }

    /// Returns the rules to store, if those in use are the ones that they were made from.
    fn next_rules(&self, new: NewAlarmRules) -> Result<AlarmRules, AlarmCommandError> {
        let NewAlarmRules { pump, by, definitions, removed, made_from } = new;
        if !self.alarms.is_ready() {
            // Those in use are not known yet.
            return Err(AlarmCommandError::NotReady);
        }
        let version = self.alarm_rules.as_ref().map_or(0, |rules| rules.version);
        if let (Some(made_from), Some(rules)) = (made_from, &self.alarm_rules)
            && made_from != version
        {
            return Err(AlarmCommandError::OtherVersion { by: rules.by.clone(), at: rules.at });
        }
        Ok(AlarmRules { pump, at: self.context.clock.now(), by, definitions, removed, version: version + 1 })
    }

    /// Stores the pump's own alarms and uses them.
    fn set_alarm_rules(&mut self, new: NewAlarmRules, reply: AlarmReply, ctx: &mut Context<Self>) {
        let rules = match self.next_rules(new) {
            Ok(rules) => rules,
            Err(error) => return drop(reply.send(Err(error))),
        };
        if let Err(mistakes) = arm(self.pipeline.profile(), Some(&rules)) {
            return drop(reply.send(Err(AlarmCommandError::Invalid(mistakes))));
        }
        let store = self.context.store.clone();
        let save = async move {
            let batch = Batch { documents: vec![Document::of(&rules)], ..Batch::default() };
            store.commit(&batch).await.map(|()| rules)
        };
        ctx.wait(save.into_actor(self).map(|saved: Result<AlarmRules, StoreError>, actor, ctx| {
            let result = match saved {
                Ok(rules) => {
                    tracing::info!(pump = actor.pump.as_str(), by = rules.by, "alarms changed");
                    actor.alarm_rules = Some(rules);
                    actor.rearm();
                    actor.apply_alarms(ctx);
                    Ok(Vec::new())
                }
                Err(error) => {
                    tracing::error!(pump = actor.pump.as_str(), %error, "alarms not changed");
                    Err(AlarmCommandError::NotStored)
                }
            };
            // The caller may be gone.
            let _ = reply.send(result);
        }));
    }
}

impl Handler<Envelope<AlarmCommand>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<AlarmCommand>, ctx: &mut Self::Context) {
        match message.into_inner() {
            AlarmCommand::Request { request, reply } => {
                let results = self.command_alarms(request, ctx);
                let recorder = self.context.recorder.clone();
                let respond = async move {
                    let result = match results {
                        Ok(results) => match recorder.stored().await {
                            Ok(()) => Ok(results),
                            Err(_) => Err(AlarmCommandError::NotStored),
                        },
                        Err(error) => Err(error),
                    };
                    // The caller may be gone.
                    let _ = reply.send(result);
                };
                // After the documents, which may still wait for permits of the recorder's inbox. The wait for the disk is
                // spawned, so that it does not hold up the pump's readings.
                self.outbox.then(async move { drop(actix::spawn(respond)) }, ctx);
            }
            AlarmCommand::SetRules { rules, reply } => self.set_alarm_rules(rules, reply, ctx),
        }
    }
}

/// Returns the usual level of each channel and how far values usually lie from it, in the channel's unit.
fn channel_spreads(baseline: &Baseline) -> Arc<[ChannelSpread]> {
    let channels = baseline.channels.iter().zip(baseline.scaler.spans());
    let spread = |(channel, span): (&volute_anomaly::ChannelBaseline, &volute_anomaly::Span)| {
        let width = span.max - span.min;
        ChannelSpread { level: span.min + channel.level * width, spread: channel.short_spread * width }
    };
    channels.map(spread).collect()
}
