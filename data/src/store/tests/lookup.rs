//! Lookups of exact times and of the first unused time, in the head and in blocks.

use std::collections::BTreeSet;

use volute_plant::{FreeTimeSearch, Lookup};

use super::*;

/// The start of a minute, relative to `START`.
const MINUTE: i64 = 60_000 - START % 60_000;

fn batch(times: impl IntoIterator<Item = i64>) -> Batch {
    let readings = times.into_iter().map(|ms| reading("P-1", ms)).collect();
    Batch { pumps: vec![record("P-1")], readings, ..Batch::default() }
}

async fn unique_timestamp(store: &Store, from: i64, taken: &[i64]) -> i64 {
    let taken: BTreeSet<Timestamp> = taken.iter().map(|ms| at(*ms)).collect();
    let lookup =
        Lookup { at: vec![at(-5), at(MINUTE)], free: Some(FreeTimeSearch { from: at(from), excluded: taken }) };
    let found = store.look_up(&pump("P-1"), &lookup).await.expect("read");
    assert_eq!(found.unknown, BTreeSet::new());
    assert_eq!(found.readings, [reading("P-1", MINUTE)], "the other one is known not to be there");
    found.free.expect("the database is available").millis() - START
}

#[test]
fn the_first_free_time_is_found_in_the_head_and_in_blocks_and_beyond_a_full_minute() {
    with_store(async |store| {
        // Every millisecond from two seconds before a minute's end to two seconds after it, in three parts.
        store.commit(&batch(MINUTE - 2000..MINUTE + 1000)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&batch(MINUTE + 1000..MINUTE + 2000)).await.expect("stored");
        store.commit(&batch([MINUTE + 2001])).await.expect("stored");
        for (from, taken, expected) in [
            (MINUTE - 2001, vec![], MINUTE - 2001),
            (MINUTE - 2000, vec![], MINUTE + 2000),
            (MINUTE - 2001, vec![MINUTE - 2001], MINUTE + 2000),
            (MINUTE + 500, vec![], MINUTE + 2000),
            (MINUTE + 500, vec![MINUTE + 2000, MINUTE + 2003], MINUTE + 2002),
            (MINUTE + 500, vec![MINUTE + 2000, MINUTE + 2002], MINUTE + 2003),
            (MINUTE + 100_000, vec![], MINUTE + 100_000),
        ] {
            assert_eq!(
                unique_timestamp(&store, from, &taken).await - MINUTE,
                expected - MINUTE,
                "from {}",
                from - MINUTE
            );
        }
        store.flush_all().await.expect("flushed");
        assert_eq!(unique_timestamp(&store, MINUTE - 2000, &[]).await, MINUTE + 2000);
    });
}

#[test]
fn while_the_database_is_unavailable_the_head_decides_what_it_can() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&batch([0, 1000])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&batch([900, 2000])).await.expect("stored");
        assert_eq!(store.flushed_until(&pump("P-1")), Some(at(1000)));
        assert_eq!(store.flushed_until(&pump("P-2")), Some(at(0)), "nothing later than the start");
        store.mark_unavailable("for a test").await;
        let look_up = async |from| {
            let times = [0, 900, 1000, 1001, 2000, 2001].map(at).to_vec();
            let free = Some(FreeTimeSearch { from: at(from), excluded: BTreeSet::new() });
            store.look_up(&pump("P-1"), &Lookup { at: times, free }).await.expect("what the head has")
        };
        let found = look_up(1000).await;
        assert_eq!(found.readings, [reading("P-1", 900), reading("P-1", 2000)]);
        assert_eq!(found.unknown, [at(0), at(1000)].into(), "later ones cannot be in the database");
        assert_eq!((found.free, look_up(2000).await.free), (None, Some(at(2001))));
        store.close().await.expect("closed");

        // The next start's clock shows at(0), but a reading in the head was received later.
        let store = open(&dir).await;
        assert_eq!(store.flushed_until(&pump("P-2")), Some(at(2007)));
        store.commit(&batch([50_000])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.close().await.expect("closed");
        // Everything was flushed, whatever the clock showed.
        let store = open(&dir).await;
        assert_eq!(store.flushed_until(&pump("P-2")), Some(at(50_000)));
        assert!(store.has_complete_pump_list());
    });
}

#[test]
fn a_conflicting_reading_is_counted_and_a_duplicate_is_not() {
    let other = |ms| {
        let samples = [Sample::Good(-1.0), Sample::Good(1.0)].into();
        Batch { readings: vec![Reading { samples, ..reading("P-1", ms) }], ..batch([]) }
    };
    with_store(async |store| {
        store.commit(&batch([0, 1])).await.expect("stored");
        store.commit(&batch([0, 1])).await.expect("stored");
        assert_eq!(store.status().conflicts, 0);
        store.commit(&other(0)).await.expect("stored");
        assert_eq!(store.status().conflicts, 1, "against the head");
        store.pack(at(1_000_000));
        store.commit(&other(1)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        assert_eq!(store.status().conflicts, 2, "against what is packed");
        store.commit(&batch([0])).await.expect("stored");
        store.commit(&other(1)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        assert_eq!(store.status().conflicts, 3, "against a block");
        assert_eq!(readings(&store, "P-1").await, [reading("P-1", 0), reading("P-1", 1)], "the first stands");
    });
}

/// A record that is too long does not affect later ones.
#[test]
fn a_batch_longer_than_a_record_is_refused_and_the_next_succeeds() {
    with_store(async |store| {
        store.commit(&batch([0])).await.expect("stored");
        let checkpoints = vec![checkpoint("P-1", 0, &"x".repeat(65 << 20))];
        let error = store.commit(&Batch { checkpoints, ..Batch::default() }).await.expect_err("it is too long");
        assert!(matches!(error, StoreError::TooLarge { max, .. } if max == 64 << 20), "{error}");
        store.commit(&batch([1])).await.expect("stored");
        assert_eq!(readings(&store, "P-1").await.len(), 2);
    });
}

#[test]
fn only_a_failure_of_the_journal_itself_is_final() {
    use volute_journal::JournalError as Journal;
    for (error, is_final) in [
        (Journal::Full, false),
        (Journal::Busy, false),
        (Journal::TooLarge { bytes: 2, max: 1 }, false),
        (Journal::Closed, false),
        (Journal::Failed("it broke".into()), true),
    ] {
        let text = error.to_string();
        assert_eq!(matches!(StoreError::from(error), StoreError::Journal(_)), is_final, "{text}");
    }
}
