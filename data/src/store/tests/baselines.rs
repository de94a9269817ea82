//! Versions of baselines: numbered, activated again, and kept over restarts.

use super::*;

fn new(n: i64) -> NewBaseline {
    NewBaseline {
        created_at: at(n),
        network: "0123456789ab".into(),
        baseline_id: format!("{n:012x}"),
        from: at(n * 10),
        to: at(n * 10 + 5),
        reason: "first commissioning".into(),
        document: format!(r#"{{"number": {n}, "exact": 0.1}}"#),
    }
}

fn gathering(running_ms: i64) -> CommissioningRecord {
    CommissioningRecord { reason: "asked".into(), requested: true, from: Some(at(3)), to: None, running_ms }
}

#[test]
fn versions_are_numbered_and_can_be_activated_again() {
    with_store(async |store| {
        let (a, b) = (pump("P-1"), pump("P-10"));
        assert_eq!(store.baseline_status(&a).await.expect("read"), BaselineStatus::New);
        for n in 1..=12 {
            assert_eq!(store.add_baseline(&a, &new(n)).await.expect("stored"), n as u32);
        }
        assert_eq!(store.add_baseline(&b, &new(7)).await.expect("stored"), 1, "each pump counts for itself");
        let versions = store.baselines(&a).await.expect("read");
        assert!(versions.iter().map(|version| i64::from(version.version)).eq(1..=12));
        assert!(versions.iter().zip(1..).all(|(version, n)| version.baseline == new(n)));
        let active = |version: u32| BaselineStatus::Active(BaselineRecord { version, baseline: new(version.into()) });
        assert_eq!(store.baseline_status(&a).await.expect("read"), active(12));
        store.activate_baseline(&a, 3).await.expect("stored");
        assert_eq!(store.baseline_status(&a).await.expect("read"), active(3));
        assert_eq!(store.add_baseline(&a, &new(13)).await.expect("stored"), 13, "numbers are never used again");
        store.activate_baseline(&a, 0).await.expect("stored");
        assert_eq!(store.baseline_status(&a).await.expect("read"), BaselineStatus::New);
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
            store.save_commissioning(&pump, &gathering(running_ms)).await.expect("stored");
            assert_eq!(
                store.baseline_status(&pump).await.expect("read"),
                BaselineStatus::Commissioning(gathering(running_ms))
            );
        }
        let first = CommissioningRecord { from: None, to: None, ..gathering(0) };
        store.save_commissioning(&pump, &first).await.expect("stored");
        assert_eq!(store.baseline_status(&pump).await.expect("read"), BaselineStatus::Commissioning(first));
        store.activate_baseline(&pump, 1).await.expect("stored");
        assert!(matches!(store.baseline_status(&pump).await.expect("read"), BaselineStatus::Active(_)));
    });
}

#[test]
fn the_baseline_status_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.add_baseline(&pump("P-1"), &new(1)).await.expect("stored");
        store.save_commissioning(&pump("P-2"), &gathering(5)).await.expect("stored");
        store.close().await.expect("closed");
        let store = open(&dir).await;
        let expected = BaselineStatus::Active(BaselineRecord { version: 1, baseline: new(1) });
        assert_eq!(store.baseline_status(&pump("P-1")).await.expect("read"), expected);
        assert_eq!(
            store.baseline_status(&pump("P-2")).await.expect("read"),
            BaselineStatus::Commissioning(gathering(5))
        );
    });
}
