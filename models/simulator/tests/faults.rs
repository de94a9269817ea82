//! The effects of each fault on a pump, compared with a healthy pump of the same seed.

#![allow(clippy::expect_used, reason = "clippy.toml allows it in tests, and not in their helpers")]

use Quantity::{
    AmbientTemperature as Ta, BearingTemperature as Tb, CasingTemperature as Tc, Current as I, DischargePressure as Pd,
    Flow as Q, OilPressure as Oil, RotationalSpeed as Rpm, SuctionPressure as Ps, Vibration as Vib,
};
use proptest::prelude::*;
use volute_plant::{Profile, Quantity, Sample, Timestamp};
use volute_simulator::{
    Design, Fault, FaultRun, LoadPlan, MachineStatus, SensorFault, Severity, Simulator, SimulatorOutput,
};

const ALL: [Quantity; 10] = [Rpm, Tb, Oil, Vib, Q, Ps, Pd, I, Tc, Ta];

/// The smallest clearly visible difference in a trend, in the unit of the quantity.
fn clear(quantity: Quantity) -> f64 {
    match quantity {
        Rpm => 8.0,
        Tb | Tc | Ta => 2.0,
        Oil => 0.15,
        Vib => 0.5,
        Q => 10.0,
        Ps => 0.02,
        Pd => 0.08,
        I => 0.4,
        _ => f64::INFINITY,
    }
}

#[derive(Debug, Clone, Copy)]
enum Sign {
    Up,
    Down,
    Steady,
}
use Sign::{Down, Steady, Up};

/// One row of the fault table: the symptoms of the fully grown fault, and which of them must show before which.
struct Row {
    fault: Fault,
    signs: Signs,
    order: Order,
}

type Signs = &'static [(Quantity, Sign)];
type Order = &'static [(Quantity, Quantity)];

const fn row(fault: Fault, signs: Signs, order: Order) -> Row {
    Row { fault, signs, order }
}

const TABLE: [Row; 13] = [
    row(Fault::BearingWear, &[(Vib, Up), (Tb, Up), (I, Up), (Q, Steady), (Ps, Steady)], &[(Vib, Tb)]),
    row(Fault::LubricationLoss, &[(Oil, Down), (Tb, Up), (Vib, Up), (I, Up), (Q, Steady)], &[(Oil, Tb), (Tb, Vib)]),
    row(Fault::Cavitation, &[(Ps, Down), (Q, Down), (Pd, Down), (I, Down), (Vib, Up), (Tb, Steady)], &[(Ps, Vib)]),
    row(Fault::BlockedSuction, &[(Ps, Down), (Q, Down), (Pd, Down), (I, Down), (Vib, Up)], &[(Ps, Vib), (Q, Vib)]),
    row(Fault::DeadHead, &[(Q, Down), (Pd, Up), (Tc, Up), (I, Down)], &[(Q, Tc), (Pd, Tc)]),
    row(Fault::DryRun, &[(Q, Down), (Pd, Down), (I, Down), (Vib, Up), (Tb, Up), (Tc, Up)], &[(Q, Tb), (Pd, Tc)]),
    row(Fault::ImpellerWear, &[(Q, Down), (Pd, Down), (Ps, Up), (Vib, Steady), (Tb, Steady)], &[]),
    row(Fault::ImpellerClog, &[(Q, Down), (Pd, Down), (Vib, Up), (Ps, Up)], &[]),
    row(Fault::SealLeak, &[(Q, Down), (Pd, Down), (Tc, Up), (Vib, Steady), (Tb, Steady)], &[(Q, Tc)]),
    row(
        Fault::Unbalance,
        &[(Vib, Up), (Rpm, Steady), (Tb, Steady), (Oil, Steady), (Q, Steady), (Ps, Steady), (Pd, Steady), (I, Steady)],
        &[],
    ),
    row(Fault::Misalignment, &[(Vib, Up), (Tb, Up), (I, Up), (Q, Steady)], &[(Vib, Tb)]),
    row(Fault::Overload, &[(I, Up), (Rpm, Down), (Tb, Up)], &[(I, Tb)]),
    row(Fault::PhaseFault, &[(Rpm, Down), (I, Up), (Vib, Up), (Q, Down), (Pd, Down)], &[]),
];

fn profile() -> Profile {
    Profile::from_toml(include_str!("../../../config/profiles/centrifugal.toml")).expect("the default profile")
}

fn severity(value: f64) -> Severity {
    Severity::new(value).expect("0 to 1")
}

/// Runs a rated pump with and without the fault run, second by second.
fn run_pair(fault_run: FaultRun) -> Vec<(SimulatorOutput, SimulatorOutput)> {
    let start: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a time");
    let mut healthy = Simulator::new(Design::rated(), LoadPlan::Steady, 1, start);
    let mut faulty = healthy.clone();
    faulty.set_fault_run(Some(fault_run));
    (0..fault_run.total_s() as usize).map(|_| (faulty.step(1.0), healthy.step(1.0))).collect()
}

/// Returns the faulty value minus the healthy one, without noise.
fn difference((faulty, healthy): &(SimulatorOutput, SimulatorOutput), quantity: Quantity) -> f64 {
    let value = |step: &SimulatorOutput| step.truth().value(quantity).expect("measured");
    value(faulty) - value(healthy)
}

/// Returns the second half of the time at full growth.
fn full_growth(fault_run: &FaultRun) -> std::ops::Range<usize> {
    let end = (fault_run.onset_s + fault_run.growth_s + fault_run.hold_s) as usize;
    end - (fault_run.hold_s / 2.0) as usize..end
}

/// Returns the mean difference over the second half of the time at full growth.
fn effect(pairs: &[(SimulatorOutput, SimulatorOutput)], fault_run: &FaultRun, quantity: Quantity) -> f64 {
    let grown = &pairs[full_growth(fault_run)];
    grown.iter().map(|pair| difference(pair, quantity)).sum::<f64>() / grown.len() as f64
}

#[test]
fn a_grown_fault_has_the_symptoms_of_the_table_in_order() {
    for Row { fault, signs, order } in TABLE {
        for total_s in [180.0, 1_200.0] {
            let fault_run = FaultRun::within(fault, severity(1.0), total_s);
            let pairs = run_pair(fault_run);
            for &(quantity, sign) in signs {
                let (effect, clear) = (effect(&pairs, &fault_run, quantity), clear(quantity));
                let message = format!("{fault} in {total_s} s: {quantity:?} by {effect:.3}");
                match sign {
                    Up => assert!(effect > clear, "{message}"),
                    Down => assert!(effect < -clear, "{message}"),
                    Steady => assert!(effect.abs() < clear, "{message}"),
                }
            }
            let first_shown = |quantity| {
                let shows =
                    |pair: &(SimulatorOutput, SimulatorOutput)| difference(pair, quantity).abs() > clear(quantity);
                pairs.iter().position(shows).expect("it shows at severity 1")
            };
            for &(first, late) in order {
                assert!(first_shown(first) < first_shown(late), "{fault} in {total_s} s: {first:?} before {late:?}");
            }
        }
    }
}

#[test]
fn magnitudes_match_the_table() {
    let percent = |pairs: &[(SimulatorOutput, SimulatorOutput)], fault_run: &FaultRun, quantity| {
        let usual = pairs[0].1.truth().value(quantity).expect("measured");
        100.0 * effect(pairs, fault_run, quantity) / usual
    };
    let run_slow = |fault| {
        let fault_run = FaultRun::within(fault, severity(1.0), 1_200.0);
        (run_pair(fault_run), fault_run)
    };
    let (pairs, fault_run) = run_slow(Fault::BearingWear);
    assert!((10.0..=30.0).contains(&effect(&pairs, &fault_run, Tb)));
    assert!((2.0..=8.0).contains(&percent(&pairs, &fault_run, I)));
    let (pairs, fault_run) = run_slow(Fault::Misalignment);
    assert!((2.0..=5.0).contains(&percent(&pairs, &fault_run, I)));
    let (pairs, fault_run) = run_slow(Fault::SealLeak);
    assert!((-5.0..=-1.0).contains(&percent(&pairs, &fault_run, Q)));
    let (pairs, fault_run) = run_slow(Fault::Overload);
    assert!(percent(&pairs, &fault_run, I) > 40.0);
    for fault in [Fault::DeadHead, Fault::DryRun] {
        let (pairs, fault_run) = run_slow(fault);
        let grown = &pairs[full_growth(&fault_run)];
        assert!(grown.iter().all(|(faulty, _)| faulty.truth().flow_l_min == 0.0), "{fault}");
    }
    let (pairs, fault_run) = run_slow(Fault::DeadHead);
    let closed = pairs[full_growth(&fault_run).start].0.truth();
    let shut_off_m = 72.0 * (closed.value(Rpm).expect("measured") / 2_950.0).powi(2);
    assert!((closed.head_m - shut_off_m).abs() < 1.0, "{} {shut_off_m}", closed.head_m);
}

#[test]
fn cavitation_fluctuates() {
    let fault_run = FaultRun::within(Fault::Cavitation, severity(1.0), 600.0);
    let pairs = run_pair(fault_run);
    let spread = |quantity, faulty: bool| {
        let of = |pair: &(SimulatorOutput, SimulatorOutput)| {
            if faulty { pair.0.truth().value(quantity) } else { pair.1.truth().value(quantity) }
        };
        let values: Vec<f64> = pairs[full_growth(&fault_run)].iter().filter_map(of).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    };
    for quantity in [Q, Pd, I, Vib] {
        assert!(spread(quantity, true) > 2.0 * spread(quantity, false), "{quantity:?}");
    }
}

#[test]
fn bearing_wear_vibration_grows_faster_and_faster() {
    let fault_run = FaultRun::within(Fault::BearingWear, severity(1.0), 1_000.0);
    let pairs = run_pair(fault_run);
    let at = |growth: f64| difference(&pairs[(fault_run.onset_s + growth * fault_run.growth_s) as usize], Vib);
    let (first, second, third) = (at(0.5) - at(0.2), at(0.75) - at(0.5), at(0.98) - at(0.75));
    assert!(0.0 < first && first < second && second < third, "{first} {second} {third}");
}

#[test]
fn a_higher_severity_has_larger_symptoms() {
    for Row { fault, signs, .. } in TABLE {
        for &(quantity, sign) in &signs[..2] {
            if matches!(sign, Steady) {
                continue;
            }
            let effects = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].map(|level| {
                let fault_run = FaultRun::within(fault, severity(level), 300.0);
                effect(&run_pair(fault_run), &fault_run, quantity).abs()
            });
            assert!(effects.is_sorted(), "{fault}, {quantity:?}: {effects:?}");
            assert_eq!(effects[0], 0.0, "{fault}: severity 0 has no effect");
            assert!(effects[5] > 2.0 * effects[1], "{fault}, {quantity:?}: {effects:?}");
        }
    }
}

#[test]
fn states_follow_in_order_and_the_fault_is_named_while_active() {
    use MachineStatus::{Broken, Normal, Recovering};
    for fault in Fault::machine_faults() {
        let mut states = Vec::new();
        let fault_run = FaultRun::within(fault, severity(0.5), 240.0);
        for (faulty, healthy) in run_pair(FaultRun { hold_s: 60.0, ..fault_run }) {
            if states.last() != Some(&faulty.status) {
                states.push(faulty.status);
            }
            assert_eq!(faulty.fault.is_some(), faulty.growth > 0.0);
            assert!(faulty.fault.is_none_or(|active| active == fault));
            assert!(faulty.status == Normal || faulty.fault.is_some());
            assert_eq!((healthy.status, healthy.fault), (Normal, None));
        }
        assert_eq!(states[..3], [Normal, Broken, Recovering], "{fault}");
    }
}

#[test]
fn without_its_fault_run_a_machine_is_healthy_at_once_and_cools_with_lags() {
    let start: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a time");
    let mut pump = Simulator::new(Design::rated(), LoadPlan::Steady, 1, start);
    let lasting = FaultRun { hold_s: 1e6, ..FaultRun::within(Fault::BearingWear, severity(1.0), 120.0) };
    pump.set_fault_run(Some(lasting));
    let hot = (0..300).map(|_| pump.step(1.0)).last().expect("steps");
    assert_eq!(pump.fault_run(), Some((&lasting, 300.0)));
    pump.set_fault_run(None);
    let after = pump.step(1.0);
    assert_eq!((after.status, after.fault, after.growth, pump.fault_run()), (MachineStatus::Normal, None, 0.0, None));
    let bearing = |step: &SimulatorOutput| step.truth().value(Tb).expect("measured");
    assert!(bearing(&hot) - bearing(&after) < 1.0 && bearing(&after) > 70.0);
    let later = (0..600).map(|_| pump.step(1.0)).last().expect("steps");
    assert!(bearing(&later) < 60.0);
}

#[test]
fn a_sensor_fault_changes_only_its_sensor() {
    let kinds = [SensorFault::Stuck, SensorFault::Drift, SensorFault::Spike, SensorFault::Dropout];
    for (kind, quantity) in kinds.into_iter().flat_map(|kind| ALL.map(|quantity| (kind, quantity))) {
        let fault = Fault::Sensor(kind, quantity);
        let fault_run = FaultRun::within(fault, severity(1.0), 300.0);
        let mut changed = 0;
        for (faulty, healthy) in run_pair(fault_run) {
            assert_eq!(faulty.truth(), healthy.truth(), "the machine is healthy");
            for other in ALL.into_iter().filter(|other| *other != quantity) {
                assert_eq!(faulty.value(other), healthy.value(other), "{kind:?} of {quantity:?}");
            }
            let differs = faulty.value(quantity) != healthy.value(quantity);
            assert!(!differs || faulty.fault == Some(fault), "{kind:?} of {quantity:?}");
            changed += usize::from(differs);
        }
        assert!(changed > 15, "{kind:?} of {quantity:?}: {changed}");
    }
}

#[test]
fn sensor_faults_give_their_kind_of_values() {
    let of = |kind| {
        let fault_run = FaultRun::within(Fault::Sensor(kind, Q), severity(1.0), 300.0);
        let pairs = run_pair(fault_run);
        let grown = full_growth(&fault_run);
        pairs[grown].iter().map(|(faulty, healthy)| (faulty.value(Q), healthy.value(Q))).collect::<Vec<_>>()
    };
    let stuck = of(SensorFault::Stuck);
    assert!(stuck.iter().all(|(faulty, _)| *faulty == stuck[0].0 && faulty.is_some()));
    for (faulty, healthy) in of(SensorFault::Drift) {
        assert!((faulty.expect("a value") - healthy.expect("a value") - 350.0).abs() < 0.06);
    }
    let spikes = of(SensorFault::Spike).iter().filter(|(faulty, healthy)| faulty != healthy).count();
    assert!((3..30).contains(&spikes), "{spikes} of 50 or so");
    assert!(of(SensorFault::Dropout).iter().all(|(faulty, _)| faulty.is_none()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn faulty_pumps_stay_in_the_sensors_ranges(
        seed: u64,
        name in proptest::sample::select(&Fault::NAMES[..]),
        channel in 0..10_usize,
        level in 0.0..=1.0_f64,
        load in proptest::sample::select(vec![LoadPlan::Steady, LoadPlan::Steps, LoadPlan::Starts]),
        total_s in 100.0..3_000.0_f64,
    ) {
        let profile = profile();
        let channel = name.starts_with("sensor_").then_some(ALL[channel]);
        let fault = Fault::parse(name, channel).expect(name);
        let start: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a time");
        let mut pump = Simulator::new(Design::drawn(seed), load, seed, start);
        pump.set_fault_run(Some(FaultRun::within(fault, severity(level), total_s)));
        for _ in 0..total_s as usize {
            let step = pump.step(1.0);
            for (sample, channel) in step.samples(&profile).iter().zip(profile.channels()) {
                let lost = matches!(fault, Fault::Sensor(SensorFault::Dropout, q) if q == channel.quantity);
                let is_expected = matches!(sample, Sample::Good(_)) || (lost && *sample == Sample::Missing);
                prop_assert!(is_expected, "{}: {:?}", channel.name, sample);
            }
        }
    }
}
