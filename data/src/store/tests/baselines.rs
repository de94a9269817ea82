//! Versions of baselines: kept, counted, put back, and over restarts.

use super::*;

fn new(n: i64) -> NewBaseline {
    NewBaseline {
        created_at: at(n),
        network: "0123456789ab".into(),
        baseline: format!("{n:012x}"),
        from: at(n * 10),
        to: at(n * 10 + 5),
        why: "first commissioning".into(),
        document: format!(r#"{{"number": {n}, "exact": 0.1}}"#),
    }
}

fn gathering(running_ms: i64) -> CommissioningRecord {
    CommissioningRecord { why: "asked".into(), asked: true, from: Some(at(3)), to: None, running_ms }
}

#[test]
fn versions_are_numbered_kept_and_put_back() {
    with_store(async |store| {
        let (a, b) = (pump("P-1"), pump("P-10"));
        assert_eq!(store.standing(&a).await.expect("read"), Standing::New);
        for n in 1..=12 {
            assert_eq!(store.add_baseline(&a, &new(n)).await.expect("stored"), n as u32);
        }
        assert_eq!(store.add_baseline(&b, &new(7)).await.expect("stored"), 1, "each pump counts for itself");
        let versions = store.baselines(&a).await.expect("read");
        assert!(versions.iter().map(|version| i64::from(version.version)).eq(1..=12));
        assert!(versions.iter().zip(1..).all(|(version, n)| version.what == new(n)));
        let active = |version: u32| Standing::Active(BaselineRecord { version, what: new(version.into()) });
        assert_eq!(store.standing(&a).await.expect("read"), active(12));
        store.use_baseline(&a, 3).await.expect("stored");
        assert_eq!(store.standing(&a).await.expect("read"), active(3));
        assert_eq!(store.add_baseline(&a, &new(13)).await.expect("stored"), 13, "numbers are never used again");
        store.use_baseline(&a, 0).await.expect("stored");
        assert_eq!(store.standing(&a).await.expect("read"), Standing::New);
        assert_eq!(store.baseline(&a, 99).await.expect("read"), None);
        assert_eq!(store.baselines(&a).await.expect("read").len(), 13);
    });
}

#[test]
fn a_pump_is_commissioned_or_has_a_baseline_and_never_both() {
    with_store(async |store| {
        let pump = pump("P-1");
        store.add_baseline(&pump, &new(1)).await.expect("stored");
        for running_ms in [0, 60_000] {
            store.note_commissioning(&pump, &gathering(running_ms)).await.expect("stored");
            assert_eq!(store.standing(&pump).await.expect("read"), Standing::Commissioning(gathering(running_ms)));
        }
        let first = CommissioningRecord { from: None, to: None, ..gathering(0) };
        store.note_commissioning(&pump, &first).await.expect("stored");
        assert_eq!(store.standing(&pump).await.expect("read"), Standing::Commissioning(first));
        store.use_baseline(&pump, 1).await.expect("stored");
        assert!(matches!(store.standing(&pump).await.expect("read"), Standing::Active(_)));
    });
}

#[test]
fn what_a_pump_goes_by_outlives_the_process() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.add_baseline(&pump("P-1"), &new(1)).await.expect("stored");
        store.note_commissioning(&pump("P-2"), &gathering(5)).await.expect("stored");
        store.close().await.expect("closed");
        let store = open(&dir).await;
        let expected = Standing::Active(BaselineRecord { version: 1, what: new(1) });
        assert_eq!(store.standing(&pump("P-1")).await.expect("read"), expected);
        assert_eq!(store.standing(&pump("P-2")).await.expect("read"), Standing::Commissioning(gathering(5)));
    });
}
