//! What a pump's feed is like: how often it brings readings and posts, and what follows from that. Pure.
//!
//! Two cadences are measured. That of the readings' own times says whether windows can be made of them: a pump whose interval
//! is 1 s and that reads once in 10 s never has a window. That of the posts says how long the pump may be silent before it is
//! stale: a gateway that sends 60 readings once a minute is silent for a minute each time.
//!
//! | readings | interval | baseline | what follows |
//! | --- | --- | --- | --- |
//! | every 1 s | 1 s | any | nothing |
//! | every 10 s | 1 s, its profile's | none, and less than a window gathered | 10 s becomes its own interval |
//! | every 10 s | 1 s | one | it is said what to do: windows of 10 s steps need another baseline |
//! | every 2 h | any | any | it is said that no interval is that long |
//! | irregular, half within 40 s | 1 s | any | it is said what to do: an interval, or values that hold |
//!
//! Does not set anything; see the pump's `follow_feed`.

use volute_plant::{
    Cadence, CadenceMeter, INTERVALS_MS, Profile, Reading, WindowRules,
    cadence::{Evidence, about_in_words, in_words},
};

use crate::live::{
    last_shown::STALE_PAUSES,
    snapshot::{LiveAdvice, LiveFeedState},
};

/// So many runs in a row that are shorter than settling takes are no accident.
const SHORT_RUNS: u32 = 3;
/// Once so many differences are known, the feed is looked at with every so manieth reading only.
const LOOK_EVERY: u64 = 8;
/// Readings that come no more often than this are few.
const FEW_MS: i64 = 10_000;

/// One pump's feed.
pub(super) struct Feed {
    readings: CadenceMeter,
    posts: CadenceMeter,
    count: u64,
    /// What was told of it last.
    pub(super) told: Option<LiveFeedState>,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { readings: CadenceMeter::live(), posts: CadenceMeter::live(), count: 0, told: None }
    }

    /// Takes note of a stored reading.
    pub(super) fn note(&mut self, reading: &Reading) {
        self.count += 1;
        if !reading.late {
            self.readings.push(reading.at);
        }
        self.posts.push(reading.received);
    }

    /// Whether it is time to look at it: always while nothing was told of it, as after a restart, or readings are few.
    pub(super) fn is_due(&self, profile: &Profile) -> bool {
        let few = self.count <= 64 || profile.interval_ms() >= FEW_MS;
        few || self.told.is_none() || self.count.is_multiple_of(LOOK_EVERY)
    }

    /// The interval of its readings, where windows of the profile's cannot be made of them.
    pub(super) fn sparse_ms(&self, profile: &Profile) -> Option<i64> {
        self.readings.cadence().sparser_than(profile.interval_ms())
    }

    /// Why there will be no window, where the readings are too far apart for one.
    pub(super) fn starved(&self, profile: &Profile) -> Option<String> {
        let rules = WindowRules::for_profile(profile);
        let cadence = self.readings.cadence();
        let every_ms = match cadence {
            Cadence::Regular { interval_ms, .. } => interval_ms,
            Cadence::Irregular { evidence } => evidence.median_ms,
            Cadence::Unknown => return None,
        };
        // The fewest steps for which every channel's value holds.
        let held_ms = (rules.fill_steps * rules.interval_ms).max(1_000 * profile.all_hold_s());
        (every_ms > held_ms + rules.interval_ms).then(|| Some(advice(&cadence, profile)?.text)).flatten()
    }

    /// All that there is to say of it.
    pub(super) fn state(&self, profile: &Profile, own_interval: bool, short_runs: (u32, i64)) -> LiveFeedState {
        let interval_ms = profile.interval_ms();
        let own_ms = if own_interval { interval_ms } else { 0 };
        // No post has less than a reading: after a backlog of one post, the readings say how often there will be one.
        let usual = |meter: &CadenceMeter| meter.usual_pause_ms().unwrap_or(0);
        let pause_ms = usual(&self.posts).max(usual(&self.readings)).max(own_ms);
        let readings = self.readings.cadence();
        let sparse = match readings {
            Cadence::Irregular { evidence } => evidence.median_ms > 2 * interval_ms && profile.all_hold_s() == 0,
            _ => readings.sparser_than(interval_ms).is_some(),
        };
        let (count, longest_steps) = short_runs;
        let short = || {
            format!(
                "its last {count} runs were all shorter than it takes to settle ({}; the longest was {}), so it is not judged: \
                 see settle_s in its profile",
                about_in_words(profile.settle_ms().max(WindowRules::LEN as i64 * interval_ms)),
                about_in_words(longest_steps * interval_ms)
            )
        };
        LiveFeedState {
            interval_ms,
            own_interval,
            readings_every_ms: readings.interval_ms(),
            posts_every_ms: self.posts.cadence().interval_ms(),
            stale_after_ms: (STALE_PAUSES * pause_ms).max(1_000 * profile.all_hold_s()),
            advice: match () {
                () if sparse => advice(&readings, profile),
                () if count >= SHORT_RUNS => Some(LiveAdvice { text: short(), interval_ms: None }),
                () => None,
            },
        }
    }
}

fn advice(readings: &Cadence, profile: &Profile) -> Option<LiveAdvice> {
    let need = in_words(profile.interval_ms());
    match readings {
        Cadence::Unknown => None,
        Cadence::Regular { interval_ms, .. } if INTERVALS_MS.contains(interval_ms) => {
            let text = format!(
                "it reads every {}, and its windows need a reading every {need}: set its interval to {interval_ms} ms \
                 (volute pumps set-interval), and what is normal for it is learned anew",
                in_words(*interval_ms)
            );
            Some(LiveAdvice { text, interval_ms: Some(*interval_ms) })
        }
        Cadence::Regular { interval_ms, .. } => {
            let (every, most) = (in_words(*interval_ms), in_words(*INTERVALS_MS.end()));
            let text = format!(
                "it reads every {every}, and an interval is at most {most}: its limits are watched, and it is not judged"
            );
            Some(LiveAdvice { text, interval_ms: None })
        }
        Cadence::Irregular { evidence: Evidence { median_ms, p90_ms, .. } } => {
            let text = format!(
                "it reads irregularly, half of the times within {} and nine of ten within {}, and its windows need a reading \
                 every {need}: set its interval (volute pumps set-interval), or how long its values hold if it reports changes \
                 only (volute pumps set-hold)",
                about_in_words(*median_ms),
                about_in_words(*p90_ms)
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

    /// A feed of readings so far apart, that are posted so many at once.
    fn feed(every_ms: &[i64], at_once: usize, count: usize) -> Feed {
        let mut feed = Feed::new();
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
                feed.note(&Reading { pump, at, received, samples: [Sample::Missing].into(), late: false });
            }
        }
        feed
    }

    #[test]
    fn what_a_feed_is_like_and_what_to_do() {
        let own = profile().with_interval(60_000).expect("allowed");
        let held = profile().with_hold(600);
        let tags = [[15; 9].as_slice(), &[59_865]].concat();
        let exception = [2_000, 40_000, 90_000, 3_000, 400_000, 50_000, 170_000];
        for (what, profile, feed, sparse, starved, stale_ms, said) in [
            ("once a second", profile(), feed(&[1_000], 1, 40), None, false, 3_000, None),
            ("ten times a second", profile(), feed(&[100], 1, 40), None, false, 300, None),
            ("every 10 s", profile(), feed(&[10_000], 1, 40), Some(10_000), true, 30_000, Some("every 10 s")),
            (
                "every 3 s, which is filled",
                profile(),
                feed(&[3_000], 1, 40),
                Some(3_000),
                false,
                9_000,
                Some("every 3 s"),
            ),
            ("every hour", profile(), feed(&[3_600_000], 1, 40), Some(3_600_000), true, 10_800_000, Some("every 1 h")),
            ("every 2 h", profile(), feed(&[7_200_000], 1, 40), Some(7_200_000), true, 21_600_000, Some("at most 1 h")),
            ("0.9 s", profile(), feed(&[900], 1, 40), None, false, 2_700, None),
            ("1.1 s", profile(), feed(&[1_100], 1, 40), None, false, 3_300, None),
            (
                "59 s and 61 s in turn",
                profile(),
                feed(&[59_000, 61_000], 1, 40),
                Some(60_000),
                true,
                180_000,
                Some("1 min"),
            ),
            ("ten tags a minute", profile(), feed(&tags, 1, 400), Some(60_000), true, 179_000, Some("every 1 min")),
            ("60 readings once a minute", profile(), feed(&[1_000], 60, 900), None, false, 180_000, None),
            ("its own interval", own, feed(&[60_000], 1, 40), None, false, 180_000, None),
            ("too few to tell", profile(), feed(&[10_000], 1, 5), None, false, 30_000, None),
            ("by exception", profile(), feed(&exception, 1, 40), None, true, 510_000, Some("irregularly")),
            ("by exception, and values hold", held, feed(&exception, 1, 40), None, false, 600_000, None),
        ] {
            let state = feed.state(&profile, profile.interval_ms() > 1_000, (0, 0));
            assert_eq!((feed.sparse_ms(&profile), feed.starved(&profile).is_some()), (sparse, starved), "{what}");
            assert!(state.stale_after_ms >= stale_ms && state.stale_after_ms <= 3 * stale_ms, "{what}: {state:?}");
            assert_eq!(state.advice.is_some(), said.is_some(), "{what}: {state:?}");
            let advised = state.advice.as_ref().and_then(|advice| advice.interval_ms);
            assert_eq!(advised, sparse.filter(|ms| *ms <= 3_600_000), "{what}: only an interval that can be set");
            assert!(said.is_none_or(|said| state.advice.is_some_and(|advice| advice.text.contains(said))), "{what}");
        }
    }

    #[test]
    fn a_pump_that_never_runs_long_enough_is_told_so() {
        let feed = feed(&[1_000], 1, 40);
        assert_eq!(feed.state(&profile(), false, (2, 240)).advice, None);
        let advice = feed.state(&profile(), false, (3, 240)).advice.expect("advice").text;
        assert!(advice.contains("last 3 runs") && advice.contains("10 min; the longest was 4 min"), "{advice}");
    }
}
