//! Tests of kinds in a data directory: added, damaged, repaired and removed.

use super::*;
use crate::{pretrained, profiles};

const SMALL: &str = r#"
    name = "small"
    title = "A bearing"
    interval_ms = 300000
    [[channels]]
    name = "Tb"
    quantity = "bearing_temperature"
    unit = "°C"
    plausible = [0, 200]
    resolution = 0.1
"#;

#[test]
fn an_added_kind_and_its_model_are_loaded_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let (kinds, models) = (KindFiles::of(dir.path()), tempfile::tempdir().expect("a folder"));
    assert_eq!(kinds.load(&[]).expect("none").len(), 0);
    kinds.add(SMALL, "small.toml", None, &[], "default").expect("a valid kind");
    let profile = profiles::load("centrifugal").expect("built in");
    pretrained::load(&profile).expect("whole").save(models.path()).expect("written");
    let added = kinds
        .add(profiles::CENTRIFUGAL, "centrifugal", Some(&ModelFiles::Folder(models.path().to_owned())), &[], "default")
        .expect("a valid kind");
    assert!(added.model.is_some());
    let names: Vec<(String, bool)> = KindFiles::of(dir.path())
        .load(&[])
        .expect("both")
        .into_iter()
        .map(|kind| (kind.profile.name().to_owned(), kind.model.is_some()))
        .collect();
    assert_eq!(names, [("centrifugal".to_owned(), true), ("small".to_owned(), false)]);
}

#[test]
fn an_invalid_kind_is_rejected_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let (kinds, models) = (KindFiles::of(dir.path()), tempfile::tempdir().expect("a folder"));
    let profile = profiles::load("centrifugal").expect("built in");
    pretrained::load(&profile).expect("whole").save(models.path()).expect("written");
    let other = KindParts::new(Profile::from_toml(SMALL).expect("valid"), None);
    let faster = SMALL.replace("300000", "1000");
    let other_limits = SMALL.replace("resolution", "limits = { high_alarm = 80 }\n        resolution");
    let capital = SMALL.replace("\"small\"", "\"Small\"");
    // The weights are replaced by something that cannot be read to its end.
    let piped = models.path().join("piped");
    fs::create_dir_all(piped.join(WEIGHTS)).expect("a folder");
    fs::copy(models.path().join(MANIFEST), piped.join(MANIFEST)).expect("copied");
    let outside_folder = SMALL.replace("\"small\"", "\"../small\"");
    for (text, model, expected) in [
        ("name = 3", None, "the profile mine"),
        (outside_folder.as_str(), None, "allowed: 1 to 64"),
        (faster.as_str(), None, "there is a different profile small already"),
        (other_limits.as_str(), None, "there is a different profile small already"),
        (capital.as_str(), None, "there is a different profile small already"),
        (profiles::CENTRIFUGAL, None, "the profile of the node's configuration"),
        (SMALL, Some(piped.as_path()), "is not a file of at most"),
        (SMALL, Some(models.path()), "profile"),
        (SMALL, Some(dir.path()), "manifest.json"),
    ] {
        let model = model.map(|path| ModelFiles::Folder(path.to_owned()));
        let Err(error) = kinds.add(text, "mine", model.as_ref(), std::slice::from_ref(&other), "centrifugal") else {
            panic!("{text}")
        };
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!dir.path().join(PROFILES_FOLDER).exists(), "{expected}");
    }
}

#[test]
fn the_number_of_kinds_is_limited() {
    let dir = tempfile::tempdir().expect("a folder");
    let named = |n: usize| SMALL.replace("\"small\"", &format!("\"small-{n}\""));
    let kind = |n| KindParts::new(Profile::from_toml(&named(n)).expect("valid"), None);
    let known: Vec<KindParts> = (0..MAX_KINDS).map(kind).collect();
    let kinds = KindFiles::of(dir.path());
    assert!(matches!(kinds.add(&named(MAX_KINDS), "mine", None, &known, "default"), Err(KindError::TooManyKinds)));
    assert!(!dir.path().join(PROFILES_FOLDER).exists());
    kinds.add(&named(7), "mine", None, &known, "default").expect("an existing kind may be added again");
    kinds.add(&named(MAX_KINDS), "mine", None, &known[1..], "default").expect("one kind fewer than the limit");
}

#[test]
fn leftovers_of_an_interrupted_first_save_are_no_model_and_a_damaged_model_is_left_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let (kinds, folder) = (KindFiles::of(dir.path()), dir.path().join(PROFILES_FOLDER).join("booster"));
    let booster = profiles::CENTRIFUGAL.replace("\"centrifugal\"", "\"booster\"");
    let models = tempfile::tempdir().expect("a folder");
    pretrained::load(&profiles::load("centrifugal").expect("built in"))
        .expect("whole")
        .save(models.path())
        .expect("written");
    // The disk was full, or the node was killed, after the first file.
    fs::create_dir_all(&folder).expect("a folder");
    fs::copy(models.path().join(MANIFEST), folder.join("manifest.json.new")).expect("copied");
    assert!(kinds.add(&booster, "mine", None, &[], "default").expect("a valid kind").model.is_none());
    assert!(kinds.load(&[]).expect("loaded")[0].model.is_none());
    let model = ModelFiles::Folder(models.path().to_owned());
    let model = Some(&model);
    assert!(kinds.add(&booster, "mine", model, &[], "default").expect("a valid kind").model.is_some());
    fs::write(folder.join(WEIGHTS), "damaged").expect("written");
    assert!(kinds.load(&[]).expect("the profile is there")[0].model.is_none());
    fs::remove_file(folder.join(MANIFEST)).expect("removed");
    fs::remove_file(folder.join(WEIGHTS)).expect("removed");
    assert!(kinds.add(&booster, "mine", model, &[], "default").expect("a valid kind").model.is_some(), "repaired");
}

fn pump(id: &str, profile: &str, channels: &[&str]) -> PumpRecord {
    PumpRecord {
        id: id.parse().expect("an id"),
        profile: profile.to_owned(),
        channels: channels.iter().map(|name| (*name).to_owned()).collect(),
        registered_at: volute_plant::Timestamp::from_millis(1_773_050_400_000).expect("a time"),
    }
}

#[test]
fn a_damaged_profile_keeps_the_channels_of_its_pumps_and_is_repaired() {
    let dir = tempfile::tempdir().expect("a folder");
    let (kinds, file) = (KindFiles::of(dir.path()), dir.path().join(PROFILES_FOLDER).join("small.toml"));
    let large = SMALL.replace("\"small\"", "\"large\"");
    kinds.add(&large, "mine", None, &[], "default").expect("a valid kind");
    kinds.add(SMALL, "mine", None, &[], "default").expect("a valid kind");
    let pumps = [pump("L-1", "large", &["Tb"]), pump("S-1", "small", &["Tb"])];
    let too_long = format!("{SMALL}#{}", "x".repeat(1 << 20));
    for (text, why) in [
        (&SMALL.as_bytes()[..60], "profiles/small.toml: not a profile: "),
        (b"name = \"small\"\ntitle = \"\xff".as_slice(), "valid UTF-8"),
        (large.as_bytes(), "it holds the profile \"large\", whose file is large.toml"),
        (too_long.as_bytes(), "not a file of at most 1048576 bytes"),
    ] {
        fs::write(&file, text).expect("written");
        let known = kinds.load(&pumps).expect("the folder can be read");
        let [whole, damaged] = known.as_slice() else { panic!("both: {}", known.len()) };
        assert!(whole.damage.is_none() && whole.profile.channels()[0].unit == "°C", "the other one is as it was");
        let said = damaged.damage.as_deref().expect("damaged");
        assert!(said.contains(why) && !said.contains('\n') && said.len() < 2 * MAX_REASON_CHARS, "{said}");
        assert!(damaged.profile.name() == "small" && damaged.profile.channel_names().eq(["Tb"]));

        let other = SMALL.replace("\"Tb\"", "\"Tc\"");
        let refused = kinds.add(&other, "mine", None, &known, "default").err().expect("its pumps have Tb");
        assert!(refused.to_string().contains("have the channels Tb, and this text has Tc"), "{refused}");
        let repaired = kinds.add(SMALL, "mine", None, &known, "default").expect("repaired");
        assert!(repaired.damage.is_none() && kinds.load(&[]).expect("both").iter().all(|kind| kind.damage.is_none()));
    }
    // Something that cannot be read as a file.
    fs::remove_file(&file).and_then(|()| fs::create_dir(&file)).expect("a folder in its place");
    assert!(kinds.load(&[]).expect("both")[1].damage.is_some());
}

#[test]
fn a_removed_kind_leaves_nothing_to_the_next_one_of_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let (kinds, folder) = (KindFiles::of(dir.path()), dir.path().join(PROFILES_FOLDER));
    let booster = profiles::CENTRIFUGAL.replace("\"centrifugal\"", "\"booster\"");
    let models = tempfile::tempdir().expect("a folder");
    let profile = profiles::load("centrifugal").expect("built in");
    pretrained::load(&profile).expect("whole").save(models.path()).expect("written");
    let model = ModelFiles::Folder(models.path().to_owned());
    kinds.add(&booster, "mine", Some(&model), &[], "default").expect("a valid kind");
    kinds.remove("booster").expect("removed");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
    kinds.remove("booster").expect("it may be repeated");
    for outside in ["../profiles", "..", "/etc/motd", "bearing/", ""] {
        assert!(matches!(kinds.remove(outside), Err(KindError::Name { .. })), "{outside:?}");
    }
    fs::write(folder.join("a b.toml"), "by hand").expect("written");
    kinds.remove("a b").expect("removed");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);

    // A crash happened after the profile was deleted, and before the model was.
    kinds.add(&booster, "mine", Some(&model), &[], "default").expect("a valid kind");
    fs::remove_file(folder.join("booster.toml")).expect("removed");
    assert_eq!(kinds.load(&[]).expect("none").len(), 0);
    assert!(kinds.add(&booster, "mine", None, &[], "default").expect("a valid kind").model.is_none());
}
