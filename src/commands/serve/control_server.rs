//! Carries out what commands on the same machine ask of the running node over the control socket: to make a backup, to export,
//! to remove a pump, to believe its clock. Each is noted in the audit log.
//!
//! The work is done on threads that may wait for the disk, never on the actors'. When the node stops, what is under way is
//! cut short and waited for, since it uses the store.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Serialize;
use serde_json::Value;
use tokio::{
    runtime::Handle,
    sync::{Mutex, RwLock},
};
use volute_actors::{EngineHandle, Simulation};
use volute_data::{AuditAction, AuditEntry, Export, export};
use volute_plant::Timestamp;

use crate::{
    commands::{
        backup::back_up,
        kind_reports::kinds_listed,
        pump_reports::{check_channel, listed, named, settings_of},
    },
    control::{Control, Peer, Request},
    kinds::ModelFiles,
    node_kinds::NodeKinds,
};

/// What answers. Cheap to clone.
#[derive(Clone)]
pub(super) struct ControlServer {
    engine: EngineHandle,
    /// What simulates pumps, in a demo.
    simulation: Option<Simulation>,
    dir: PathBuf,
    kinds: NodeKinds,
    stopping: Arc<AtomicBool>,
    /// Read by whatever is under way; written by the end.
    under_way: Arc<RwLock<()>>,
    /// Held by the backup that is being made.
    backup: Arc<Mutex<()>>,
}

impl ControlServer {
    pub(super) fn new(engine: EngineHandle, simulation: Option<Simulation>, dir: PathBuf, kinds: NodeKinds) -> Self {
        let (stopping, under_way, backup) = Default::default();
        Self { engine, simulation, dir, kinds, stopping, under_way, backup }
    }

    /// Answers until it is dropped. Without the socket the node does all else, so it runs.
    pub(super) async fn listen(self, control: io::Result<Control>) {
        match control {
            Ok(control) => control.serve(move |request, peer| self.clone().answer(request, peer)).await,
            Err(error) => {
                tracing::warn!(%error, dir = %self.dir.display(), "no control socket: no backup or export while it runs");
            }
        }
    }

    /// Cuts short what is under way and waits for its end; nothing new begins.
    pub(super) async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.under_way.write().await);
    }

    async fn answer(self, request: Request, peer: Peer) -> Result<Value, String> {
        let under_way = self.under_way.clone().read_owned().await;
        if self.stopping.load(Ordering::Relaxed) {
            return Err("the node is stopping".to_owned());
        }
        // A task of its own: it comes to its end even if nobody waits for it any more.
        let work = tokio::task::spawn_blocking(move || {
            let answer = Handle::current().block_on(self.carry_out(request, peer));
            drop(under_way);
            answer
        });
        match work.await {
            Ok(answer) => answer,
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// Does it, and answers when what came of it is noted.
    async fn carry_out(self, request: Request, peer: Peer) -> Result<Value, String> {
        let engine = self.engine.clone();
        let note = note(&request, peer, engine.now());
        let outcome = self.work(request).await;
        if let Some(note) = note {
            let note = match &outcome {
                Ok(_) => note,
                Err(why) => note.refused(why),
            };
            engine.note_action(note).await;
        }
        outcome
    }

    async fn work(self, request: Request) -> Result<Value, String> {
        match request {
            Request::Backup { repository } => {
                let Ok(_alone) = self.backup.try_lock() else {
                    return Err("a backup is being made already".to_owned());
                };
                let done = back_up(self.engine.store(), &self.dir, repository, self.stopping).await;
                done.map_err(failure).and_then(|done| value(&done))
            }
            Request::Export(what) => {
                let exported = export(self.engine.store(), &what, &self.stopping).await.map_err(failure)?;
                let Export { pump, file, .. } = &what;
                tracing::info!(pump = pump.as_str(), file = %file.display(), readings = exported.readings, "exported");
                value(&exported)
            }
            Request::ConfirmClock => self.engine.confirm_clock().map_err(failure).and_then(|now| value(&now)),
            Request::Pumps => value(&listed(self.engine.store())),
            Request::RemovePump { pump } => {
                if let Some(simulation) = &self.simulation
                    && simulation.plays(&pump).await
                {
                    return Err(format!("{pump} is simulated and would come again at once: stop the simulation first"));
                }
                self.engine.remove_pump(&pump).await.map_err(failure)?;
                value(&())
            }
            Request::PumpSettings { pump } => {
                value(&settings_of(self.engine.store(), &self.engine.profile_of(&pump), &pump).await.map_err(failure)?)
            }
            Request::SetPump { pump, setting } => {
                let profile = self.engine.profile_of(&pump);
                let known = settings_of(self.engine.store(), &profile, &pump).await.map_err(failure)?;
                check_channel(&setting, &profile).map_err(failure)?;
                self.engine.set_pump_settings(&pump, known.settings.with(setting)).await.map_err(failure)?;
                value(&())
            }
            Request::NamePump { pump, name } => match self.engine.name_pump(&pump, name).await.map_err(failure)? {
                true => value(&()),
                false => Err(format!("there is no pump {pump}")),
            },
            Request::Profiles => value(&kinds_listed(&self.engine.kinds())),
            Request::AddProfile { profile, origin, model } => {
                let model = model.as_deref().map(ModelFiles::Folder);
                let added = self.kinds.add(&profile, &origin, model).map_err(failure)?;
                value(&kinds_listed(&[added.kind]))
            }
            Request::AssignProfile { pump, profile } => {
                self.engine.assign_profile(&pump, &profile).await.map_err(failure)?;
                value(&())
            }
            #[cfg(feature = "failpoints")]
            Request::Failpoint { point, action } => fail::cfg(point, &action).map(|()| Value::Null),
        }
    }
}

/// What is noted of a request that is carried out; nothing of what changes nothing, or what only tests ask.
fn note(request: &Request, peer: Peer, at: Timestamp) -> Option<AuditEntry> {
    let done = |action, object: &str| AuditEntry::done(at, peer.to_string(), action, object);
    match request {
        Request::Backup { repository } => Some(done(AuditAction::Backup, &repository.display().to_string())),
        Request::Export(Export { pump, file, .. }) => {
            Some(done(AuditAction::Export, pump.as_str()).detail(&file.display().to_string()))
        }
        Request::ConfirmClock => Some(done(AuditAction::ConfirmClock, &at.to_string())),
        Request::RemovePump { pump } => Some(done(AuditAction::RemovePump, pump.as_str())),
        Request::SetPump { pump, setting } => {
            Some(done(AuditAction::SetPump, pump.as_str()).detail(&setting.to_string()))
        }
        Request::NamePump { pump, name } => {
            Some(done(AuditAction::NamePump, pump.as_str()).detail(&named(name.as_ref())))
        }
        Request::AddProfile { origin, model, .. } => {
            let note = done(AuditAction::AddProfile, origin);
            Some(model.as_ref().map_or(note.clone(), |model| note.detail(&model.display().to_string())))
        }
        Request::AssignProfile { pump, profile } => {
            Some(done(AuditAction::AssignProfile, pump.as_str()).detail(profile))
        }
        Request::Pumps | Request::PumpSettings { .. } | Request::Profiles => None,
        #[cfg(feature = "failpoints")]
        Request::Failpoint { .. } => None,
    }
}

/// Logs what failed, and says it to who asked.
fn failure(error: impl std::fmt::Display) -> String {
    tracing::warn!(%error, "what a command asked for failed");
    error.to_string()
}

fn value(done: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(done).map_err(|error| error.to_string())
}
