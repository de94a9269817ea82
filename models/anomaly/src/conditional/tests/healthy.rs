//! A healthy pump has no episodes.

use super::{
    Episodes, MINUTE_S, learn,
    pump::{DAY_S, Pump},
};

const HOUR_S: f64 = 3_600.0;

#[test]
fn a_healthy_pump_has_no_episode_in_a_fortnight() {
    for seed in 1..=6 {
        let mut pump = Pump::new(seed, MINUTE_S);
        let learned = pump.run(DAY_S);
        let baseline = learn(&learned);
        let mut episodes = Episodes::after(&baseline, &learned);
        episodes.watch(&pump.run(14.0 * DAY_S));
        assert_eq!(episodes.began, [], "seed {seed}");
    }
}

#[test]
fn a_pump_that_is_read_every_five_seconds_has_no_episode() {
    for seed in 1..=2 {
        let mut pump = Pump::new(seed, 5.0);
        let learned = pump.run(DAY_S);
        let baseline = learn(&learned);
        let mut episodes = Episodes::after(&baseline, &learned);
        episodes.watch(&pump.run(2.0 * DAY_S));
        assert_eq!(episodes.began, [], "seed {seed}");
    }
}

#[test]
fn a_season_is_no_fault() {
    for seed in 1..=3 {
        let mut pump = Pump::new(seed, MINUTE_S);
        let learned = pump.run(DAY_S);
        let baseline = learn(&learned);
        let mut episodes = Episodes::after(&baseline, &learned);
        for day in 0..28 {
            pump.ambient_rise = 15.0 * f64::from(day) / 28.0;
            episodes.watch(&pump.run(DAY_S));
        }
        assert_eq!(episodes.began, [], "seed {seed}");
    }
}

#[test]
fn a_hot_day_is_no_fault() {
    for seed in 1..=3 {
        let mut pump = Pump::new(seed, MINUTE_S);
        let learned = pump.run(DAY_S);
        let baseline = learn(&learned);
        let mut episodes = Episodes::after(&baseline, &learned);
        episodes.watch(&pump.run(DAY_S));
        pump.ambient_rise = 8.0;
        episodes.watch(&pump.run(DAY_S));
        pump.ambient_rise = 0.0;
        episodes.watch(&pump.run(DAY_S));
        assert_eq!(episodes.began, [], "seed {seed}");
    }
}

#[test]
fn jitter_of_the_times_makes_no_episode() {
    let mut pump = Pump::new(1, MINUTE_S);
    pump.jitter_s = 0.45 * MINUTE_S;
    let learned = pump.run(DAY_S);
    let baseline = learn(&learned);
    let mut episodes = Episodes::after(&baseline, &learned);
    episodes.watch(&pump.run(5.0 * DAY_S));
    assert_eq!(episodes.began, []);
}

#[test]
fn speeds_that_were_not_seen_are_tested_less_strictly_and_said_to_be() {
    for seed in 1..=3 {
        let mut pump = Pump::new(seed, MINUTE_S);
        pump.demand_range = [0.6, 0.75];
        let learned = pump.run(DAY_S);
        let baseline = learn(&learned);
        pump.demand_range = [0.6, 1.0];
        let mut episodes = Episodes::after(&baseline, &learned);
        episodes.watch(&pump.run(2.0 * DAY_S));
        assert_eq!(episodes.began, [], "seed {seed}");
        assert!(episodes.outside > 100, "seed {seed}");
    }
}

#[test]
fn a_pump_that_stops_and_starts_has_no_episode() {
    for seed in 1..=3 {
        let mut pump = Pump::new(seed, MINUTE_S);
        let cycles = |pump: &mut Pump, count: usize| {
            let mut rows = Vec::new();
            for _ in 0..count {
                pump.is_on = true;
                rows.extend(pump.run(4.0 * HOUR_S));
                pump.is_on = false;
                rows.extend(pump.run(2.0 * HOUR_S));
            }
            rows
        };
        let learned = cycles(&mut pump, 8);
        let baseline = learn(&learned);
        let mut episodes = Episodes::after(&baseline, &learned);
        episodes.watch(&cycles(&mut pump, 20));
        assert_eq!(episodes.began, [], "seed {seed}");
        assert!(episodes.tested > 3_000);
    }
}

#[test]
fn a_short_commissioning_makes_few_false_alarms() {
    for hours in [1.0, 4.0, 12.0] {
        let (mut anomalous, mut tested) = (0, 0);
        for seed in 1..=6 {
            let mut pump = Pump::new(seed, MINUTE_S);
            let learned = pump.run(hours * HOUR_S);
            let baseline = learn(&learned);
            let mut episodes = Episodes::after(&baseline, &learned);
            episodes.watch(&pump.run(DAY_S));
            anomalous += episodes.anomalous;
            tested += episodes.tested;
        }
        assert!(anomalous * 100 <= tested, "{anomalous} of {tested} readings after {hours} hours");
    }
}
