//! Tests of a healthy pump: energy, noise, seeds, starts and stops.

#![allow(clippy::expect_used, reason = "clippy.toml allows it in tests, and not in their helpers")]

use proptest::prelude::*;
use volute_plant::{NoWindow, OperatingState, Profile, Quantity, Reading, Sample, Timestamp, Windower};
use volute_simulator::{Design, LoadPlan, MachineStatus, Simulator, SimulatorOutput};

fn profile() -> Profile {
    Profile::from_toml(include_str!("../../../config/profiles/centrifugal.toml")).expect("the default profile")
}

fn start() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a time")
}

fn run(design: Design, load: LoadPlan, seed: u64, steps: usize) -> Vec<SimulatorOutput> {
    let mut pump = Simulator::new(design, load, seed, start());
    (0..steps).map(|_| pump.step(1.0)).collect()
}

#[test]
fn the_rated_pump_reads_as_in_its_data_sheet() {
    let steps = run(Design::rated(), LoadPlan::Steady, 1, 300);
    let mean = |quantity| steps.iter().filter_map(|step| step.value(quantity)).sum::<f64>() / 300.0;
    for (quantity, expected, tolerance) in [
        (Quantity::RotationalSpeed, 2_952.0, 5.0),
        (Quantity::BearingTemperature, 58.0, 1.0),
        (Quantity::OilPressure, 2.4, 0.05),
        (Quantity::Vibration, 1.9, 0.05),
        (Quantity::Flow, 1_100.0, 15.0),
        (Quantity::SuctionPressure, 0.4, 0.03),
        (Quantity::DischargePressure, 6.2, 0.1),
        (Quantity::Current, 28.0, 0.5),
        (Quantity::CasingTemperature, 45.0, 0.5),
        (Quantity::AmbientTemperature, 28.0, 0.5),
    ] {
        assert!((mean(quantity) - expected).abs() < tolerance, "{quantity:?}: {}", mean(quantity));
    }
}

#[test]
fn a_seed_gives_the_same_readings_and_another_seed_different_ones() {
    let of = |seed| run(Design::drawn(seed), LoadPlan::Starts, seed, 1_500);
    assert_eq!(of(4), of(4));
    let differing = of(4).iter().zip(of(5)).filter(|(a, b)| a.value(Quantity::Flow) != b.value(Quantity::Flow)).count();
    assert!(differing > 1_200, "{differing}");
}

#[test]
fn a_clone_continues_with_the_same_readings() {
    let mut pump = Simulator::new(Design::drawn(2), LoadPlan::Steps, 2, start());
    for _ in 0..50 {
        pump.step(1.0);
    }
    let mut clone = pump.clone();
    (0..50).for_each(|_| assert_eq!(pump.step(1.0), clone.step(1.0)));
}

/// Returns for each second whether a pump that stops and starts is running, and whether its reading completes a window.
fn placed(seed: u64, steps: usize) -> Vec<(bool, Result<(), NoWindow>)> {
    let profile = profile();
    let mut windower = Windower::new(&profile);
    let mut results = Vec::new();
    for step in run(Design::drawn(seed), LoadPlan::Starts, seed, steps) {
        let (pump, samples) = ("pump".parse().expect("a name"), step.samples(&profile).into());
        let reading = Reading { pump, at: step.at, received: step.at, samples, late: false };
        let placed = windower.push(reading).pop().expect("nothing is missing");
        results.push((step.truth().running, placed.window.map(drop)));
    }
    results
}

#[test]
fn stops_and_starts_have_no_windows() {
    let settle_s = usize::try_from(profile().settle_ms() / 1_000).expect("seconds");
    let (mut stops, mut windows) = (0, 0);
    for seed in 1..=10 {
        let results = placed(seed, 7_200);
        let mut running_s = settle_s;
        for (second, (running, window)) in results.iter().enumerate() {
            stops += usize::from(second > 0 && results[second - 1].0 && !running);
            running_s = if *running { running_s + 1 } else { 0 };
            windows += usize::from(window.is_ok());
            assert!(window.is_err() || running_s >= settle_s - 1, "{seed} at {second} s, {running_s} s after a start");
        }
    }
    assert!(stops > 50 && windows > 10_000, "{stops} stops, {windows} windows");
}

#[test]
fn a_stop_goes_through_stopping_off_and_starting() {
    let mut states = Vec::new();
    for (_, window) in placed(3, 1_500) {
        if let Err(NoWindow::NotRunning { state, .. }) = window {
            states.push(state);
        }
    }
    states.dedup();
    let stop = [OperatingState::Stopping, OperatingState::Off, OperatingState::Starting];
    assert_eq!(states[..3], stop);
}

/// Returns the sensor values minus the true values.
fn noise(steps: &[SimulatorOutput], quantity: Quantity) -> Vec<f64> {
    steps.iter().filter_map(|step| Some(step.value(quantity)? - step.truth().value(quantity)?)).collect()
}

#[test]
fn noise_is_autoregressive_and_at_the_channels_resolution() {
    let profile = profile();
    let steps = run(Design::rated(), LoadPlan::Steady, 9, 4_000);
    for channel in profile.channels() {
        for value in steps.iter().filter_map(|step| step.value(channel.quantity)) {
            let in_steps = value / channel.resolution;
            assert!((in_steps - in_steps.round()).abs() < 1e-6, "{}: {value}", channel.name);
        }
        let noise = noise(&steps, channel.quantity);
        let variance = noise.iter().map(|v| v * v).sum::<f64>() / noise.len() as f64;
        let lagged = |lag: usize| {
            let products = noise.windows(lag + 1).map(|w| w[0] * w[lag]);
            products.sum::<f64>() / (noise.len() - lag) as f64 / variance
        };
        // The correlation of AR(1) decays by the same factor with every step; rounding adds a little white noise.
        let (one, two, many) = (lagged(1), lagged(2), lagged(60));
        assert!((0.45..0.9).contains(&one), "{}: {one}", channel.name);
        assert!((two / one - one).abs() < 0.2, "{}: {one} {two}", channel.name);
        assert!(many.abs() < 0.15, "{}: {many}", channel.name);
    }
}

#[test]
fn starts_and_stops_are_realistic() {
    let steps = run(Design::drawn(3), LoadPlan::Starts, 3, 5_000);
    let mut starts = 0;
    for pair in steps.windows(30) {
        let (before, after) = (&pair[0], &pair[29]);
        let value = |step: &SimulatorOutput, quantity| step.value(quantity).expect("measured");
        if pair.iter().all(|step| !step.truth().running) {
            assert_eq!(value(after, Quantity::RotationalSpeed), 0.0);
            assert_eq!(value(after, Quantity::Current), 0.0);
            assert!(value(after, Quantity::Flow) < 5.0 && value(after, Quantity::Vibration) < 0.1);
            assert!(value(after, Quantity::DischargePressure) < 1.0, "the check valve holds the line's pressure");
            assert!(
                after.truth().value(Quantity::BearingTemperature) < before.truth().value(Quantity::BearingTemperature)
            );
        }
        if !before.truth().running && pair[1].truth().running {
            starts += 1;
            let inrush = pair.iter().map(|step| value(step, Quantity::Current)).fold(0.0, f64::max);
            assert!(inrush > 1.5 * value(after, Quantity::Current), "{inrush}");
            assert!(value(after, Quantity::RotationalSpeed) > 2_900.0 && value(after, Quantity::Flow) > 700.0);
        }
    }
    assert!(starts >= 3, "{starts}");
}

#[test]
fn the_room_is_warmest_in_the_afternoon_and_the_machine_follows() {
    let mut pump = Simulator::new(Design::rated(), LoadPlan::Steady, 1, start());
    let day: Vec<SimulatorOutput> = (0..288).map(|_| pump.step(300.0)).collect();
    let warmest = day.iter().max_by(|a, b| {
        let ambient = |step: &SimulatorOutput| step.truth().value(Quantity::AmbientTemperature).expect("measured");
        ambient(a).total_cmp(&ambient(b))
    });
    assert_eq!(warmest.expect("a day").at.to_string(), "2026-03-02T15:00:00.000Z");
    let span = |quantity| {
        let values: Vec<f64> = day.iter().filter_map(|step| step.truth().value(quantity)).collect();
        values.iter().copied().fold(f64::MIN, f64::max) - values.iter().copied().fold(f64::MAX, f64::min)
    };
    assert!((7.9..8.1).contains(&span(Quantity::AmbientTemperature)));
    assert!((6.5..8.5).contains(&span(Quantity::BearingTemperature)));
    assert!(span(Quantity::CasingTemperature) < 2.0, "the water holds its temperature");
}

#[test]
fn a_channel_that_is_not_simulated_is_missing() {
    let skab = Profile::from_toml(include_str!("../../../config/profiles/skab.toml")).expect("a profile");
    let step = run(Design::rated(), LoadPlan::Steady, 1, 1).remove(0);
    for (channel, sample) in skab.channels().iter().zip(step.samples(&skab)) {
        let simulated = volute_simulator::unit_of(channel.quantity) == Some(channel.unit.as_str());
        assert_eq!(sample != Sample::Missing, simulated, "{}", channel.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_drawn_pump_is_healthy_plausible_and_loses_energy_at_every_stage(seed: u64) {
        let profile = profile();
        for step in run(Design::drawn(seed), LoadPlan::Starts, seed, 1_200) {
            prop_assert_eq!((step.status, step.fault, step.growth), (MachineStatus::Normal, None, 0.0));
            let samples = step.samples(&profile);
            prop_assert!(samples.iter().all(|s| matches!(s, Sample::Good(_))), "{:?}", samples);
            let truth = step.truth();
            prop_assert!(truth.shaft_w >= truth.hydraulic_w);
            prop_assert!(truth.cavitation == 0.0);
            if truth.running {
                prop_assert!(truth.motor_w > truth.shaft_w && truth.shaft_w >= 0.0, "{:?}", truth);
            }
            let warm = |quantity| truth.value(quantity) > truth.value(Quantity::AmbientTemperature);
            prop_assert!(warm(Quantity::BearingTemperature) && warm(Quantity::CasingTemperature));
        }
    }
}
