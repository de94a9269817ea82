//! `volute simulate`: makes a labelled recording of a simulated pump, and optionally a plot of it.

use std::{fs, io::Write};

use anyhow::{Context, Result, anyhow, ensure};
use volute_data::{LabelledRow, write_file, write_labelled};
use volute_plant::Sample;
use volute_simulator::{Fault, FaultRun, MachineStatus, Severity, Simulator, SimulatorOutput};

use crate::cli::SimulateArgs;

mod plot;

/// Simulates the pump, writes the recording and the plot, and prints a summary.
pub fn run(args: &SimulateArgs, output: &mut dyn Write) -> Result<()> {
    let fault = args.fault().map_err(|error| anyhow!(error))?;
    for path in [Some(&args.out), args.plot.as_ref()].into_iter().flatten() {
        ensure!(fs::symlink_metadata(path).is_err(), "{} already exists; it is not overwritten", path.display());
    }
    let steps = steps(args, fault);
    let profile = &args.profile;
    let has_values = steps.iter().any(|step| step.samples(profile).iter().any(|sample| *sample != Sample::Missing));
    ensure!(has_values, "the simulated pump measures none of the channels of {}", profile.name());
    write_labelled(
        &args.out,
        profile,
        steps.iter().map(|step| LabelledRow {
            at: step.at,
            samples: step.samples(profile),
            machine_status: step.status.to_string(),
            fault: step.fault.map(|fault| fault.to_string()).unwrap_or_default(),
        }),
    )?;
    if let Some(path) = &args.plot {
        let what = fault.map_or("healthy".to_owned(), |fault| format!("{fault}, severity {}", args.severity.get()));
        let title = format!("{}, {what}, seed {}", profile.title(), args.seed);
        write_file(path, plot::draw(&title, profile, &steps)?.as_bytes())
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    report(args, &steps, output)
}

fn steps(args: &SimulateArgs, fault: Option<Fault>) -> Vec<SimulatorOutput> {
    let interval_ms = args.profile.interval_ms();
    let interval_s = interval_ms as f64 / 1_000.0;
    // The simulator starts one interval earlier, so that the first step has the time `start`.
    let mut pump = Simulator::new(args.design(), args.load(), args.seed, args.start.plus_ms(-interval_ms));
    let total_s = args.rows.get() as f64 * interval_s;
    pump.set_fault_run(fault.map(|fault| fault_run(fault, args.severity, total_s)));
    (0..args.rows.get()).map(|_| pump.step(interval_s)).collect()
}

/// Returns a fault run that begins after a third of the recording, and ends a little before its end.
fn fault_run(fault: Fault, severity: Severity, total_s: f64) -> FaultRun {
    let onset_s = total_s / 3.0;
    // `FaultRun::within` plans healthy running at the start of the fault run (`onset_s`). Here the recording itself begins
    // healthy, so that time is added to the time with the fully grown fault (`hold_s`).
    let fitted = FaultRun::within(fault, severity, 0.6 * total_s);
    FaultRun { onset_s, hold_s: fitted.hold_s + fitted.onset_s, ..fitted }
}

fn report(args: &SimulateArgs, steps: &[SimulatorOutput], output: &mut dyn Write) -> Result<()> {
    let count = |status| steps.iter().filter(|step| step.status == status).count();
    use MachineStatus::{Broken, Normal, Recovering};
    let counts = [Normal, Broken, Recovering].map(|status| format!("{status} {}", count(status))).join("  ");
    writeln!(output, "rows {}  {counts}", steps.len())?;
    for path in [Some(&args.out), args.plot.as_ref()].into_iter().flatten() {
        writeln!(output, "written to {}", path.display())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_run_fits_into_the_rows() {
        // The first 13 are faults of the machine. The others are faults of sensors, which need a channel.
        for name in &Fault::NAMES[..13] {
            let fault = Fault::parse(name, None).expect("a fault of the machine");
            for total_s in [120.0, 7_200.0, 1e6] {
                let fault_run = fault_run(fault, Severity::new(1.0).expect("fine"), total_s);
                assert!((0.9 * total_s..total_s).contains(&fault_run.total_s()), "{name}: {fault_run:?}");
                assert_eq!(fault_run.onset_s, total_s / 3.0);
            }
        }
    }
}
