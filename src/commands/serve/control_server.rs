//! Executes the requests that commands on the same machine send to the running node over the control socket, such as a
//! backup, an export, or the removal of a pump. Requests that change something, and exports, are recorded in the audit
//! log.
//!
//! Requests run on separate threads, because they may block on the disk. When the node stops, requests in progress are
//! cancelled, and their end is awaited, because they use the store.

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
use volute_access::Principal;
use volute_actors::{AssignProfileError, EngineHandle, RemovePumpError, Simulation};
use volute_anomaly::ModelError;
use volute_data::{AuditAction, AuditEntry, ExportError, ExportRequest, StoreError, export};
use volute_plant::Timestamp;
use volute_web::{Access, AuditedState, ChangeError, DeleteKindError};

use crate::{
    commands::{
        backup::back_up,
        kind_reports::summarize_kinds,
        pump_reports::{check_channel, list_pumps, name_detail, read_settings},
    },
    control::{ControlSocket, Request},
    kinds::{KindError, ModelFiles},
    node_kinds::NodeKinds,
    profiles,
};

/// Handles the requests of the control socket. Cheap to clone.
#[derive(Clone)]
pub(super) struct ControlServer {
    engine: EngineHandle,
    /// The simulation of a demo.
    simulation: Option<Simulation>,
    dir: PathBuf,
    kinds: NodeKinds,
    access: Access,
    /// The node's own URL.
    url: String,
    stopping: Arc<AtomicBool>,
    /// Read-locked by each request in progress; write-locked by the stop.
    in_progress: Arc<RwLock<()>>,
    /// Locked by the backup in progress.
    backup: Arc<Mutex<()>>,
}

impl ControlServer {
    /// Creates the server. `access` comes with the node's own URL, with which set-up links begin.
    pub(super) fn new(
        engine: EngineHandle,
        simulation: Option<Simulation>,
        dir: PathBuf,
        kinds: NodeKinds,
        (access, url): (Access, String),
    ) -> Self {
        let (stopping, in_progress, backup) = Default::default();
        Self { engine, simulation, dir, kinds, access, url, stopping, in_progress, backup }
    }

    /// Handles requests until the future is dropped. If the socket could not be created, logs a warning, and the node
    /// runs without it.
    pub(super) async fn listen(self, control: io::Result<ControlSocket>) {
        match control {
            Ok(control) => control.serve(move |request, who| self.clone().handle(request, who)).await,
            Err(error) => {
                tracing::warn!(%error, dir = %self.dir.display(), "no control socket: commands cannot reach this node while it runs");
            }
        }
    }

    /// Cancels the requests in progress and waits for their end. Later requests are rejected.
    pub(super) async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.in_progress.write().await);
    }

    async fn handle(self, request: Request, who: Principal) -> Result<Value, String> {
        let in_progress = self.in_progress.clone().read_owned().await;
        if self.stopping.load(Ordering::Relaxed) {
            return Err("the node is stopping".to_owned());
        }
        // A separate task, so that the request completes even if its client disconnects.
        let work = tokio::task::spawn_blocking(move || {
            let outcome = Handle::current().block_on(self.execute_audited(request, who));
            drop(in_progress);
            outcome
        });
        match work.await {
            Ok(outcome) => outcome,
            Err(error) => Err(error.to_string()),
        }
    }

    /// Executes the request, and returns when its outcome is recorded in the audit log.
    async fn execute_audited(self, request: Request, who: Principal) -> Result<Value, String> {
        let engine = self.engine.clone();
        let entry = audit_entry(&request, &who, engine.now());
        let access = Some(self.access.clone());
        let state = AuditedState { store: engine.store().clone(), engine: Some(engine.clone()), access };
        let action = entry.as_ref().and_then(|entry| Some((AuditAction::named(&entry.action)?, entry.object.clone())));
        let before = match &action {
            Some((action, object)) => state.value(*action, object).await,
            None => None,
        };
        let outcome = self.execute(request, &who).await;
        if let (Some(entry), Some((action, object))) = (entry, action) {
            let entry = entry.changed(state.change(action, &object, before).await);
            let entry = match &outcome {
                Ok(_) => entry,
                Err(reason) => entry.refused(reason),
            };
            engine.record_action(entry).await;
        }
        outcome
    }

    async fn execute(self, request: Request, who: &Principal) -> Result<Value, String> {
        match request {
            Request::Backup { repository } => {
                let Ok(_guard) = self.backup.try_lock() else {
                    return Err("another backup is in progress".to_owned());
                };
                let summary = back_up(self.engine.store(), &self.dir, repository, self.stopping).await;
                summary.map_err(failure).and_then(|summary| to_json(&summary))
            }
            Request::Export(request) => {
                let exported = export(self.engine.store(), &request, &self.stopping).await;
                let exported = exported.map_err(|error| match error {
                    ExportError::File { .. } | ExportError::Store(_) | ExportError::Stopped => failure(error),
                    error => refusal(error),
                })?;
                let ExportRequest { pump, file, .. } = &request;
                tracing::info!(pump = pump.as_str(), file = %file.display(), readings = exported.readings, "exported");
                to_json(&exported)
            }
            Request::ConfirmClock => self.engine.confirm_clock().map_err(failure).and_then(|now| to_json(&now)),
            Request::Pumps => to_json(&list_pumps(self.engine.store())),
            Request::RemovePump { pump } => {
                if let Some(simulation) = &self.simulation
                    && simulation.plays(&pump).await
                {
                    return Err(format!(
                        "{pump} is simulated and would be registered again at once; stop the simulation first"
                    ));
                }
                self.engine.remove_pump(&pump).await.map_err(|error| match error {
                    error @ RemovePumpError::UnknownPump(_) => refusal(error),
                    error => failure(error),
                })?;
                to_json(&())
            }
            Request::PumpSettings { pump } => to_json(
                &read_settings(self.engine.store(), &self.engine.profile_of(&pump), &pump)
                    .await
                    .map_err(settings_error)?,
            ),
            Request::SetPump { pump, setting } => {
                let profile = self.engine.profile_of(&pump);
                let report = read_settings(self.engine.store(), &profile, &pump).await.map_err(settings_error)?;
                check_channel(&setting, &profile).map_err(refusal)?;
                self.engine.set_pump_settings(&pump, report.settings.with(setting)).await.map_err(failure)?;
                to_json(&())
            }
            Request::NamePump { pump, name } => match self.engine.name_pump(&pump, name).await.map_err(failure)? {
                true => to_json(&()),
                false => Err(format!("there is no pump {pump}")),
            },
            Request::Profiles => to_json(&summarize_kinds(&self.engine.kinds())),
            Request::AddProfile { profile, origin, model } => {
                let model = model.map(ModelFiles::Folder);
                let added = self.kinds.add(profile, origin, model).await.map_err(|error| match error {
                    KindError::File { .. }
                    | KindError::Aborted(_)
                    | KindError::Model(ModelError::Io { .. } | ModelError::Encode(_)) => failure(error),
                    error => refusal(error),
                })?;
                to_json(&summarize_kinds(&[added.kind]))
            }
            Request::RemoveProfile { name } => {
                self.kinds.remove(name).await.map_err(|error| match error {
                    error @ DeleteKindError::Refused(_) => refusal(error),
                    error @ DeleteKindError::NotDeleted(_) => failure(error),
                })?;
                to_json(&())
            }
            Request::AssignProfile { pump, profile } => {
                self.engine.assign_profile(&pump, &profile).await.map_err(|error| match error {
                    AssignProfileError::UnknownProfile { .. } => {
                        refusal(format!("{error}. Add it with `volute profiles add {}`", name_or_path(&profile)))
                    }
                    error @ (AssignProfileError::Damaged { .. }
                    | AssignProfileError::OtherChannels { .. }
                    | AssignProfileError::StopFailed(RemovePumpError::UnknownPump(_))) => refusal(error),
                    error => failure(error),
                })?;
                to_json(&())
            }
            Request::VerifyAudit { expected } => {
                to_json(&self.engine.store().verify_audit(expected).await.map_err(failure)?)
            }
            Request::Access(command) => {
                let done = command.execute(&self.access, who, self.engine.now().millis(), &self.url).await;
                done.map_err(|error| match error {
                    error @ (ChangeError::Store(_) | ChangeError::Unavailable) => failure(error),
                    error => refusal(error),
                })
                .and_then(|report| to_json(&report))
            }
            #[cfg(feature = "failpoints")]
            Request::Failpoint { point, action } => fail::cfg(point, &action).map(|()| Value::Null),
        }
    }
}

/// Returns the audit entry of a request; none if it only reads, or is for tests only.
fn audit_entry(request: &Request, who: &Principal, at: Timestamp) -> Option<AuditEntry> {
    let done = |action, object: &str| AuditEntry::done(at, who, action, object);
    match request {
        Request::Backup { repository } => Some(done(AuditAction::Backup, &repository.display().to_string())),
        Request::Export(ExportRequest { pump, file, .. }) => {
            Some(done(AuditAction::Export, pump.as_str()).detail(&file.display().to_string()))
        }
        Request::ConfirmClock => Some(done(AuditAction::ConfirmClock, &at.to_string())),
        Request::RemovePump { pump } => Some(done(AuditAction::RemovePump, pump.as_str())),
        Request::SetPump { pump, setting } => {
            Some(done(AuditAction::SetPump, pump.as_str()).detail(&setting.to_string()))
        }
        Request::NamePump { pump, name } => {
            Some(done(AuditAction::NamePump, pump.as_str()).detail(&name_detail(name.as_ref())))
        }
        Request::AddProfile { origin, model, .. } => {
            let entry = done(AuditAction::AddProfile, origin);
            Some(model.as_ref().map_or(entry.clone(), |model| entry.detail(&model.display().to_string())))
        }
        Request::RemoveProfile { name } => Some(done(AuditAction::RemoveProfile, name)),
        Request::AssignProfile { pump, profile } => {
            Some(done(AuditAction::AssignProfile, pump.as_str()).detail(profile))
        }
        Request::Access(command) => command.audit_entry(who, at),
        Request::Pumps | Request::PumpSettings { .. } | Request::Profiles | Request::VerifyAudit { .. } => None,
        #[cfg(feature = "failpoints")]
        Request::Failpoint { .. } => None,
    }
}

/// Returns the argument for `volute profiles add` that adds a profile of this name: the name of a built-in profile, or
/// else a path.
fn name_or_path(profile: &str) -> String {
    if profiles::text(profile).is_ok() { profile.to_owned() } else { format!("./{profile}.toml") }
}

/// Logs why the settings of a pump were not read (the store failed, or there is no such pump), and returns the reason
/// for the client.
fn settings_error(error: anyhow::Error) -> String {
    if error.is::<StoreError>() { failure(error) } else { refusal(error) }
}

/// Logs a failure of the node, and returns its text for the client.
fn failure(error: impl std::fmt::Display) -> String {
    tracing::warn!(%error, "a request on the control socket failed");
    error.to_string()
}

/// Logs a request that is not valid, such as one with a mistyped pump id, and returns the reason for the client.
fn refusal(reason: impl std::fmt::Display) -> String {
    tracing::info!(%reason, "a request on the control socket was refused");
    reason.to_string()
}

fn to_json(result: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(result).map_err(|error| error.to_string())
}
