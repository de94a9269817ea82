//! The constants of the conditional detector, with the source of each. They are the same for every pump, interval and
//! profile; what differs between pumps is learned. `conditional.rs` defines the words (output, term, residual, spread, scale, z).
//!
//! The source of a value is one of:
//!
//! - *Chosen*: by trying values on 18 runs of the SKAB test bed (recordings of a small water pump with faults), on a simulated
//!   variable-speed pump, on the synthetic pump of the tests (seeds 1 to 7 and 200 to 229), and on the recordings of
//!   `tests/it/cadence.rs`.
//! - *Physics*: an order of magnitude that holds for any pump.
//! - *Statistics*: a rule that needs no data.
//!
//! Times are in seconds, so that they hold at any interval.
//!
//! Example: at one reading per minute there are no scales of 5 s and 15 s; the shortest scale is the interval, 60 s. A day of
//! 1,440 such readings counts as 1,440 independent readings. A day of 86,400 readings at one per second counts as 1,440 too,
//! because readings within [`ConditionalTuning::independent_s`] (60 s) repeat each other.
//!
//! A change of a value changes detections: it needs a new [`super::CONDITIONAL_VERSION`].

/// The constants. There is one set of them, [`TUNING`].
pub(super) struct ConditionalTuning {
    /// A pump runs above this share of its highest speed. Physics: below it a centrifugal pump delivers nothing.
    pub running_share: f64,
    /// The quantiles of the speeds in commissioning between which the known range lies. Chosen.
    pub speed_quantiles: [f64; 2],
    /// Half the speed range is at least this share of the highest speed, so that a pump of constant speed has a range too.
    /// Chosen.
    pub min_half_range: f64,
    /// If half the speed range is less than this share of the highest speed, the speed counts as constant. Physics: within such a
    /// range the cube of the speed differs from a straight line by less than 1 %.
    pub narrow_half_range: f64,
    /// The number of bump terms over the speed range (`terms.rs`). Chosen.
    pub bumps: u8,
    /// Time constants of the speed changes. Physics: inertia of shaft and fluid, filters of transmitters.
    pub change_time_constants_s: [f64; 3],
    /// Time constants of heating by the load. Physics: bearing, housing, motor.
    pub heat_time_constants_s: [f64; 3],
    /// Time constants with which the machine follows the ambient temperature. Physics: bearing, housing, motor.
    pub ambient_time_constants_s: [f64; 4],
    /// The main one of them: an output depends on this average, and on the distances of the others from it. Chosen.
    pub ambient_main_s: f64,

    /// The prior standard deviations of the terms' weights, in residual spreads. From the first: the constant; x, x², x³ (x is
    /// the speed); a bump; a speed change; heating, of a temperature and of another channel; the load, of a channel that depends
    /// on it; the ambient temperature, of a channel that is no temperature. Chosen.
    pub prior_constant: f64,
    pub prior_powers: [f64; 3],
    pub prior_bump: f64,
    pub prior_change: f64,
    pub prior_heat_thermal: f64,
    pub prior_heat_other: f64,
    pub prior_load: f64,
    pub prior_ambient_other: f64,
    /// A temperature follows the ambient temperature by 1 K per K; this is the prior standard deviation. Physics.
    pub prior_ambient_thermal: f64,
    /// The same for the terms that are differences of ambient averages; their prior mean is 0 K per K. Physics.
    pub prior_ambient_lag_thermal: f64,

    /// Readings within this time count as one in the fit. Chosen.
    pub independent_s: f64,
    /// In a short commissioning that time is at most this share of the running time. Statistics: so there are at least ten
    /// independent readings.
    pub independent_share: f64,
    /// If there are more rows than this, some of those that repeat each other are left out of the fit. This limits the duration
    /// of a fit, and changes the result little.
    pub fit_rows: usize,
    /// How often an output is fitted, each time with the residual spread of the fit before. Statistics: it converges in three.
    pub fit_rounds: usize,
    /// Commissioning is cut into this many blocks; each is left out of one fit (`outputs.rs`). Statistics.
    pub blocks: usize,
    /// A spread is at least this share of the median change between readings. Chosen.
    pub min_spread_of_changes: f64,
    /// A spread is at least this share of the channel's resolution. Statistics: rounding has a standard deviation of
    /// 1/√12 of the resolution, 0.29.
    pub min_spread_of_resolution: f64,
    /// The fewest rows of normal running to learn from. Statistics: each block has some.
    pub min_rows: usize,

    /// The scales: time constants of averages of the residuals. Chosen.
    pub scales_s: [f64; 6],
    /// A scale is used if commissioning is at least this many times as long. Chosen.
    pub scale_periods: f64,
    /// An output is tested at a scale while the weight of its average is above this (`averages.rs`). Chosen.
    pub min_weight: f64,
    /// A missing value reduces the weight by this part of the share that a reading would have replaced. Chosen.
    pub missing_decay: f64,
    /// Correlations are reduced by this share, plus [`Self::shrinkage_per_channel`] times the number of channels over the number
    /// of independent averages. Chosen: a reduction by 15 % would lose most of the benefit of testing a channel given the others.
    pub shrinkage: f64,
    pub shrinkage_per_channel: f64,
    /// The standard deviation at a scale is at least this share of the channel's spread: noise averages away over long times,
    /// but the error of the fit does not. Chosen.
    pub min_scale_spread: f64,
    /// Speed changes add to an output's variance only if they explain at least this share of it in commissioning. Chosen.
    pub ramp_share: f64,
    /// The largest squared speed change that counts. Chosen.
    pub max_squared_change: f64,

    /// By how much the prediction of a temperature may be off, in K, after a commissioning of no length. With the running time t
    /// it falls as e^(-t / [`Self::thermal_time_constant_s`]). Physics.
    pub unknown_thermal_k: f64,
    pub thermal_time_constant_s: f64,
    /// The guard (`uncertainty.rs`): outside of the known speeds a value may be off by this many times the excess of the speed,
    /// as a share of its mean. Chosen.
    pub guard: f64,
    /// Flow and load may be off by this share of the guard in the direction opposite to the excess. Physics: both rise with the
    /// speed.
    pub guard_against_speed: f64,
    /// An excess below this share of the highest speed has no guard. Chosen.
    pub guard_free: f64,
    /// The time constant with which the guard falls after an excess. Chosen.
    pub guard_time_constant_s: f64,
    /// Above this guard no episode ends and nothing is learned. Chosen.
    pub max_guard: f64,
    /// Noise is averaged with this time constant, and over at least this many readings. Chosen.
    pub noise_time_constant_s: f64,
    pub noise_readings: f64,
    /// Noise above `noise_free` times that of commissioning is excess. The excess is added to the variance `noise_factor` times.
    /// Chosen.
    pub noise_free: f64,
    pub noise_factor: f64,
    /// Noise counts up to this many times that of commissioning. Otherwise a gross fault that comes and goes would count as noise,
    /// and the growing allowance would hide it. Chosen.
    pub noise_most: f64,
    /// One change counts at most this many times the noise so far. Chosen: a sudden jump of the value is not noise.
    pub noise_clip: f64,
    /// If the speed was missing for this much longer than it was there, it is lost, and the current takes its place. Chosen.
    pub speed_lost_s: f64,
    /// The last value of a missing input says nothing anymore after a time that is learned. It is limited to this range. Chosen.
    pub forgotten_s: [f64; 2],
    /// The input is then off by this many standard deviations of commissioning. Statistics: two random values differ by √2
    /// standard deviations on average, and the highest and lowest value of a sine by 2 √2.
    pub missing_spreads: f64,

    /// A threshold is at least this many times the largest z to be expected by chance. The rule is statistics, the factor chosen.
    pub chance_factor: f64,
    /// With n independent residuals in commissioning this is multiplied by √(1 + `few_factor` / n), because a standard deviation
    /// from few values is uncertain, and a largest value even more. The rule is statistics, the factor chosen.
    pub few_factor: f64,
    /// A threshold is at least this many times the largest z of commissioning. Chosen.
    pub largest_factor: f64,
    /// The threshold of the flow, and of the other outputs, is multiplied by this. Most faults show first in the flow, which is
    /// the purpose of a pump. Chosen: in a prototype the lower factor of the flow raised the F1 score on SKAB by 0.016, and cost
    /// 0.04 to 0.19 false episodes a day on pumps with variable speed.
    pub flow_factor: f64,
    pub other_factor: f64,

    /// The offset of a prediction follows the residual with the running time of commissioning as its time constant, but at most
    /// with this one. Chosen.
    pub max_follow_s: f64,
    /// The offset stays within this many spreads of its anchor (`regression.rs`). Chosen.
    pub max_drift: f64,
    /// The anchor of a temperature follows the offset, at this share of the rate at which the offset changes. The reason: the pumped fluid gets
    /// warmer with the season, and its temperature is seldom measured. Chosen on three variable-speed pumps whose ambient
    /// temperature rises by 15 K in 28 days. Without it there are 0.3 to 0.4 false episodes a day, which last for days; with it
    /// 0.14, and faults are found as early.
    pub thermal_anchor_share: f64,

    /// An input is named if a wrong value of it explains more than this share of the outputs' squared distance from normal.
    /// Chosen.
    pub explained_by_input: f64,

    /// An episode ends below this score. Chosen.
    pub quiet: f64,
    /// It also ends when less than this share of its greatest change is left. Chosen.
    pub returned: f64,
    /// The same for an episode that a longer scale than the two shortest raised. Chosen.
    pub returned_slow: f64,
    /// After such an episode, for the time of its scale, the same output begins an episode above this score instead of 1. Chosen.
    pub comes_back: f64,
    /// The pump must be back at its levels for at least this many readings before an episode ends. Chosen.
    pub quiet_readings: u32,
    /// For how many seconds offsets are learned after an episode that ended at other levels than it began. Chosen.
    pub relearn_s: f64,
    /// If that time has fewer readings than this, nothing is relearned. Chosen.
    pub relearn_readings: f64,

    /// A time without readings is a gap if it is longer than this, and longer than this many intervals. The windower has a
    /// shorter limit. Chosen.
    pub gap_s: f64,
    pub gap_intervals: f64,
}

/// The constants of every pump.
pub(super) const TUNING: ConditionalTuning = ConditionalTuning {
    running_share: 0.15,
    speed_quantiles: [0.005, 0.995],
    min_half_range: 0.02,
    narrow_half_range: 0.05,
    bumps: 8,
    change_time_constants_s: [5.0, 15.0, 60.0],
    heat_time_constants_s: [300.0, 1_200.0, 4_800.0],
    ambient_time_constants_s: [60.0, 300.0, 1_200.0, 4_800.0],
    ambient_main_s: 1_200.0,

    prior_constant: 100.0,
    prior_powers: [50.0, 20.0, 10.0],
    prior_bump: 5.0,
    prior_change: 20.0,
    prior_heat_thermal: 100.0,
    prior_heat_other: 3.0,
    prior_load: 30.0,
    prior_ambient_other: 1.0,
    prior_ambient_thermal: 0.3,
    prior_ambient_lag_thermal: 0.6,

    independent_s: 60.0,
    independent_share: 0.1,
    fit_rows: 4_096,
    fit_rounds: 4,
    blocks: 8,
    min_spread_of_changes: 0.3,
    min_spread_of_resolution: 0.3,
    min_rows: 32,

    scales_s: [5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0],
    scale_periods: 25.0,
    min_weight: 0.65,
    missing_decay: 0.2,
    shrinkage: 0.01,
    shrinkage_per_channel: 0.5,
    min_scale_spread: 0.15,
    ramp_share: 0.3,
    max_squared_change: 25.0,

    unknown_thermal_k: 10.0,
    thermal_time_constant_s: 4_800.0,
    guard: 3.0,
    guard_against_speed: 1.0 / 3.0,
    guard_free: 0.01,
    guard_time_constant_s: 600.0,
    max_guard: 0.01,
    noise_time_constant_s: 60.0,
    noise_readings: 20.0,
    noise_free: 1.3,
    noise_factor: 1.5,
    noise_most: 20.0,
    noise_clip: 6.0,
    speed_lost_s: 600.0,
    forgotten_s: [30.0, 1_800.0],
    missing_spreads: 2.0,

    chance_factor: 1.9,
    few_factor: 6.0,
    largest_factor: 2.3,
    flow_factor: 0.8,
    other_factor: 1.08,

    max_follow_s: 12.0 * 3_600.0,
    max_drift: 3.0,
    thermal_anchor_share: 0.5,

    explained_by_input: 0.9,

    quiet: 0.5,
    returned: 0.1,
    returned_slow: 0.25,
    comes_back: 0.7,
    quiet_readings: 2,
    relearn_s: 90.0,
    relearn_readings: 3.0,

    gap_s: 600.0,
    gap_intervals: 20.0,
};
