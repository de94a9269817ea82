//! A device's cadence: how often a pump's readings and posts arrive, and what follows from that for display and advice. (In the
//! API it is the pump's *feed*. The *live feed* is something else: it sends the state of all pumps.) Does no I/O.
//!
//! Two cadences (usual times between two events) are measured. The cadence of the readings' timestamps decides whether
//! windows can be built: a pump with an interval of 1 s that sends a reading every 10 s never completes a window. The
//! cadence of the posts decides how long the pump may be silent before it is stale: a gateway that posts 60 readings
//! once a minute is silent for a minute each time.
//!
//! | readings | interval | baseline | what follows |
//! | --- | --- | --- | --- |
//! | every 1 s | 1 s | any | nothing |
//! | every 10 s | 1 s, from its profile | none, and less than a window of normal running counted | the pump's own interval is set to 10 s |
//! | every 10 s | 1 s | one | advice to set the interval, because windows of 10 s steps need another baseline |
//! | every 2 h | any | any | advice that no interval may be that long |
//! | irregular, half within 40 s | 1 s | any | advice to set an interval, or how long values hold |
//!
//! Does not set the interval; see the pump actor's `update_cadence`.

use volute_plant::{
    Cadence, CadenceMeter, INTERVAL_RANGE_MS, Profile, Reading, WindowConfig,
    cadence::{Evidence, format_interval, format_interval_rounded},
};

use crate::live::{
    last_shown::STALE_AFTER_PAUSES,
    snapshot::{LiveAdvice, LiveCadence},
};

/// A pump is advised about short runs after this many in a row: it was switched off before it had run for `settle_s`, so
/// it had no windows.
const MIN_SHORT_RUNS: u32 = 3;
/// After 64 readings the cadence is evaluated with every eighth reading only.
const EVALUATE_EVERY_READINGS: u64 = 8;
/// A pump with at least this interval is evaluated with every reading.
const SPARSE_INTERVAL_MS: i64 = 10_000;

/// The cadences of one pump's device.
pub(super) struct DeviceCadence {
    readings: CadenceMeter,
    posts: CadenceMeter,
    /// Readings so far.
    count: u64,
    /// The state that was last sent to the live feed.
    pub(super) published: Option<LiveCadence>,
}

impl DeviceCadence {
    pub(super) fn new() -> Self {
        Self { readings: CadenceMeter::live(), posts: CadenceMeter::live(), count: 0, published: None }
    }

    /// Measures a stored reading. A late reading does not count for the cadence of the readings.
    pub(super) fn observe(&mut self, reading: &Reading) {
        self.count += 1;
        if !reading.late {
            self.readings.push(reading.at);
        }
        self.posts.push(reading.received);
    }

    /// Returns whether to evaluate the cadence with this reading. It is evaluated with each of the first 64 readings, with
    /// each reading of a pump with a long interval, and while nothing was published since the actor's start. Otherwise
    /// it is evaluated with every eighth reading.
    pub(super) fn is_due(&self, profile: &Profile) -> bool {
        let has_few_readings = self.count <= 64 || profile.interval_ms() >= SPARSE_INTERVAL_MS;
        has_few_readings || self.published.is_none() || self.count.is_multiple_of(EVALUATE_EVERY_READINGS)
    }

    /// Returns the interval of the readings if it is too long for windows of the profile's interval.
    pub(super) fn sparse_ms(&self, profile: &Profile) -> Option<i64> {
        self.readings.cadence().sparser_than(profile.interval_ms())
    }

    /// Returns why no window can be completed, if the readings are too far apart for one.
    pub(super) fn too_sparse_reason(&self, profile: &Profile) -> Option<String> {
        let config = WindowConfig::for_profile(profile);
        let cadence = self.readings.cadence();
        let every_ms = match cadence {
            Cadence::Regular { interval_ms, .. } => interval_ms,
            Cadence::Irregular { evidence } => evidence.median_ms,
            Cadence::Unknown => return None,
        };
        // Every channel's value holds for at least this long.
        let held_ms = (config.fill_steps * config.interval_ms).max(1_000 * profile.min_hold_s());
        (every_ms > held_ms + config.interval_ms).then(|| Some(advice(&cadence, profile)?.text)).flatten()
    }

    /// Returns the cadence for the live view. `short_runs` holds the number of consecutive runs that were too
    /// short to settle, and the length of the longest in steps.
    pub(super) fn state(&self, profile: &Profile, own_interval: bool, short_runs: (u32, i64)) -> LiveCadence {
        let interval_ms = profile.interval_ms();
        let own_ms = if own_interval { interval_ms } else { 0 };
        // Posts cannot be more frequent than readings. So the cadence of the readings gives a lower bound for the pause
        // between posts, for example after a backlog in a single post.
        let usual_pause_ms = |meter: &CadenceMeter| meter.typical_pause_ms().unwrap_or(0);
        let pause_ms = usual_pause_ms(&self.posts).max(usual_pause_ms(&self.readings)).max(own_ms);
        let readings = self.readings.cadence();
        let is_sparse = match readings {
            Cadence::Irregular { evidence } => evidence.median_ms > 2 * interval_ms && profile.min_hold_s() == 0,
            _ => readings.sparser_than(interval_ms).is_some(),
        };
        let (count, longest_steps) = short_runs;
        let short_runs_text = || {
            format!(
                "its last {count} runs were all shorter than it takes to settle ({}; the longest was {}), so it is not judged: \
                 see settle_s in its profile",
                format_interval_rounded(profile.settle_ms().max(WindowConfig::LEN as i64 * interval_ms)),
                format_interval_rounded(longest_steps * interval_ms)
            )
        };
        LiveCadence {
            interval_ms,
            own_interval,
            readings_every_ms: readings.interval_ms(),
            posts_every_ms: self.posts.cadence().interval_ms(),
            stale_after_ms: (STALE_AFTER_PAUSES * pause_ms).max(1_000 * profile.min_hold_s()),
            advice: match () {
                () if is_sparse => advice(&readings, profile),
                () if count >= MIN_SHORT_RUNS => Some(LiveAdvice { text: short_runs_text(), interval_ms: None }),
                () => None,
            },
        }
    }
}

fn advice(readings: &Cadence, profile: &Profile) -> Option<LiveAdvice> {
    let need = format_interval(profile.interval_ms());
    match readings {
        Cadence::Unknown => None,
        Cadence::Regular { interval_ms, .. } if INTERVAL_RANGE_MS.contains(interval_ms) => {
            let text = format!(
                "it reads every {}, and its windows need a reading every {need}: set its interval to {interval_ms} ms \
                 (volute pumps set-interval), and what is normal for it is learned again",
                format_interval(*interval_ms)
            );
            Some(LiveAdvice { text, interval_ms: Some(*interval_ms) })
        }
        Cadence::Regular { interval_ms, .. } => {
            let (every, max) = (format_interval(*interval_ms), format_interval(*INTERVAL_RANGE_MS.end()));
            let text = format!(
                "it reads every {every}, and an interval is at most {max}: its limits are watched, and it is not judged"
            );
            Some(LiveAdvice { text, interval_ms: None })
        }
        Cadence::Irregular { evidence: Evidence { median_ms, p90_ms, .. } } => {
            let text = format!(
                "it reads irregularly, half of the times within {} and nine of ten within {}, and its windows need a reading \
                 every {need}: set its interval (volute pumps set-interval), or how long its values hold if it reports changes \
                 only (volute pumps set-hold)",
                format_interval_rounded(*median_ms),
                format_interval_rounded(*p90_ms)
            );
            Some(LiveAdvice { text, interval_ms: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use volute_plant::{Sample, Timestamp};

    use super::*;

    fn profile() -> Profile {
        let text = include_str!("../../../config/profiles/centrifugal.toml");
        Profile::from_toml(text).expect("the default profile")
    }

    /// The cadence of `count` readings whose distances repeat `every_ms`, posted `at_once` at a time.
    fn cadence(every_ms: &[i64], at_once: usize, count: usize) -> DeviceCadence {
        let mut cadence = DeviceCadence::new();
        let mut ms = 1_773_050_400_000;
        let times: Vec<i64> = (0..count)
            .map(|n| {
                ms += every_ms[n % every_ms.len()];
                ms
            })
            .collect();
        for post in times.chunks(at_once) {
            let received = Timestamp::from_millis(post[post.len() - 1]).expect("a time");
            for &at in post {
                let (pump, at) = ("P-1".parse().expect("a name"), Timestamp::from_millis(at).expect("a time"));
                cadence.observe(&Reading { pump, at, received, samples: [Sample::Missing].into(), late: false });
            }
        }
        cadence
    }

    #[test]
    fn cadence_decides_the_state_and_the_advice() {
        let own = profile().with_interval(60_000).expect("allowed");
        let held = profile().with_hold(600);
        let tags = [[15; 9].as_slice(), &[59_865]].concat();
        let exception = [2_000, 40_000, 90_000, 3_000, 400_000, 50_000, 170_000];
        for (case, profile, cadence, sparse, starved, stale_ms, advice_text) in [
            ("once a second", profile(), cadence(&[1_000], 1, 40), None, false, 3_000, None),
            ("ten times a second", profile(), cadence(&[100], 1, 40), None, false, 300, None),
            ("every 10 s", profile(), cadence(&[10_000], 1, 40), Some(10_000), true, 30_000, Some("every 10 s")),
            (
                "every 3 s, which is filled",
                profile(),
                cadence(&[3_000], 1, 40),
                Some(3_000),
                false,
                9_000,
                Some("every 3 s"),
            ),
            (
                "every hour",
                profile(),
                cadence(&[3_600_000], 1, 40),
                Some(3_600_000),
                true,
                10_800_000,
                Some("every 1 h"),
            ),
            (
                "every 2 h",
                profile(),
                cadence(&[7_200_000], 1, 40),
                Some(7_200_000),
                true,
                21_600_000,
                Some("every 2 h"),
            ),
            (
                "every 2 days",
                profile(),
                cadence(&[172_800_000], 1, 40),
                Some(172_800_000),
                true,
                518_400_000,
                Some("at most 24 h"),
            ),
            ("0.9 s", profile(), cadence(&[900], 1, 40), None, false, 2_700, None),
            ("1.1 s", profile(), cadence(&[1_100], 1, 40), None, false, 3_300, None),
            (
                "59 s and 61 s in turn",
                profile(),
                cadence(&[59_000, 61_000], 1, 40),
                Some(60_000),
                true,
                180_000,
                Some("1 min"),
            ),
            ("ten tags a minute", profile(), cadence(&tags, 1, 400), Some(60_000), true, 179_000, Some("every 1 min")),
            ("60 readings once a minute", profile(), cadence(&[1_000], 60, 900), None, false, 180_000, None),
            ("its own interval", own, cadence(&[60_000], 1, 40), None, false, 180_000, None),
            ("too few to tell", profile(), cadence(&[10_000], 1, 5), None, false, 30_000, None),
            ("by exception", profile(), cadence(&exception, 1, 40), None, true, 510_000, Some("irregularly")),
            ("by exception, and values hold", held, cadence(&exception, 1, 40), None, false, 600_000, None),
        ] {
            let state = cadence.state(&profile, profile.interval_ms() > 1_000, (0, 0));
            assert_eq!(
                (cadence.sparse_ms(&profile), cadence.too_sparse_reason(&profile).is_some()),
                (sparse, starved),
                "{case}"
            );
            assert!(state.stale_after_ms >= stale_ms && state.stale_after_ms <= 3 * stale_ms, "{case}: {state:?}");
            assert_eq!(state.advice.is_some(), advice_text.is_some(), "{case}: {state:?}");
            let advised = state.advice.as_ref().and_then(|advice| advice.interval_ms);
            assert_eq!(advised, sparse.filter(|ms| *ms <= 86_400_000), "{case}: only an interval that can be set");
            assert!(
                advice_text
                    .is_none_or(|advice_text| state.advice.is_some_and(|advice| advice.text.contains(advice_text))),
                "{case}"
            );
        }
    }

    #[test]
    fn runs_that_are_too_short_to_settle_give_advice() {
        let cadence = cadence(&[1_000], 1, 40);
        assert_eq!(cadence.state(&profile(), false, (2, 240)).advice, None);
        let advice = cadence.state(&profile(), false, (3, 240)).advice.expect("advice").text;
        assert!(advice.contains("last 3 runs") && advice.contains("10 min; the longest was 4 min"), "{advice}");
    }
}
