//! `volute user` and `volute token`: list and change the users and pump tokens of a node. A running node carries
//! out the command itself; otherwise the command opens the store.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
};

use anyhow::{Context, Result};
use volute_access::CredentialId;
use volute_data::AuditAction;
use volute_plant::{Clock, PumpId, SystemClock};
use volute_web::Access;

use super::{
    data_folder,
    open_store::{absolute, current_user, open_stopped, open_stopped_or_new, runtime},
    serve::access_settings,
    stopped_audit::StoppedAudit,
};
use crate::{
    access_command::{AccessCommand, AccessReport, TokenSummary, UserSummary},
    cli::{TokenArgs, TokenCommand, UserArgs, UserCommand},
    config::Config,
    control::{ControlError, Request, send_request},
    machine::node_url,
};

/// How many of a token's pumps a list names; it only counts the others.
const PUMPS_SHOWN: usize = 5;

/// Executes `volute user`, and prints its result.
pub fn run_user(args: UserArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let command = match args.command {
        UserCommand::List { .. } => AccessCommand::Users,
        UserCommand::Add { name, role, .. } => AccessCommand::AddUser { name, role },
        UserCommand::Reset { name, .. } => AccessCommand::ResetUser { name },
        UserCommand::SetRole { name, role, .. } => AccessCommand::SetRole { name, role },
        UserCommand::Disable { name, .. } => AccessCommand::DisableUser { name },
        UserCommand::Enable { name, .. } => AccessCommand::EnableUser { name },
    };
    runtime()?.block_on(execute(command, config)).and_then(|report| print(report, output))
}

/// Executes `volute token`, and prints its result.
pub fn run_token(args: TokenArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let command = match args.command {
        TokenCommand::List { .. } => AccessCommand::Tokens,
        TokenCommand::Add { name, pumps, pumps_file, register, expires_days, .. } => {
            let mut pumps: BTreeSet<PumpId> = pumps.into_iter().collect();
            if let Some(file) = pumps_file {
                let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    pumps.insert(line.parse().with_context(|| format!("{}: {line:?}", file.display()))?);
                }
            }
            AccessCommand::AddToken { name, pumps, register, expires_days }
        }
        TokenCommand::Revoke { id, .. } => AccessCommand::RevokeToken { id: CredentialId::from(id.as_str()) },
    };
    runtime()?.block_on(execute(command, config)).and_then(|report| print(report, output))
}

async fn execute(command: AccessCommand, config: &Config) -> Result<AccessReport> {
    match send_request(&config.store.dir, &Request::Access(command.clone())).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    let is_new = !data_folder::has_store(&config.store.dir);
    let store = match command {
        // A node can be secured before its first start.
        AccessCommand::AddUser { .. } | AccessCommand::AddToken { .. } => open_stopped_or_new(config).await?,
        _ => open_stopped(config).await?,
    };
    if is_new {
        let dir = absolute(&config.store.dir)?;
        writeln!(
            io::stderr(),
            "No node has used {} yet; this creates it. The node must be started with the same store.dir.",
            dir.display()
        )?;
    }
    let access = Access::open(Box::new(store.clone()), access_settings(config)).await;
    let (who, now) = (current_user()?, SystemClock.now());
    let entry = command.audit_entry(&who, now);
    let url = node_url(&config.server, config.server.listen);
    let audit = match entry.and_then(|entry| Some((AuditAction::named(&entry.action)?, entry))) {
        Some((action, entry)) => Some(StoppedAudit::of_entry(&store, Some(access.clone()), action, entry).await),
        None => None,
    };
    let report = command.execute(&access, &who, now.millis(), &url).await;
    if let (Ok(_), Some(audit)) = (&report, audit) {
        audit.record().await?;
    }
    drop(access);
    store.close().await?;
    Ok(report?)
}

fn print(report: AccessReport, output: &mut dyn Write) -> Result<()> {
    match report {
        AccessReport::Done => writeln!(output, "done")?,
        AccessReport::SetUpLink(link) => {
            writeln!(
                output,
                "Set the password within a day, once, at this address; keep it secret until then:\n{link}"
            )?;
        }
        AccessReport::NewToken(token) => {
            writeln!(output, "The token, which is not shown again; send it with each post as Authorization: Bearer:")?;
            writeln!(output, "{token}")?;
        }
        AccessReport::Users(users) => {
            for UserSummary { name, role, disabled, has_password, issuer } in users {
                let state = match (disabled, has_password || issuer.is_some()) {
                    (true, _) => "disabled",
                    (false, true) => "active",
                    (false, false) => "no password yet",
                };
                let issuer = issuer.map(|issuer| format!("  logs in at {issuer}")).unwrap_or_default();
                writeln!(output, "{name}  {}  {state}{issuer}", role.as_str())?;
            }
        }
        AccessReport::Tokens(tokens) => {
            for TokenSummary { id, name, pumps, register, state, used_at } in tokens {
                let shown: Vec<&str> = pumps.iter().take(PUMPS_SHOWN).map(PumpId::as_str).collect();
                let more = if pumps.len() > PUMPS_SHOWN {
                    format!(" and {} more", pumps.len() - PUMPS_SHOWN)
                } else {
                    String::new()
                };
                let register = if register { ", registers" } else { "" };
                let used = used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
                writeln!(output, "{id}  {name}  {state}  {}{more}{register}  {used}", shown.join(", "))?;
            }
        }
    }
    Ok(())
}
