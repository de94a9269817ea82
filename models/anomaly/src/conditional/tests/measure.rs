//! Measures the detector on many pumps and prints the figures of `BENCHMARKS.md`. Ignored, since it takes minutes:
//!
//! ```text
//! VOLUTE_SEEDS=200-229 cargo test -p volute-anomaly --lib conditional::tests::measure -- --ignored --nocapture
//! ```

use std::{fs, ops::RangeInclusive, thread};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use volute_plant::Sample;

use super::{
    Episodes, MINUTE_S, learn,
    pump::{AMBIENT, BEARING, CURRENT, DAY_S, FLOW, Fault, Pump, SPEED, VIBRATION},
};
use crate::conditional::{RefinementSchedule, TimedSamples};

const HOUR_S: f64 = 3_600.0;

/// Returns the seeds to measure with.
fn seeds() -> RangeInclusive<u64> {
    let seeds = std::env::var("VOLUTE_SEEDS").unwrap_or_else(|_| "1-7".to_owned());
    let (first, last) = seeds.split_once('-').expect("VOLUTE_SEEDS is FIRST-LAST");
    first.parse().expect("a number")..=last.parse().expect("a number")
}

/// Returns the result of each seed, on two threads.
fn each<R: Send>(of: impl Fn(u64) -> R + Sync) -> Vec<R> {
    let seeds: Vec<u64> = seeds().collect();
    let (left, right) = seeds.split_at(seeds.len() / 2);
    let run = |seeds: &[u64]| seeds.iter().map(|seed| of(*seed)).collect::<Vec<R>>();
    thread::scope(|scope| {
        let other = scope.spawn(|| run(left));
        let mut results = run(right);
        results.extend(other.join().expect("no panic"));
        results
    })
}

/// A pump's false episodes in 14 days, and in 28 in which the ambient rises by 15 K; the delay of each fault and whether
/// its channel was named.
struct Figures {
    healthy: usize,
    season: usize,
    faults: Vec<Option<(f64, bool)>>,
}

const FAULTS: [(Fault, usize); 3] = [(Fault::Vibration, VIBRATION), (Fault::Flow, FLOW), (Fault::Bearing, BEARING)];

fn figures(seed: u64, lost: Lost) -> Figures {
    let mut pump = Pump::new(seed, MINUTE_S);
    let learned = lost.take(seed, &pump.run(DAY_S), true);
    let baseline = learn(&learned);
    let watch = |rows: &[TimedSamples]| {
        let mut episodes = Episodes::after(&baseline, &learned);
        episodes.watch(&lost.take(seed, rows, false));
        episodes.began
    };
    let healthy = watch(&pump.run(14.0 * DAY_S)).len();
    let mut pump = Pump::new(seed, MINUTE_S);
    pump.run(DAY_S);
    let mut rows = Vec::new();
    for day in 0..28 {
        pump.ambient_rise = 15.0 * f64::from(day) / 28.0;
        rows.extend(pump.run(DAY_S));
    }
    let season = watch(&rows).len();
    let delay = |(fault, channel): (Fault, usize)| {
        let mut pump = Pump::new(seed, MINUTE_S);
        pump.run(DAY_S);
        let mut rows = pump.run(2.0 * DAY_S);
        pump.fault = Some((fault, pump.time_s()));
        let faulty = pump.run(12.0 * HOUR_S);
        let onset = faulty[0].at;
        rows.extend(faulty);
        let (at, blamed) = watch(&rows).into_iter().find(|(at, _)| *at >= onset)?;
        Some(((at.millis() - onset.millis()) as f64 / 3.6e6, blamed == channel))
    };
    Figures { healthy, season, faults: FAULTS.into_iter().map(delay).collect() }
}

/// Which values of the readings are missing.
#[derive(Debug, Clone, Copy)]
enum Lost {
    Nothing,
    /// Channels in commissioning, and channels later.
    Channels(&'static [usize], &'static [usize]),
    /// This share of all values, at random.
    Cells(f64),
}

impl Lost {
    fn take(self, seed: u64, rows: &[TimedSamples], is_learned: bool) -> Vec<TimedSamples> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut is_lost = |channel: usize| match self {
            Lost::Nothing => false,
            Lost::Channels(learned, later) => if is_learned { learned } else { later }.contains(&channel),
            Lost::Cells(share) => rng.random::<f64>() < share,
        };
        let mut take = |row: &TimedSamples| {
            let samples = row.samples.iter().enumerate();
            let samples = samples.map(|(channel, sample)| if is_lost(channel) { Sample::Missing } else { *sample });
            TimedSamples { at: row.at, samples: samples.collect() }
        };
        rows.iter().map(&mut take).collect()
    }
}

#[test]
#[ignore = "a measurement"]
fn a_day_of_commissioning() {
    measure("all channels", Lost::Nothing);
}

#[test]
#[ignore = "a measurement"]
fn an_absent_channel() {
    measure("the speed is lost after commissioning", Lost::Channels(&[], &[SPEED]));
    measure("the speed was never there", Lost::Channels(&[SPEED], &[SPEED]));
    measure("speed and current are lost after commissioning", Lost::Channels(&[], &[SPEED, CURRENT]));
    measure("the ambient is lost after commissioning", Lost::Channels(&[], &[AMBIENT]));
    measure("the ambient was never there", Lost::Channels(&[AMBIENT], &[AMBIENT]));
    measure("a tenth of the cells is missing", Lost::Cells(0.1));
}

fn measure(name: &str, lost: Lost) {
    println!("{name}:");
    let figures = each(|seed| figures(seed, lost));
    let count = figures.len();
    let print = |name: &str, episodes: Vec<usize>, days: f64| {
        let (sum, worst) = (episodes.iter().sum::<usize>() as f64, episodes.iter().max().copied().unwrap_or(0));
        println!("  {name}: {sum} false episodes, {:.3} a pump-day, worst pump {worst}", sum / days / count as f64);
    };
    print("14 days", figures.iter().map(|figures| figures.healthy).collect(), 14.0);
    print("28 days, +15 K", figures.iter().map(|figures| figures.season).collect(), 28.0);
    for (index, (fault, _)) in FAULTS.iter().enumerate() {
        let mut found: Vec<(f64, bool)> = figures.iter().filter_map(|figures| figures.faults[index]).collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let named = found.iter().filter(|(_, named)| *named).count();
        let (median, last) = (found.get(found.len() / 2), found.last());
        println!("  {fault:?}: {} of {count}, named {named}, median {median:.2?}, last {last:.2?}", found.len());
    }
}

/// Returns the number of readings that are tested and of those in an episode, in two days after a commissioning of some hours.
fn short(seed: u64, interval_s: f64, hours: f64, refits: bool) -> (usize, usize) {
    let mut pump = Pump::new(seed, interval_s);
    let mut healthy = pump.run(hours * HOUR_S);
    let mut baseline = learn(&healthy);
    let (mut tested, mut anomalous) = (0, 0);
    let mut passed_s = 0.0;
    while passed_s < 2.0 * DAY_S {
        let next_s = RefinementSchedule::next_s(baseline.learned().running_s).filter(|_| refits);
        let mut until_s = next_s.map_or(2.0 * DAY_S, |next_s| passed_s + next_s - baseline.learned().running_s);
        let mut episodes = Episodes::after(&baseline, &healthy);
        let mut rows = Vec::new();
        while passed_s < until_s.min(2.0 * DAY_S) {
            let row = pump.next();
            passed_s += interval_s;
            episodes.watch(std::slice::from_ref(&row));
            if episodes.state.in_episode() {
                // During an episode the baseline is not learned again.
                until_s += interval_s;
            } else {
                rows.push(row);
            }
        }
        tested += episodes.tested;
        anomalous += episodes.anomalous;
        healthy.extend(rows);
        baseline = learn(&healthy);
    }
    (tested, anomalous)
}

#[test]
#[ignore = "a measurement"]
fn a_short_commissioning() {
    for (interval_s, hours) in
        [(5.0, 0.25), (5.0, 1.0), (60.0, 0.6), (60.0, 1.0), (60.0, 4.0), (60.0, 8.0), (60.0, 12.0), (60.0, 24.0)]
    {
        for refits in [true, false] {
            let results = each(|seed| short(seed, interval_s, hours, refits));
            let (tested, anomalous) = results.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            let worst = results.iter().map(|(tested, anomalous)| 100.0 * *anomalous as f64 / *tested as f64);
            println!(
                "{interval_s} s, {hours} h, refits {refits}: {:.2} % of readings in an episode, worst pump {:.1} %",
                100.0 * anomalous as f64 / tested as f64,
                worst.fold(0.0, f64::max)
            );
        }
    }
}

/// Returns the processor time of this thread, in seconds. Unlike the time of day it does not depend on what else runs.
fn cpu_s() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds") / 1e9
}

#[test]
#[ignore = "a measurement"]
fn the_cost_at_a_reading_per_second() {
    let mut pump = Pump::new(1, 1.0);
    let rows = pump.run(DAY_S);
    let start = cpu_s();
    let baseline = learn(&rows);
    println!("a day is learned in {:.2} s", (cpu_s() - start));
    let mut episodes = Episodes::after(&baseline, &rows);
    let later = pump.run(DAY_S);
    let start = cpu_s();
    episodes.watch(&later);
    let (outputs, terms, scales) = (baseline.outputs.len(), baseline.terms.len(), baseline.by_scale.len());
    println!(
        "{:.2} us a reading; {outputs} outputs, {terms} terms, {scales} scales, {} episodes",
        1e6 * (cpu_s() - start) / later.len() as f64,
        episodes.began.len()
    );
    let size = |text: serde_json::Result<String>| text.expect("JSON").len() as f64 / 1e3;
    let (state, baseline) = (size(serde_json::to_string(&episodes.state)), size(serde_json::to_string(&baseline)));
    println!("state {state:.1} kB, baseline {baseline:.1} kB");
}
