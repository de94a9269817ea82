//! `volute audit verify`: checks the chain of the audit log. A running node does it itself; otherwise the command opens
//! the store.

use std::io::Write;

use anyhow::{Result, bail};
use volute_data::{AuditVerification, ChainHash, ChainHead};
use volute_plant::Timestamp;

use super::open_store::{open_stopped, runtime};
use crate::{
    cli::{AuditArgs, AuditCommand},
    config::Config,
    control::{ControlError, Request, send_request},
};

/// Executes the command, and prints what it finds. Fails if the audit log is not intact.
pub fn run(args: AuditArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let AuditCommand::Verify { expect, .. } = args.command;
    let found = runtime()?.block_on(verify(expect, config))?;
    print(&found, output)?;
    match found.fault {
        None => Ok(()),
        Some(fault) => bail!("the audit log is not intact: {fault}"),
    }
}

async fn verify(expected: Option<(u64, ChainHash)>, config: &Config) -> Result<AuditVerification> {
    match send_request(&config.store.dir, &Request::VerifyAudit { expected }).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    let store = open_stopped(config).await?;
    let found = store.verify_audit(expected).await;
    store.close().await?;
    Ok(found?)
}

fn print(found: &AuditVerification, output: &mut dyn Write) -> Result<()> {
    let AuditVerification { entries, span_ms, before_chain, anchor, head, fault } = found;
    let span = span_ms.map(|(first, last)| format!(", from {} to {}", time(first), time(last))).unwrap_or_default();
    writeln!(output, "{entries} entries in the chain{span}")?;
    if *before_chain > 0 {
        writeln!(output, "{before_chain} entries before the chain, of earlier versions; they cannot be checked")?;
    }
    if let Some(ChainHead { number, at_ms, .. }) = anchor {
        writeln!(output, "entries 1 to {number}, until {}, were deleted by their age", time(*at_ms))?;
    }
    if fault.is_none() {
        let ChainHead { number, hash, .. } = head;
        writeln!(output, "no entry was changed, removed or inserted; the head is {number}:{hash}")?;
    }
    Ok(())
}

fn time(ms: i64) -> String {
    Timestamp::from_millis(ms).map(|at| at.to_string()).unwrap_or_default()
}
