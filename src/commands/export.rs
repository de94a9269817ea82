//! `volute export`: a pump's readings in a file, written by the node if it runs, and without it if not.

use std::{io::Write, sync::atomic::AtomicBool};

use anyhow::Result;
use volute_data::{Export, Exported};

use super::open_store::{absolute, open_stopped, runtime};
use crate::{
    cli::ExportArgs,
    config::Config,
    control::{ControlError, Request, tell},
};

/// Exports, and says how much.
pub fn run(args: &ExportArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let ExportArgs { from, to, format, .. } = *args;
    let mut file = absolute(&args.out)?;
    if file.is_dir() {
        file.push(format!("{}.{format}", args.pump.file_stem()));
    }
    let export = Export { pump: args.pump.clone(), from, to, format, file };
    let exported: Exported = runtime()?.block_on(async {
        match tell(&config.store.dir, &Request::Export(export.clone())).await {
            Err(ControlError::NoNode { .. }) => {}
            told => return anyhow::Ok(told?),
        }
        let store = open_stopped(config).await?;
        let exported = volute_data::export(&store, &export, &AtomicBool::new(false)).await;
        store.close().await?;
        Ok(exported?)
    })?;
    writeln!(output, "{} readings of {}, {} bytes", exported.readings, args.pump, exported.bytes)?;
    writeln!(output, "{}", export.file.display())?;
    Ok(())
}
