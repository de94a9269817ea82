//! Ranges, cursors and both orders, compared with plain vectors.

use super::*;

/// Any range over times that are minutes to years apart.
fn any_range() -> impl Strategy<Value = PageRange> {
    let time = || prop::option::of(prop::sample::select(TIMES.to_vec()).prop_flat_map(|ms| ms - 1..=ms + 1));
    let order = prop::sample::select(vec![SortOrder::OldestFirst, SortOrder::NewestFirst]);
    let limit = prop::sample::select(vec![0, 1, 2, 3, 5, 100, usize::MAX]);
    (time(), time(), order, limit, time()).prop_map(|(from, to, order, limit, after)| PageRange {
        from: from.map(at),
        to: to.map(at),
        order,
        limit,
        after: after.map(at),
    })
}

/// Times around the ends of minutes, with gaps of hours and of a year. `START` is 33 s past a minute.
const TIMES: [i64; 14] = [
    -31_536_000_000,
    -31_535_999_000,
    -7_200_000,
    -33_001,
    -33_000,
    -1,
    0,
    26_999,
    27_000,
    27_001,
    60_000,
    86_400_000,
    86_400_001,
    90_000_000,
];

/// Computes the page of a range from a plain vector.
fn expected<T: Clone>(all: &[T], range: &PageRange, at: fn(&T) -> Timestamp) -> Vec<T> {
    let beyond = |t| range.after.is_none_or(|after| range.order.compare(after, t).is_lt());
    let within = |t| range.from.is_none_or(|from| from <= t) && range.to.is_none_or(|to| t < to);
    let mut rows: Vec<T> = all.iter().filter(|row| within(at(row)) && beyond(at(row))).cloned().collect();
    rows.sort_by(|a, b| range.order.compare(at(a), at(b)));
    let last = range.limit.checked_sub(1).and_then(|last| rows.get(last)).map(at);
    let mut index = 0;
    rows.retain(|row| {
        index += 1;
        index <= range.limit || Some(at(row)) == last
    });
    rows
}

#[test]
fn ranges_and_cursors_match_a_plain_vector() {
    let both: Vec<Detection> = TIMES.iter().flat_map(|&ms| [detection("P-1", ms), detection("P-2", ms)]).collect();
    let one: Vec<Reading> = TIMES.iter().map(|&ms| reading("P-1", ms)).collect();
    let events: Vec<_> = TIMES.iter().flat_map(|&ms| ["a", "b"].map(|rule| event("P-1", rule, ms, true))).collect();
    let entries: Vec<_> = TIMES.iter().flat_map(|&ms| ["a", "b"].map(|action| entry(action, ms))).collect();
    let newest_first: Vec<_> = entries.iter().rev().cloned().collect();
    let metrics: Vec<_> =
        TIMES.map(|ms| SystemMetrics { at: at(ms), figures: [("x".into(), ms as f64)].into() }).into();
    let batch = Batch {
        pumps: vec![record("P-1"), record("P-2"), record("P-3")],
        readings: one.clone(),
        detections: both.clone(),
        documents: [documents(&events), documents(&entries)].concat(),
        metrics: metrics.clone(),
        checkpoints: Vec::new(),
        removals: Vec::new(),
    };
    let dir = tempfile::tempdir().expect("a directory");
    let store = runtime().block_on(open(&dir));
    let half = |rows: &Batch, even: bool| {
        fn half<T: Clone>(rows: &[T], even: bool) -> Vec<T> {
            rows.iter().enumerate().filter(|(n, _)| (n % 2 == 0) == even).map(|(_, row)| row.clone()).collect()
        }
        Batch {
            pumps: rows.pumps.clone(),
            readings: half(&rows.readings, even),
            detections: half(&rows.detections, even),
            documents: half(&rows.documents, even),
            metrics: half(&rows.metrics, even),
            checkpoints: Vec::new(),
            removals: Vec::new(),
        }
    };
    // Half of the rows in blocks and half in the head, minute by minute; then all in blocks; then once more from the
    // disk.
    runtime().block_on(async {
        store.commit(&half(&batch, true)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&half(&batch, false)).await.expect("stored");
    });
    let check = |store: &Store| {
        proptest!(ProptestConfig::with_cases(48), |(range in any_range())| {
            let found = runtime().block_on(store.readings(&pump("P-1"), &range)).expect("read").rows;
            prop_assert_eq!(found, expected(&one, &range, |reading| reading.at));
            let found = runtime().block_on(store.detections(None, &range)).expect("read").rows;
            prop_assert_eq!(found, expected(&both, &range, |detection| detection.at));
            let found = runtime().block_on(store.metrics(&range)).expect("read").rows;
            prop_assert_eq!(found, expected(&metrics, &range, |metrics| metrics.at));
            let filter = EventFilter { range: range.clone(), ..EventFilter::default() };
            let found = runtime().block_on(store.events(&filter)).expect("read").rows;
            prop_assert_eq!(found, expected(&events, &range, |event| event.opened_at));
            let filter = AuditFilter { range: range.clone(), ..AuditFilter::default() };
            let found = audit::unlinked(runtime().block_on(store.audit(&filter)).expect("read")).rows;
            let all = if range.order == SortOrder::NewestFirst { &newest_first } else { &entries };
            prop_assert_eq!(found, expected(all, &range, |entry| entry.at));
        });
    };
    check(&store);
    runtime().block_on(store.flush_all()).expect("flushed");
    check(&store);
    runtime().block_on(store.close()).expect("closed");
    check(&runtime().block_on(open(&dir)));
}

#[test]
fn a_thousand_readings_are_read_newest_first() {
    let all: Vec<Reading> = (0..1000).map(|second| reading("P-1", second * 1000)).collect();
    with_store(async |store| {
        // The minutes in the middle arrive last, as from a gateway that was disconnected.
        for part in [&all[..200], &all[700..], &all[200..700]] {
            let batch = Batch { pumps: vec![record("P-1")], readings: part.to_vec(), ..Batch::default() };
            store.commit(&batch).await.expect("stored");
            store.flush_all().await.expect("flushed");
        }
        assert_eq!(store.latest_readings(&pump("P-1"), 30).await.expect("read").rows, all[970..]);
        assert_eq!(store.latest_readings(&pump("P-1"), 999).await.expect("read").rows, all[1..]);
        let mut pages: Vec<Reading> = Vec::new();
        let mut page = PageRange::newest(300);
        for _ in 0..4 {
            pages.extend(store.readings(&pump("P-1"), &page).await.expect("read").rows);
            page.after = pages.last().map(|reading| reading.at);
        }
        pages.reverse();
        assert_eq!(pages, all);
    });
}

#[test]
fn the_engine_stops_reading_at_the_limit() {
    const EXPLAIN: &str = "EXPLAIN SELECT * FROM (|$range| $range)($range) LIMIT $limit";
    assert_eq!(EXPLAIN.strip_prefix("EXPLAIN "), Some(page::SCAN));
    with_store(async |store| {
        let vars = [("range", Series::readings(&pump("P-1")).between(0, i64::MAX)), ("limit", page::limit(3))];
        let plan: Vec<String> = store.engine().await.expect("open").rows(EXPLAIN, vars).await.expect("explained");
        assert!(plan[0].contains("DynamicScan") && plan[0].contains("limit: $limit"), "{plan:?}");
    });
}
