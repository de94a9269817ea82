//! Tests with damaged journals: reading never panics, returns all valid records and no others, and reports the damage.

use super::*;
use crate::format::{self, FRAME_BYTES, HEADER_BYTES};

/// Returns the offset of each record in a segment, and the length of the file.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut at = HEADER_BYTES;
    let mut found = vec![at];
    while let Some(frame) = bytes.get(at..).and_then(format::Frame::parse) {
        at += frame.record_bytes();
        found.push(at);
    }
    found
}

fn lost(first: u64, last: Option<u64>) -> LostRecords {
    LostRecords { first: Seq::new(first), last: last.map(Seq::new) }
}

/// Returns the first record number of each segment, from the file names.
fn firsts(dir: &Path) -> Vec<u64> {
    let first = |path: &PathBuf| format::parse_name(path.file_name().unwrap().to_str().unwrap()).unwrap().get();
    files(dir).iter().map(first).collect()
}

#[test]
fn cut_at_every_byte_of_the_newest_segment() {
    let (dir, records) = filled_journal();
    let newest = files(dir.path()).pop().unwrap();
    let bytes = fs::read(&newest).unwrap();
    let ends = boundaries(&bytes);
    let before = records.len() + 1 - ends.len();
    for cut in 0..=bytes.len() {
        let dir = copy(dir.path());
        let path = dir.path().join(newest.file_name().unwrap());
        fs::write(&path, &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        let (journal, found, recovery) = open(dir.path(), Some(Seq::ZERO));
        assert_eq!(found, records[..before + whole], "cut at {cut}");
        assert_eq!(recovery.damage.is_empty(), ends.contains(&cut), "cut at {cut}: {:?}", recovery.damage);
        let is_torn = |damage: &Damage| matches!(damage, Damage::TornTail { .. });
        assert!(recovery.damage.iter().all(is_torn), "cut at {cut}: {:?}", recovery.damage);
        let appended = append_each(&journal, [vec![1, 2, 3]]);
        assert_eq!(appended[0].0, (before + whole + 1) as u64);
        journal.close();
        let (found, recovery) = inspect(dir.path(), Some(Seq::ZERO));
        assert_eq!(recovery.damage, [], "cut at {cut}, opened again");
        assert_eq!(found, [&records[..before + whole], &appended].concat());
    }
}

#[test]
fn ten_thousand_flipped_bits() {
    let (dir, records) = filled_journal();
    drop(open(dir.path(), None));
    let files: Vec<(PathBuf, Vec<u8>)> =
        files(dir.path()).into_iter().map(|f| (f.clone(), fs::read(f).unwrap())).collect();
    let firsts = firsts(dir.path());
    let mut rng = Rng(20_260_512);
    for round in 0..10_000 {
        let number = usize::try_from(rng.below(files.len() as u64)).unwrap();
        let (path, bytes) = &files[number];
        let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << rng.below(8);
        fs::write(path, flipped).unwrap();
        let hit = boundaries(bytes).iter().filter(|start| **start <= at).count();
        let hit = (hit > 0).then(|| firsts[number] + hit as u64 - 1);
        let expected: Records = records.iter().filter(|(seq, _)| Some(*seq) != hit).cloned().collect();
        let (found, recovery) = inspect(dir.path(), Some(Seq::ZERO));
        assert_eq!(found, expected, "round {round}: byte {at} of {}: {:?}", path.display(), recovery.damage);
        assert_eq!(recovery.damage.len(), 1, "round {round}: byte {at} of {}", path.display());
        let reported = recovery.damage[0].lost();
        assert_eq!(reported.map(|lost| lost.first.get()), hit, "{:?}", recovery.damage);
        if round % 50 == 0 {
            let dir = copy(dir.path());
            let (journal, found, _) = open(dir.path(), Some(Seq::ZERO));
            assert_eq!(found, expected);
            let appended = append_each(&journal, [payload(round, 20)]);
            journal.close();
            assert_eq!(inspect(dir.path(), Some(Seq::ZERO)).0, [expected, appended].concat());
        }
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn overwritten_records_in_the_middle() {
    let (dir, mut records) = filled_journal();
    let newest = files(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let ends = boundaries(&bytes);
    bytes[ends[1]..ends[3]].fill(0xaa);
    fs::write(&newest, &bytes).unwrap();
    let (journal, found, recovery) = open(dir.path(), Some(Seq::ZERO));
    let segment = Seq::new(15);
    let (from_byte, to_byte) = (ends[1] as u64, ends[3] as u64);
    let damage = Damage::Bytes { segment, from_byte, to_byte, lost: Some(lost(16, Some(17))) };
    assert_eq!(recovery.damage, [damage]);
    assert!(recovery.may_have_lost());
    assert_eq!(
        recovery.damage[0].to_string(),
        format!("00000000000000000015.log: bytes {from_byte} to {to_byte} are damaged; lost: records 16 to 17")
    );
    records.drain(15..17);
    assert_eq!(found, records);
    assert_eq!(recovery.next, Seq::new(20));
    drop(journal);
    // When the journal is opened again, the damage is still reported and nothing more is lost. Damage below the
    // low-water mark is not reported.
    let (_, found, recovery) = open(dir.path(), Some(Seq::ZERO));
    assert_eq!((found, recovery.damage.len()), (records, 1));
    assert_eq!(inspect(dir.path(), Some(Seq::new(20))).1.damage, []);
}

#[test]
fn the_end_of_a_segment_in_the_middle() {
    let (dir, records) = filled_journal();
    let path = &files(dir.path())[1];
    let second = firsts(dir.path())[2];
    let bytes = fs::read(path).unwrap();
    let ends = boundaries(&bytes);
    fs::write(path, &bytes[..ends[ends.len() - 2] + 7]).unwrap();
    let (_, found, recovery) = open(dir.path(), Some(Seq::ZERO));
    assert_eq!(found, records.into_iter().filter(|(seq, _)| *seq != second - 1).collect::<Records>());
    assert!(
        matches!(&recovery.damage[..], [Damage::Bytes { lost: Some(l), .. }] if *l == lost(second - 1, Some(second - 1)))
    );
    // If the segment is cut between two records, only the missing numbers show the damage.
    fs::write(path, &bytes[..ends[ends.len() - 2]]).unwrap();
    let (_, recovery) = inspect(dir.path(), Some(Seq::ZERO));
    assert_eq!(recovery.damage, [Damage::Gap { lost: lost(second - 1, Some(second - 1)) }]);
}

#[test]
fn a_missing_segment() {
    let (dir, records) = filled_journal();
    let firsts = firsts(dir.path());
    for missing in 0..firsts.len() - 1 {
        let dir = copy(dir.path());
        fs::remove_file(&files(dir.path())[missing]).unwrap();
        let (from, to) = (firsts[missing], firsts[missing + 1]);
        let (found, recovery) = inspect(dir.path(), Some(Seq::ZERO));
        assert_eq!(found, records.iter().filter(|(seq, _)| *seq < from || *seq >= to).cloned().collect::<Records>());
        assert_eq!(recovery.damage, [Damage::Gap { lost: lost(from, Some(to - 1)) }]);
        assert_eq!(inspect(dir.path(), Some(Seq::new(to))).1.damage, []);
    }
}

#[test]
fn a_damaged_header_costs_no_record() {
    let (dir, records) = filled_journal();
    let firsts = firsts(dir.path());
    for (number, first) in firsts.iter().enumerate() {
        for fill in [0, 0xff] {
            let dir = copy(dir.path());
            let path = &files(dir.path())[number];
            let mut bytes = fs::read(path).unwrap();
            bytes[..HEADER_BYTES].fill(fill);
            fs::write(path, bytes).unwrap();
            let (journal, found, recovery) = open(dir.path(), Some(Seq::ZERO));
            assert_eq!(found, records);
            assert_eq!(recovery.damage, [Damage::Header { segment: Seq::new(*first) }]);
            assert!(!recovery.may_have_lost());
            assert_eq!(append_each(&journal, [vec![9]])[0].0, 20);
        }
    }
}

#[test]
fn a_damaged_newest_header_leaves_the_low_water_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, ..) = open(dir.path(), None);
    let records = append_each(&journal, (0..10).map(|n| payload(n, 10)));
    journal.close();
    drop(open(dir.path(), Some(Seq::new(4))));
    assert_eq!(inspect(dir.path(), None).0, records[3..]);
    let newest = files(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    bytes[21] ^= 4;
    fs::write(&newest, bytes).unwrap();
    let (_, found, recovery) = open(dir.path(), None);
    assert_eq!(found, records);
    assert_eq!(recovery.damage, [Damage::Header { segment: Seq::new(11) }]);
    assert!(recovery.next > Seq::new(11));
}

#[test]
fn foreign_files_are_left_alone() {
    let (dir, records) = filled_journal();
    let foreign =
        ["00000000000000000003.log", "00000000000000000020.log", "5.log", "99999999999999999999.log", "notes"];
    for name in foreign {
        fs::write(dir.path().join(name), "Remember the milk, and forty bytes or more of other things.").unwrap();
    }
    fs::create_dir(dir.path().join("00000000000000000002.log")).unwrap();
    let (journal, found, recovery) = open(dir.path(), Some(Seq::ZERO));
    assert_eq!(found, records);
    assert_eq!(recovery.damage.len(), 6);
    assert!(recovery.damage.iter().all(|damage| matches!(damage, Damage::Foreign { .. })), "{:?}", recovery.damage);
    assert_eq!(append_each(&journal, [vec![9]])[0].0, 21);
    journal.release(Seq::new(21), DAY_MS * 9);
    journal.close();
    for name in foreign {
        assert!(fs::read_to_string(dir.path().join(name)).unwrap().starts_with("Remember"));
    }
}

#[test]
fn a_record_within_a_damaged_record_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut nested = payload(1, 30);
    format::push_record(&mut nested, Seq::new(2), b"never appended");
    let (journal, ..) = open(dir.path(), None);
    append_each(&journal, [vec![1], nested, vec![3]]);
    journal.close();
    let path = &files(dir.path())[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[HEADER_BYTES + 2 * FRAME_BYTES + 5] ^= 1;
    fs::write(path, bytes).unwrap();
    let (found, recovery) = inspect(dir.path(), None);
    assert_eq!(found, [(1, vec![1]), (3, vec![3])]);
    assert!(matches!(&recovery.damage[..], [Damage::Bytes { lost: Some(l), .. }] if *l == lost(2, Some(2))));
}

#[test]
fn a_stray_record_with_a_number_of_the_next_segment_hides_nothing() {
    let (dir, records) = filled_journal();
    let stray_in = &files(dir.path())[1];
    let mut bytes = fs::read(stray_in).unwrap();
    format::push_record(&mut bytes, Seq::new(firsts(dir.path())[2] + 1), b"never appended");
    fs::write(stray_in, bytes).unwrap();
    let (_, found, recovery) = open(dir.path(), Some(Seq::ZERO));
    assert_eq!(found, records);
    assert!(matches!(&recovery.damage[..], [Damage::Bytes { lost: None, .. }]), "{:?}", recovery.damage);
}

#[test]
fn a_copied_segment_under_another_name_changes_nothing() {
    let (dir, records) = filled_journal();
    let files = files(dir.path());
    for to in [2, 9, 300] {
        let dir = copy(dir.path());
        fs::copy(&files[1], dir.path().join(format::segment_name(Seq::new(to)))).unwrap();
        let (_, found, recovery) = open(dir.path(), Some(Seq::ZERO));
        assert_eq!(found, records);
        assert!(recovery.damage.contains(&Damage::Header { segment: Seq::new(to) }), "{:?}", recovery.damage);
    }
}

/// Returns pieces of segments, valid and invalid.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let record = (0..60u64, 0..50usize).prop_map(|(seq, bytes)| {
        let mut record = Vec::new();
        format::push_record(&mut record, Seq(seq), &payload(seq, bytes));
        record
    });
    let header = (0..60u64, any::<u64>(), any::<i64>()).prop_map(|(first, low_water, created_ms)| {
        let header = format::Header { first: Seq(first), low_water: Seq(low_water), created_ms };
        header.to_bytes().to_vec()
    });
    let extreme = (any::<u64>(), any::<bool>()).prop_map(|(seq, high)| {
        let mut record = Vec::new();
        format::push_record(&mut record, if high { Seq(u64::MAX) } else { Seq(seq) }, b"");
        record
    });
    prop_oneof![
        8 => record,
        3 => header,
        1 => extreme,
        2 => prop::collection::vec(any::<u8>(), 0..60),
        1 => Just(format::RECORD_MAGIC.to_vec()),
        1 => (0..100usize).prop_map(|bytes| vec![0; bytes]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_bytes_can_be_read(
        files in prop::collection::btree_map(0..60u64, prop::collection::vec(piece(), 0..12), 0..5),
        low_water in prop::option::of(0..70u64),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for (first, pieces) in &files {
            fs::write(dir.path().join(format::segment_name(Seq(*first))), pieces.concat()).unwrap();
        }
        let (inspected, recovery) = inspect(dir.path(), low_water.map(Seq));
        prop_assert!(inspected.is_sorted_by(|a, b| a.0 < b.0));
        prop_assert!(inspected.iter().all(|(seq, _)| Seq(*seq) >= recovery.low_water && Seq(*seq) < recovery.next
            || Seq(*seq) == Seq::MAX));
        let (journal, found, opened) = open(dir.path(), low_water.map(Seq));
        prop_assert_eq!(&found, &inspected);
        prop_assert_eq!(&opened, &recovery);
        for damage in &opened.damage {
            prop_assert!(!damage.to_string().is_empty());
        }
        let Ok(seq) = block_on(journal.append(vec![1, 2, 3])) else {
            // The append fails only if the sequence numbers are used up.
            prop_assert!(opened.next == Seq::MAX);
            return Ok(());
        };
        prop_assert_eq!(seq, opened.next);
        journal.close();
        let (again, _) = inspect(dir.path(), Some(opened.low_water));
        let mut expected = found;
        expected.push((seq.get(), vec![1, 2, 3]));
        prop_assert_eq!(again, expected);
    }
}

/// The highest number has no next one, so no further segment can be created.
#[test]
fn a_segment_with_the_highest_number_is_an_error_and_no_endless_loop() {
    let dir = TempDir::new().unwrap();
    let header = format::Header { first: Seq::MAX, low_water: Seq::ZERO, created_ms: 0 };
    let mut bytes = header.to_bytes().to_vec();
    format::push_record(&mut bytes, Seq::MAX, b"the last one");
    fs::write(dir.path().join(format::segment_name(Seq::MAX)), bytes).unwrap();
    let (records, recovery) = inspect(dir.path(), None);
    assert_eq!((records.len(), recovery.next), (1, Seq::MAX));
    let opened = Journal::open(dir.path(), small_segments(), None, 0, |_, _| {});
    assert!(matches!(opened, Err(JournalError::Failed(_))), "{:?}", opened.err());
}
