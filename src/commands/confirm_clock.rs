//! `volute confirm-clock`: a person says that the clock of the running node is right.

use std::io::Write;

use anyhow::Result;
use volute_plant::Timestamp;

use super::open_store::runtime;
use crate::{
    cli::ConfirmClockArgs,
    config::Config,
    control::{Request, tell},
};

/// Confirms, and says which time.
pub fn run(_: &ConfirmClockArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let now: Timestamp = runtime()?.block_on(tell(&config.store.dir, &Request::ConfirmClock))?;
    writeln!(output, "confirmed: it is {now}")?;
    Ok(())
}
