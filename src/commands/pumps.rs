//! `volute pumps`: lists a node's pumps, shows or changes the settings of one, or removes one with all its data. If the
//! node runs, it carries out the command. Otherwise the command opens the store.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use volute_data::{AuditAction, Batch, PumpSetting, PumpSettings, Store};
use volute_plant::{Profile, PumpId, PumpName, cadence::format_interval};

use super::{
    open_store::{open_stopped, runtime},
    pump_reports::{PumpList, PumpSummary, SettingsReport, check_channel, list_pumps, name_detail, read_settings},
    stopped_audit::StoppedAudit,
};
use crate::{
    cli::{PumpsArgs, PumpsCommand},
    config::Config,
    control::{ControlError, Request, send_request},
    kinds::KindFiles,
};

/// Executes the command, and prints its result.
pub fn run(args: &PumpsArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    match &args.command {
        PumpsCommand::List { .. } => {
            let PumpList { pumps, removing } = runtime()?.block_on(list(config))?;
            for PumpSummary { id, name, profile, registered_at } in pumps {
                // Two spaces separate the columns; an id never has two spaces in a row.
                let name = name.map(|name| format!("  {name}")).unwrap_or_default();
                writeln!(output, "{id}{name}  {profile}  since {registered_at}")?;
            }
            for pump in removing {
                writeln!(output, "{pump}  removed; its readings are being deleted")?;
            }
        }
        PumpsCommand::Settings { pump, .. } => {
            let SettingsReport { settings, profile_interval_ms } = runtime()?.block_on(settings(pump, config))?;
            show(&settings, profile_interval_ms, output)?;
        }
        PumpsCommand::SetHold { pump, hold_s, channel, .. } => {
            let setting = PumpSetting::Hold { channel: channel.clone(), hold_s: *hold_s };
            runtime()?.block_on(set(pump, setting, config))?;
            let values =
                channel.as_ref().map_or_else(|| "the values".to_owned(), |name| format!("{name}'s last value"));
            let duration = hold_s.map_or_else(|| "the profile's hold time".to_owned(), |s| format_interval(1_000 * s));
            writeln!(output, "{values} of {pump} holds for {duration}")?;
        }
        PumpsCommand::SetInterval { pump, interval_ms, .. } => {
            runtime()?.block_on(set(pump, PumpSetting::Interval(*interval_ms), config))?;
            let every = interval_ms.map_or_else(|| "that of its profile".to_owned(), format_interval);
            writeln!(output, "the interval of {pump} is {every}")?;
        }
        PumpsCommand::SetProfile { pump, profile, .. } => {
            let request = Request::AssignProfile { pump: pump.clone(), profile: profile.clone() };
            match runtime()?.block_on(send_request(&config.store.dir, &request)) {
                Ok(()) => {}
                Err(error @ ControlError::NoNode { .. }) => {
                    return Err(error).context("a profile can be assigned only while the node runs");
                }
                Err(error) => return Err(error.into()),
            }
            writeln!(output, "{pump} has the profile {profile} now; its baseline is learned again")?;
        }
        PumpsCommand::Rename { pump, name, .. } => {
            runtime()?.block_on(rename(pump, name.clone(), config))?;
            match name {
                Some(name) => writeln!(output, "{pump} is named {name}")?,
                None => writeln!(output, "{pump} has no name")?,
            }
        }
        PumpsCommand::Remove { pump, .. } => {
            runtime()?.block_on(remove(pump, config))?;
            writeln!(output, "{pump} is removed")?;
        }
    }
    Ok(())
}

async fn list(config: &Config) -> Result<PumpList> {
    match send_request(&config.store.dir, &Request::Pumps).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    let store = open_stopped(config).await?;
    let listed = list_pumps(&store);
    store.close().await?;
    Ok(listed)
}

async fn remove(pump: &PumpId, config: &Config) -> Result<()> {
    match send_request(&config.store.dir, &Request::RemovePump { pump: pump.clone() }).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    let store = open_stopped(config).await?;
    let removed = remove_stopped(&store, pump).await;
    store.close().await?;
    removed
}

async fn settings(pump: &PumpId, config: &Config) -> Result<SettingsReport> {
    match send_request(&config.store.dir, &Request::PumpSettings { pump: pump.clone() }).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    let store = open_stopped(config).await?;
    let report = settings_stopped(&store, pump, config).await;
    store.close().await?;
    report
}

fn show(settings: &PumpSettings, profile_interval_ms: i64, output: &mut dyn Write) -> Result<()> {
    match settings.interval_ms {
        Some(ms) => writeln!(output, "interval  {} ({})", format_interval(ms), own_interval_source(&settings.why))?,
        None => writeln!(output, "interval  {} (from the profile)", format_interval(profile_interval_ms))?,
    }
    match settings.hold_s {
        Some(s) => writeln!(output, "hold      {} ({s} s)", format_interval(1_000 * s))?,
        None => writeln!(output, "hold      from the profile")?,
    }
    for (channel, s) in &settings.channel_hold_s {
        writeln!(output, "hold      {} ({s} s) of {channel}", format_interval(1_000 * s))?;
    }
    Ok(())
}

/// Returns the origin of a pump's own interval. The reason is left out if it only says that a person requested the
/// interval.
fn own_interval_source(why: &str) -> String {
    match why {
        "" | "as asked" => "set for this pump".to_owned(),
        why => format!("set for this pump: {why}"),
    }
}

async fn set(pump: &PumpId, setting: PumpSetting, config: &Config) -> Result<()> {
    let request = Request::SetPump { pump: pump.clone(), setting: setting.clone() };
    match send_request(&config.store.dir, &request).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    let store = open_stopped(config).await?;
    let set = match profile_stopped(&store, pump, config) {
        Ok(profile) => set_stopped(&store, &profile, pump, setting).await,
        Err(error) => Err(error),
    };
    store.close().await?;
    set
}

async fn rename(pump: &PumpId, name: Option<PumpName>, config: &Config) -> Result<()> {
    match send_request(&config.store.dir, &Request::NamePump { pump: pump.clone(), name: name.clone() }).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    let store = open_stopped(config).await?;
    let renamed = rename_stopped(&store, pump, name).await;
    store.close().await?;
    renamed
}

/// Returns the settings of a pump from the store of a stopped node.
async fn settings_stopped(store: &Store, pump: &PumpId, config: &Config) -> Result<SettingsReport> {
    read_settings(store, &profile_stopped(store, pump, config)?, pump).await
}

/// Returns the profile of a pump in the store of a stopped node; the default profile if the pump is not registered.
fn profile_stopped(store: &Store, pump: &PumpId, config: &Config) -> Result<Profile> {
    let default = &config.model.profile;
    let Some(name) = store.profile_of(pump).filter(|name| name != default.name()) else { return Ok(default.clone()) };
    let kinds = KindFiles::of(&config.store.dir).load(&store.pumps())?;
    let added = kinds.into_iter().map(|kind| kind.profile).find(|profile| profile.name() == name);
    Ok(added.unwrap_or_else(|| default.clone()))
}

/// Sets or removes the display name of a pump in the store of a stopped node.
async fn rename_stopped(store: &Store, pump: &PumpId, name: Option<PumpName>) -> Result<()> {
    let audit = StoppedAudit::begin(store, AuditAction::NamePump, pump.as_str()).await?;
    let audit = audit.detail(&name_detail(name.as_ref()));
    ensure!(store.set_pump_name(pump, name).await?, "there is no pump {pump}; see `volute pumps list`");
    audit.record().await
}

/// Changes a setting of a pump in the store of a stopped node. If its interval changes, the next start of a node learns
/// the pump's baseline again.
pub(super) async fn set_stopped(store: &Store, profile: &Profile, pump: &PumpId, setting: PumpSetting) -> Result<()> {
    let report = read_settings(store, profile, pump).await?;
    check_channel(&setting, profile)?;
    let audit = StoppedAudit::begin(store, AuditAction::SetPump, pump.as_str()).await?.detail(&setting.to_string());
    store.set_pump_settings(pump, &report.settings.with(setting)).await?;
    audit.record().await
}

/// Removes a pump from the store of a stopped node, and deletes its data.
async fn remove_stopped(store: &Store, pump: &PumpId) -> Result<()> {
    let removing = store.is_being_removed(pump);
    ensure!(removing || store.is_registered(pump), "there is no pump {pump}; see `volute pumps list`");
    if !removing {
        let audit = StoppedAudit::begin(store, AuditAction::RemovePump, pump.as_str()).await?;
        let documents = vec![audit.removal()];
        store.commit(&Batch { removals: vec![pump.clone()], documents, ..Batch::default() }).await?;
    }
    // The removal is durable now. If the command is interrupted, the next start of a node completes the removal.
    store.finish_removals().await?;
    Ok(())
}
