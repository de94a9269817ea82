//! Parts of a reading are merged to the whole reading, wherever the earlier parts are (journal, head, packed or block)
//! when a part arrives, and whatever the node was doing when it was killed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use volute_plant::Lookup;

use super::{lifecycle::copy_tree, *};

const CHANNELS: usize = 4;
const HOUR_MS: i64 = 3_600_000;

/// A step of a test case.
#[derive(Debug, Clone)]
enum Step {
    /// A part with these channels of the reading at this time arrives, `times` times.
    Part {
        time: usize,
        channels: Vec<usize>,
        times: usize,
    },
    /// Minutes that are due, or all minutes, are flushed.
    Flush {
        all: bool,
    },
    Pack,
    /// The process is killed, and the next one starts from its files.
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let channels = prop::collection::vec(0..CHANNELS, 1..3);
    let step = prop_oneof![
        12 => (0_usize..6, channels, 1_usize..3).prop_map(|(time, channels, times)| Step::Part { time, channels, times }),
        3 => any::<bool>().prop_map(|all| Step::Flush { all }),
        1 => Just(Step::Pack),
        2 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 4..24)
}

/// Three times in one minute, two in the next, and one four hours later.
fn time(index: usize) -> i64 {
    [0, 1000, 1001, 70_000, 71_000, 4 * HOUR_MS][index]
}

fn value(time: usize, channel: usize) -> f64 {
    (100 * time + channel) as f64 + 0.5
}

fn part(index: usize, channels: &[usize]) -> Reading {
    let sample = |channel| match channels.contains(&channel) {
        true => Sample::Good(value(index, channel)),
        false => Sample::Missing,
    };
    let (at, received) = (at(time(index)), at(time(index) + 5));
    Reading { pump: pump("P-1"), at, received, samples: (0..CHANNELS).map(sample).collect(), late: false }
}

fn parts(parts: Vec<Reading>) -> Batch {
    let channels = (0..CHANNELS).map(|channel| format!("c{channel}")).collect();
    Batch { pumps: vec![PumpRecord { channels, ..record("P-1") }], readings: parts, ..Batch::default() }
}

/// Opens the store with a clock that is later than all readings.
async fn open_later(dir: &TempDir) -> Store {
    Store::open(dir.path(), &StoreSettings::default(), at(10 * HOUR_MS)).await.expect("opened")
}

/// The channels of each reading that have arrived.
type Whole = BTreeMap<usize, Vec<usize>>;

async fn assert_whole(store: &Store, whole: &Whole, what: &str) {
    let expected: Vec<Reading> = whole.iter().map(|(index, channels)| part(*index, channels)).collect();
    assert_eq!(readings(store, "P-1").await, expected, "{what}");
    let newest = store.readings(&pump("P-1"), &PageRange::newest(2)).await.expect("read").rows;
    assert_eq!(newest, expected.iter().rev().take(2).cloned().collect::<Vec<_>>(), "{what}");
    let lookup = Lookup { at: (0..6).map(|index| at(time(index))).collect(), free: None };
    let found = store.look_up(&pump("P-1"), &lookup).await.expect("read");
    assert_eq!((found.readings, found.unknown.len()), (expected.clone(), 0), "{what}");
    assert_eq!(store.counts(&pump("P-1")).await.expect("read").readings, expected.len() as u64, "{what}");
    assert_eq!(store.status().conflicts, 0, "{what}");
    for (span, points) in [((0, 180_000), 10_000), ((0, 300_000), 5), ((0, 200 * HOUR_MS), 100)] {
        let range = (at(span.0), at(span.1));
        let buckets = store.buckets(&pump("P-1"), range, points).await.expect("read").rows;
        let within = |reading: &&Reading| points == 100 || reading.at < at(HOUR_MS);
        let counted: u64 = buckets.iter().map(|bucket| bucket.readings).sum();
        assert_eq!(counted, expected.iter().filter(within).count() as u64, "{what}: {points} buckets");
        for channel in 0..CHANNELS {
            let of = |bucket: &Bucket| bucket.aggregates.channel(channel).copied().unwrap_or_default();
            let sums = buckets.iter().map(of).fold((0, 0.0), |(count, sum), of| (count + of.count, sum + of.sum));
            let good = expected.iter().filter(within).filter_map(|reading| reading.samples[channel].good());
            let all: Vec<f64> = good.collect();
            assert_eq!(
                sums,
                (all.len() as u32, all.iter().sum::<f64>()),
                "{what}: {points} buckets, channel {channel}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parts_are_merged_to_whole_readings(steps in steps()) {
        let mut dir = tempfile::tempdir().expect("a directory");
        runtime().block_on(async {
            let mut store = open_later(&dir).await;
            let mut whole = Whole::new();
            for (index, step) in steps.iter().enumerate() {
                match step {
                    Step::Part { time, channels, times } => {
                        // Admission does not pass on channels that are stored already.
                        let known = whole.entry(*time).or_default();
                        let channels: Vec<usize> = channels.iter().copied().filter(|c| !known.contains(c)).collect();
                        if channels.is_empty() && !known.is_empty() {
                            continue;
                        }
                        for _ in 0..*times {
                            store.commit(&parts(vec![part(*time, &channels)])).await.expect("stored");
                        }
                        known.extend(channels);
                    }
                    Step::Flush { all: true } => drop(store.flush_all().await.expect("flushed")),
                    Step::Flush { all: false } => drop(store.flush(at(10 * HOUR_MS)).await.expect("flushed")),
                    Step::Pack => store.pack(at(10 * HOUR_MS)),
                    Step::Kill => {
                        let left = tempfile::tempdir().expect("a directory");
                        copy_tree(dir.path(), left.path());
                        store.close().await.expect("closed");
                        dir = left;
                        store = open_later(&dir).await;
                    }
                }
                assert_whole(&store, &whole, &format!("after step {index} of {steps:?}")).await;
            }
            store.flush_all().await.expect("flushed");
            assert_whole(&store, &whole, &format!("flushed, after {steps:?}")).await;
            store.close().await.expect("closed");
        });
    }
}

/// The first part is in a block and in the journal below the low-water mark. The second part is in the head when the
/// process is killed.
#[test]
fn a_part_of_a_reading_in_a_block_survives_a_kill() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open_later(&dir).await;
        store.commit(&parts(vec![part(0, &[0]), part(1, &[0])])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&parts(vec![part(0, &[1, 2])])).await.expect("stored");
        let left = tempfile::tempdir().expect("a directory");
        copy_tree(dir.path(), left.path());
        store.close().await.expect("closed");
        let store = open_later(&left).await;
        let whole = Whole::from([(0, vec![0, 1, 2]), (1, vec![0])]);
        assert_whole(&store, &whole, "replayed").await;
        // The same parts again, after the replay.
        store.commit(&parts(vec![part(0, &[1, 2]), part(0, &[0])])).await.expect("stored");
        assert_whole(&store, &whole, "sent again").await;
        store.flush_all().await.expect("flushed");
        assert_whole(&store, &whole, "flushed").await;
        store.commit(&parts(vec![part(0, &[3])])).await.expect("stored");
        store.mark_unavailable("for a test").await;
        let lookup = Lookup { at: vec![at(0), at(90_000)], free: None };
        let found = store.look_up(&pump("P-1"), &lookup).await.expect("what the head has");
        assert_eq!(found.unknown, [at(0), at(90_000)].into(), "the database may have other parts, or a reading");
        store.reopen().await.expect("opened");
        assert_whole(&store, &Whole::from([(0, vec![0, 1, 2, 3]), (1, vec![0])]), "opened again").await;
        store.close().await.expect("closed");
    });
}
