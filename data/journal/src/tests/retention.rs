//! Tests of the retention of segments: unneeded ones are deleted, needed ones never.

use super::*;

/// Opens a journal, appends records of 90 bytes, releases, and closes it. Returns the first numbers of the remaining
/// segments.
fn remaining_segments(settings: JournalSettings, records: u64, releases: &[(u64, i64)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), settings, None, 0, |_, _| {}).unwrap();
    append_each(&journal, (0..records).map(|n| payload(n, 90)));
    for (low_water, now_ms) in releases {
        journal.release(Seq::new(*low_water), *now_ms);
        append_each(&journal, [vec![]]);
    }
    journal.close();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().trim_start_matches('0').to_owned();
    files(dir.path()).iter().map(name).collect()
}

#[test]
fn unneeded_segments_are_deleted_when_they_are_old() {
    // Four records of 110 bytes fill a segment: they begin at 1, 5, 9, 13 and 17.
    let all = ["1", "5", "9", "13", "17"];
    let cases: [(&[(u64, i64)], usize); 9] = [
        (&[(0, 0)], 0),
        (&[(0, 9 * DAY_MS)], 0),
        (&[(4, 9 * DAY_MS)], 0),
        (&[(5, 9 * DAY_MS)], 1),
        (&[(12, 9 * DAY_MS)], 2),
        (&[(12, DAY_MS)], 0),
        (&[(12, DAY_MS + 1)], 2),
        (&[(12, -9 * DAY_MS), (3, DAY_MS + 1)], 2),
        (&[(u64::MAX, i64::MAX), (0, i64::MIN)], 4),
    ];
    for (releases, deleted) in cases {
        assert_eq!(remaining_segments(small_segments(), 18, releases), all[deleted..], "{releases:?}");
    }
}

#[test]
fn new_unneeded_segments_are_deleted_when_they_are_too_many() {
    let all = ["1", "5", "9", "13", "17"];
    for (retention_bytes, low_water, deleted) in
        [(0, 20, 4), (479, 20, 4), (480, 20, 3), (960, 20, 2), (960, 9, 0), (959, 9, 1), (0, 1, 0)]
    {
        let settings = JournalSettings { retention_bytes, ..small_segments() };
        assert_eq!(
            remaining_segments(settings, 18, &[(low_water, 0)]),
            all[deleted..],
            "{retention_bytes}, {low_water}"
        );
    }
}

#[test]
fn sequence_numbers_continue_after_everything_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { retention: Duration::ZERO, retention_bytes: 0, ..small_segments() };
    let (journal, _) = Journal::open(dir.path(), settings.clone(), None, 0, |_, _| {}).unwrap();
    append_each(&journal, (0..20).map(|n| payload(n, 90)));
    journal.close();
    let (journal, _) = Journal::open(dir.path(), settings, None, 1, |_, _| {}).unwrap();
    journal.release(Seq::new(21), 2);
    journal.close();
    assert_eq!(files(dir.path()).len(), 1);
    let (journal, found, recovery) = open(dir.path(), None);
    assert_eq!((found, recovery.damage), (vec![], vec![]));
    assert_eq!(block_on(journal.append(vec![1])).unwrap(), Seq::new(21));
    journal.close();
    // Even if the folder is lost, the caller's low-water mark prevents numbers from being used twice.
    fs::remove_file(&files(dir.path())[0]).unwrap();
    let (journal, ..) = open(dir.path(), Some(Seq::new(22)));
    assert_eq!(block_on(journal.append(vec![1])).unwrap(), Seq::new(22));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_needed_record_is_never_deleted(
        steps in prop::collection::vec((0..6u64, 0..250usize, 0..12u64, -1..3i64), 1..20),
        retention_bytes in prop_oneof![Just(0), 0..3000u64],
        retention_days in 0..3u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let retention = Duration::from_secs(retention_days * 24 * 3600);
        let settings = JournalSettings { retention, retention_bytes, ..small_segments() };
        let (mut low_water, mut now_ms) = (0, 0);
        let mut records: Records = Vec::new();
        let mut journal = Journal::open(dir.path(), settings.clone(), None, now_ms, |_, _| {}).unwrap().0;
        for (count, bytes, ahead, days) in steps {
            records.extend(append_each(&journal, (0..count).map(|n| payload(n, bytes))));
            low_water = (low_water + ahead).min(records.len() as u64 + 1);
            now_ms += days * DAY_MS;
            journal.release(Seq::new(low_water), now_ms);
            if days == 0 {
                journal.close();
                let mut found: Records = Vec::new();
                let opened = Journal::open(dir.path(), settings.clone(), Some(Seq::new(low_water)), now_ms, |seq, bytes| {
                    found.push((seq.get(), bytes.to_vec()));
                });
                let (again, recovery) = opened.unwrap();
                prop_assert_eq!(recovery.damage, vec![]);
                let expected: Records = records.iter().filter(|(seq, _)| *seq >= low_water).cloned().collect();
                prop_assert_eq!(found, expected);
                journal = again;
            }
        }
        journal.close();
        let (found, recovery) = inspect(dir.path(), Some(Seq::new(low_water)));
        prop_assert_eq!(found, records.iter().filter(|(seq, _)| *seq >= low_water).cloned().collect::<Records>());
        prop_assert_eq!(recovery.damage, vec![]);
    }
}
