//! Maintenance: runs the profile's rules over every reading that came in time and has their events stored.
//!
//! The rules and the life of an event are [`MaintenanceDesk`]'s. Telling people is not done here.

use std::{collections::HashMap, sync::Arc};

use actix::{Actor, Context, Handler};
use tokio::sync::oneshot;
use volute_plant::{Detection, EventChange, MaintenanceDesk, MaintenanceEvent, Profile, PumpId, Reading};

use crate::{
    counters::{Counters, add},
    mailbox::{Mail, Mailbox, unbound},
    recorder::RecorderActor,
};

/// A reading that got its place, and the verdict on it if there is one.
pub(crate) struct Look {
    pub reading: Reading,
    pub detection: Option<Detection>,
}

/// Answers once everything before it is done.
pub(crate) struct DrainMaintenance(pub oneshot::Sender<()>);

/// The actor.
pub(crate) struct MaintenanceActor {
    profile: Profile,
    recorder: Mailbox<RecorderActor>,
    counters: Arc<Counters>,
    desks: HashMap<PumpId, MaintenanceDesk>,
}

impl MaintenanceActor {
    /// Starts with the events that stood at the last stop.
    pub(crate) fn new(
        profile: Profile,
        recorder: Mailbox<RecorderActor>,
        counters: Arc<Counters>,
        standing: Vec<MaintenanceEvent>,
    ) -> Self {
        let mut of_pump: HashMap<PumpId, Vec<MaintenanceEvent>> = HashMap::new();
        for event in standing {
            of_pump.entry(event.pump.clone()).or_default().push(event);
        }
        let desk = |(pump, events)| (pump, MaintenanceDesk::new(profile.clone(), events));
        let desks = of_pump.into_iter().map(desk).collect();
        Self { profile, recorder, counters, desks }
    }
}

impl Actor for MaintenanceActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        unbound(ctx);
    }
}

impl Handler<Mail<Look>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<Look>, ctx: &mut Self::Context) {
        let Look { reading, detection } = mail.open();
        let profile = &self.profile;
        let desk =
            self.desks.entry(reading.pump.clone()).or_insert_with(|| MaintenanceDesk::new(profile.clone(), Vec::new()));
        for change in desk.observe(&reading, detection.as_ref()) {
            let event = change.event().clone();
            match change {
                EventChange::Opened(_) => {
                    add(&self.counters.events_opened, 1);
                    tracing::warn!(pump = %event.pump, rule = event.rule, peak = event.peak, "maintenance event opened");
                }
                EventChange::Resolved(_) => {
                    tracing::info!(pump = %event.pump, rule = event.rule, "maintenance event resolved");
                }
                EventChange::Updated(_) => {}
            }
            self.recorder.clone().post_or_wait(event, self, ctx);
        }
    }
}

impl Handler<Mail<DrainMaintenance>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<DrainMaintenance>, _: &mut Self::Context) {
        let DrainMaintenance(reply) = mail.open();
        let _ = reply.send(());
    }
}
