//! The constants of the conditional detector, with the source of each. They are the same for every pump, interval and
//! profile; what differs between pumps is learned.
//!
//! Sources: *chosen* on 18 runs of the SKAB test bed and one simulated variable-speed pump, by the prototype that this
//! detector follows, and on SKAB and the synthetic pump of the tests (seeds 1 to 7 and 200 to 229); *physics*, an order of magnitude that holds for any pump; *statistics*, a rule that needs no data. Times
//! are in seconds, and none is in readings.
//!
//! Example: at one reading per minute the scales 5 s and 15 s do not exist, the shortest scale is the interval itself, and a
//! day of 1,440 readings has the information of 1,440 independent ones; at one per second it has the same, because readings
//! within [`ConditionalTuning::independent_s`] repeat each other.
//!
//! A change of a value changes detections: it needs a new [`super::CONDITIONAL_VERSION`].

/// The constants. There is one set of them, [`TUNING`].
pub(super) struct ConditionalTuning {
    /// A pump runs above this share of its highest speed. Physics: below it a centrifugal pump delivers nothing.
    pub running_share: f64,
    /// The shares of the speeds in commissioning that bound the known range. Chosen.
    pub speed_quantiles: [f64; 2],
    /// The speed range is at least this share of the highest speed to both sides, so that a pump of constant speed has one.
    /// Chosen.
    pub min_half_range: f64,
    /// A range of less than this share of the highest speed to both sides is one of constant speed. Physics: the cube of the speed
    /// bends by less than a percent there.
    pub narrow_half_range: f64,
    /// The number of bumps over the speed range. Chosen.
    pub bumps: u8,
    /// Time constants of the speed changes. Physics: inertia of shaft and fluid, filters of transmitters.
    pub change_spans_s: [f64; 3],
    /// Time constants of heating by the load. Physics: bearing, housing, motor.
    pub heat_spans_s: [f64; 3],
    /// Time constants of the ambient temperature's way into the machine. Physics, as for heating.
    pub ambient_spans_s: [f64; 4],
    /// The one of them that levels are compared with. Chosen.
    pub ambient_main_s: f64,

    /// Prior standard deviations, in residual spreads: constant; x, x², x³; bump; speed change; heating of a temperature and
    /// of another channel; load of a channel that depends on it; ambient, of a channel that is no temperature. Chosen.
    pub prior_constant: f64,
    pub prior_powers: [f64; 3],
    pub prior_bump: f64,
    pub prior_change: f64,
    pub prior_heat_thermal: f64,
    pub prior_heat_other: f64,
    pub prior_load: f64,
    pub prior_ambient_other: f64,
    /// A temperature follows the ambient by 1 K per K, give or take this. Physics.
    pub prior_ambient_thermal: f64,
    /// The same for the differences of ambient averages, around 0. Physics.
    pub prior_ambient_lag_thermal: f64,

    /// Readings within this time count as one in the fit. Chosen.
    pub independent_s: f64,
    /// In a short commissioning, at most this share of it. Statistics: ten independent readings at least.
    pub independent_share: f64,
    /// With more rows than this, some of those that repeat each other are left out of the fit. It bounds the time of a fit,
    /// and changes little else.
    pub fit_rows: usize,
    /// Rounds of weighting rows by the residual spread. Statistics: it converges in three.
    pub fit_rounds: usize,
    /// The number of blocks that are left out in turn. Statistics.
    pub blocks: usize,
    /// A spread is at least this share of the median change between readings. Chosen.
    pub min_spread_of_changes: f64,
    /// A spread is at least this share of the channel's resolution. Statistics: the spread of rounding is 1/√12 of a step.
    pub min_spread_of_resolution: f64,
    /// The fewest rows of normal running to learn from. Statistics: no block is without one.
    pub min_rows: usize,

    /// The scales: time constants of averages of the residuals. Chosen.
    pub scales_s: [f64; 6],
    /// A scale is used if commissioning is this many times longer. Chosen.
    pub scale_periods: f64,
    /// A channel is judged at a scale while its average has this weight. Chosen.
    pub min_weight: f64,
    /// A missing value takes this share of what a reading would have replaced from the weight. Chosen.
    pub missing_decay: f64,
    /// Correlations are reduced by this, and by [`Self::shrinkage_per_channel`] for each channel and independent average. A
    /// reduction by 15 % costs most of what judging a channel given the others brings. Chosen.
    pub shrinkage: f64,
    pub shrinkage_per_channel: f64,
    /// The standard deviation at a scale is at least this share of the channel's spread: over long times misfit does not
    /// average away, as noise does. Chosen.
    pub min_scale_spread: f64,
    /// A channel's variance grows with speed changes only if that explains this share of its variance. Chosen.
    pub ramp_share: f64,
    /// The largest squared speed change that counts. Chosen.
    pub max_squared_change: f64,

    /// What a commissioning of no length does not know of a temperature, in K; less by [`Self::thermal_span_s`]. Physics.
    pub unknown_thermal_k: f64,
    pub thermal_span_s: f64,
    /// Outside of the known speeds a value may be off by this many times the excess, as a share of its mean. Chosen.
    pub guard: f64,
    /// Flow and load may be off by this share of it against the direction of the excess. Physics: both rise with the speed.
    pub guard_against_speed: f64,
    /// An excess of this share of the highest speed is free. Chosen.
    pub guard_free: f64,
    /// How long an excess is remembered. Chosen.
    pub guard_span_s: f64,
    /// No episode ends and nothing is learned above this guard. Chosen.
    pub max_guard: f64,
    /// Noise is measured over this time, and over this many readings. Chosen.
    pub noise_span_s: f64,
    pub noise_readings: f64,
    /// Noise above this many times that of commissioning widens the judgement, this many times over. Chosen.
    pub noise_free: f64,
    pub noise_factor: f64,
    /// Noise counts up to this many times that of commissioning. A gross fault that comes and goes would widen the judgement until
    /// it is hidden. Chosen.
    pub noise_most: f64,
    /// One difference counts at most this many times the noise. Chosen: a step is not noise.
    pub noise_clip: f64,
    /// A speed that was missing for this much longer than it was there is lost, and the current takes its place. Chosen.
    pub speed_lost_s: f64,
    /// A missing input is unknown after a time that is learned, within these bounds. Chosen.
    pub forgotten_s: [f64; 2],
    /// It is then off by this many standard deviations of commissioning. Statistics: two values at random differ by √2, from
    /// one end of a swing to the other by 2 √2.
    pub missing_spreads: f64,

    /// A threshold is this many times the largest z to be expected by chance. Statistics, with a factor chosen.
    pub chance_factor: f64,
    /// With n independent residuals in commissioning it is √(1 + this/n) times that: a standard deviation from few is
    /// uncertain, and extremes grow faster than it. Statistics, with a factor chosen.
    pub few_factor: f64,
    /// A threshold is this many times the largest z of commissioning. Chosen.
    pub largest_factor: f64,
    /// The factors of the thresholds: of flow, and of the others. The purpose of a pump shows most faults first; in the
    /// prototype it bought 0.016 of F1 on SKAB and cost 0.04 to 0.19 false episodes a day on variable speed. Chosen.
    pub flow_factor: f64,
    pub other_factor: f64,

    /// A channel's offset follows its residual with the time of commissioning, and with this at most. Chosen.
    pub max_follow_s: f64,
    /// It stays within this many spreads of its anchor. Chosen.
    pub max_drift: f64,
    /// The anchor of a temperature follows the offset at this share of its speed: what a pump conveys gets warmer with the
    /// season, and is seldom measured. Chosen on three variable-speed pumps with +15 K in 28 days: without it 0.3 to 0.4 false
    /// episodes a day that last for days, with it 0.14, and no delay changes.
    pub thermal_anchor_share: f64,

    /// A wrong input is named if it explains this share of the squared distance from normal. Chosen.
    pub explained_by_input: f64,

    /// An episode ends below this score. Chosen.
    pub quiet: f64,
    /// It also ends when less than this share of its change is left. Chosen.
    pub returned: f64,
    /// The same for an episode that a longer scale than the two shortest raised. Chosen.
    pub returned_slow: f64,
    /// A change that was gone for less than the time of its scale begins an episode above this score. Chosen.
    pub comes_back: f64,
    /// An episode that was raised at one of the two shortest scales is over after this many readings. Judged at the shortest
    /// scale, a slow fault becomes 16 to 31 episodes. Chosen.
    pub quiet_readings: u32,
    /// How long offsets are learned after an episode that ended at other levels than it began. Chosen.
    pub relearn_s: f64,
    /// With fewer readings in that time nothing is relearned. Chosen.
    pub relearn_readings: f64,

    /// Silence of this time, and of this many intervals, is a gap. As the windower's, but longer. Chosen.
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
    change_spans_s: [5.0, 15.0, 60.0],
    heat_spans_s: [300.0, 1_200.0, 4_800.0],
    ambient_spans_s: [60.0, 300.0, 1_200.0, 4_800.0],
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
    thermal_span_s: 4_800.0,
    guard: 3.0,
    guard_against_speed: 1.0 / 3.0,
    guard_free: 0.01,
    guard_span_s: 600.0,
    max_guard: 0.01,
    noise_span_s: 60.0,
    noise_readings: 20.0,
    noise_free: 1.3,
    noise_factor: 1.5,
    noise_most: 16.0,
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
