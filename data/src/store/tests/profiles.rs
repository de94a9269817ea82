//! Assigning another profile to a pump, before and after its registration is in the database.

use volute_plant::Profile;

use super::*;

/// A profile with these channels.
fn profile(name: &str, channels: &[&str]) -> Profile {
    let channel = |name: &&str| {
        format!(
            "[[channels]]\nname = {name:?}\nquantity = \"flow\"\nunit = \"L/min\"\nplausible = [0, 500]\nresolution = 1\n"
        )
    };
    let channels: String = channels.iter().map(channel).collect();
    let text = format!("name = {name:?}\ntitle = \"A pump\"\ninterval_ms = 1000\n{channels}");
    Profile::from_toml(&text).expect("a profile")
}

fn anew() -> CommissioningRecord {
    CommissioningRecord { reason: "assigned".into(), requested: true, from: None, to: None, running_ms: 0 }
}

async fn assign(store: &Store, name: &str, profile: &Profile) -> Result<bool, StoreError> {
    store.set_pump_profile(&pump(name), profile, &anew()).await
}

#[test]
fn an_assigned_profile_overrides_the_registration_and_starts_a_commissioning() {
    for flushed_first in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        runtime().block_on(async {
            let store = open(&dir).await;
            let batch = Batch { pumps: vec![record("P-1")], readings: vec![reading("P-1", 0)], ..Batch::default() };
            store.commit(&batch).await.expect("stored");
            if flushed_first {
                store.flush_all().await.expect("flushed");
            }
            assert!(assign(&store, "P-1", &profile("other", &["Tb", "Q"])).await.expect("assigned"));
            assert_eq!(store.profile_of(&pump("P-1")).as_deref(), Some("other"));
            assert_eq!(store.baseline_status(&pump("P-1")).await.expect("read"), BaselineStatus::Commissioning(anew()));
            store.flush_all().await.expect("flushed");
            store.close().await.expect("closed");

            let store = open(&dir).await;
            assert_eq!(store.profile_of(&pump("P-1")).as_deref(), Some("other"), "flushed first: {flushed_first}");
            assert_eq!(readings(&store, "P-1").await.len(), 1);
        });
    }
}

#[test]
fn a_profile_with_other_channels_is_refused() {
    with_store(async |store| {
        store.commit(&Batch { pumps: vec![record("P-1")], ..Batch::default() }).await.expect("stored");
        for channels in [&["Tb"][..], &["Q", "Tb"], &["Tb", "Q", "P"]] {
            let error = assign(&store, "P-1", &profile("other", channels)).await.expect_err("refused");
            assert!(matches!(error, StoreError::OtherChannels { .. }), "{error}");
        }
        assert!(!assign(&store, "P-9", &profile("other", &["Tb", "Q"])).await.expect("no error"));
        assert_eq!((store.profile_of(&pump("P-1")).as_deref(), store.profile_of(&pump("P-9"))), (Some("small"), None));
        assert_eq!(store.baseline_status(&pump("P-1")).await.expect("read"), BaselineStatus::New);
    });
}
