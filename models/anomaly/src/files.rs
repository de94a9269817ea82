//! The files of a model: `model.safetensors` and `manifest.json` in one folder.
//!
//! A save never leaves half a model. An example, of a save over an existing model:
//!
//! 1. The new manifest is written as `manifest.json.new` and synced, then the new weights as `model.safetensors.new`.
//! 2. `model.safetensors.new` is renamed to `model.safetensors`. From this moment on the new model is loaded.
//! 3. `manifest.json.new` is renamed to `manifest.json`.
//!
//! If a save is interrupted between 2 and 3, the checksum in `manifest.json` does not match the weights, but that in
//! `manifest.json.new` does. Loading then uses the latter, and the next save first completes step 3. A save holds a lock
//! on the folder; another one waits for it.
//!
//! Loading validates everything. Does not choose a folder.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use volute_plant::Profile;

use crate::{
    DynamicsNetwork, Manifest, Model,
    dynamics::residual_shape,
    hex::sha256,
    model::{ARCHITECTURE, FORMAT_VERSION, shape},
    recipe::MAX_UNITS,
    weights::{ArrayError, Weights, WeightsError},
};

/// The file of a model's weights in its folder.
pub const WEIGHTS: &str = "model.safetensors";
/// The file of a model's description in its folder.
pub const MANIFEST: &str = "manifest.json";
const NEW_WEIGHTS: &str = "model.safetensors.new";
const NEW_MANIFEST: &str = "manifest.json.new";

/// The model cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest is not JSON, or does not have the fields of a manifest.
    #[error("{} is not a manifest: {source}", file.display())]
    Manifest {
        /// The manifest.
        file: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The file is valid, but not the required one.
    #[error("{}: {what} {found}; expected: {expected}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: Mismatch,
        /// What the file has.
        found: String,
        /// What it should have.
        expected: String,
    },
    /// The model cannot be serialized. This is a defect of this crate.
    #[error("the model cannot be written: {0}")]
    Encode(String),
}

/// Which property of a model's file is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The manifest has another format version.
    FormatVersion,
    /// The network has another architecture.
    Architecture,
    /// The model was trained for another profile.
    Profile,
    /// Other channels, or another order of channels.
    Channels,
    /// Another time between two readings.
    Interval,
    /// Another number of readings in a window.
    Window,
    /// An invalid number of hidden units.
    Units,
    /// The baseline is for other channels or another network, or was modified.
    Baseline,
    /// The checksum of the weights file is not that of the manifest.
    Checksum,
    /// The weights have other sizes, or are not finite.
    Weights,
    /// The manifest was modified.
    Id,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mismatch::FormatVersion => "format version",
            Mismatch::Architecture => "architecture",
            Mismatch::Profile => "profile",
            Mismatch::Channels => "channels",
            Mismatch::Interval => "interval in milliseconds",
            Mismatch::Window => "window length",
            Mismatch::Units => "units",
            Mismatch::Baseline => "baseline",
            Mismatch::Checksum => "SHA-256",
            Mismatch::Weights => "weights:",
            Mismatch::Id => "id",
        })
    }
}

impl Model {
    /// Writes the model into `dir`, replacing the model there. Creates the folder if it does not exist.
    ///
    /// A crash at any moment leaves the old model or the new one.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        let second = self.dynamics().map(DynamicsNetwork::weights);
        let weights = self.weights().to_bytes_with(second).map_err(|error| ModelError::Encode(error.to_string()))?;
        let mut manifest =
            serde_json::to_vec_pretty(self.manifest()).map_err(|error| ModelError::Encode(error.to_string()))?;
        manifest.push(b'\n');
        let _lock = with_path(dir, create_folder(dir).and_then(|()| lock(dir)))?;
        finish_interrupted(dir)?;
        write(&dir.join(NEW_MANIFEST), &manifest)?;
        write(&dir.join(NEW_WEIGHTS), &weights)?;
        sync(dir)?;
        rename(&dir.join(NEW_WEIGHTS), &dir.join(WEIGHTS))?;
        sync(dir)?;
        rename(&dir.join(NEW_MANIFEST), &dir.join(MANIFEST))?;
        sync(dir)
    }

    /// Loads the model in `dir`. Refuses it unless it is complete, unmodified and trained for `profile`.
    pub fn load(dir: &Path, profile: &Profile) -> Result<Model, ModelError> {
        let weights_file = dir.join(WEIGHTS);
        let bytes = with_path(&weights_file, fs::read(&weights_file))?;
        let found = sha256(&bytes);
        let (manifest_file, manifest) = read_manifest(dir, &found)?;
        check(&manifest_file, &manifest, profile)?;
        assemble(&weights_file, &bytes, manifest, profile)
    }

    /// Returns the time between two readings of the windows that the model in `dir` was trained on, in milliseconds.
    ///
    /// Does not validate the rest of the model; see [`Model::load`].
    pub fn interval_ms(dir: &Path) -> Result<i64, ModelError> {
        Ok(load_manifest(dir.join(MANIFEST))?.1.interval_ms)
    }

    /// Creates a model from the content of its files, with the same validation. `dir` is their folder in error messages.
    pub fn from_bytes(dir: &Path, manifest: &[u8], weights: &[u8], profile: &Profile) -> Result<Model, ModelError> {
        let (manifest_file, manifest) = parse_manifest(dir.join(MANIFEST), manifest)?;
        check(&manifest_file, &manifest, profile)?;
        assemble(&dir.join(WEIGHTS), weights, manifest, profile)
    }
}

/// Creates a model from a validated manifest and its weights.
fn assemble(file: &Path, weights: &[u8], manifest: Manifest, profile: &Profile) -> Result<Model, ModelError> {
    let found = sha256(weights);
    if found != manifest.weights_sha256 {
        return refuse(file, Mismatch::Checksum, found, manifest.weights_sha256);
    }
    let residual = residual_shape(profile.channels().len());
    match Weights::pair_from_bytes(shape(profile, manifest.units), residual, weights) {
        Ok((weights, residual)) => match residual.map(DynamicsNetwork::new).transpose() {
            Ok(dynamics) => Ok(Model::new(manifest, weights, dynamics)),
            Err(error) => refuse(file, Mismatch::Weights, error.to_string(), "this network's safetensors file"),
        },
        Err(WeightsError::Format(error)) => {
            refuse(file, Mismatch::Weights, error.to_string(), "this network's safetensors file")
        }
        Err(WeightsError::Array(ArrayError { name, found, expected })) => {
            refuse(file, Mismatch::Weights, format!("{name} holds {found}"), expected)
        }
    }
}

/// Returns the manifest that matches the checksum of the weights, or else the one in `manifest.json`.
fn read_manifest(dir: &Path, weights_sha256: &str) -> Result<(PathBuf, Manifest), ModelError> {
    let current = load_manifest(dir.join(MANIFEST));
    if matches!(&current, Ok((_, manifest)) if manifest.weights_sha256 == weights_sha256) {
        return current;
    }
    match load_manifest(dir.join(NEW_MANIFEST)) {
        Ok((file, new)) if new.weights_sha256 == weights_sha256 => {
            tracing::warn!(file = %file.display(), model = new.id, "using the manifest of an interrupted save");
            Ok((file, new))
        }
        _ => current,
    }
}

fn load_manifest(file: PathBuf) -> Result<(PathBuf, Manifest), ModelError> {
    let bytes = with_path(&file, fs::read(&file))?;
    parse_manifest(file, &bytes)
}

fn parse_manifest(file: PathBuf, bytes: &[u8]) -> Result<(PathBuf, Manifest), ModelError> {
    /// The only field that every format version has.
    #[derive(Deserialize)]
    struct Versioned {
        format_version: u32,
    }
    let parsed = serde_json::from_slice(bytes).and_then(|Versioned { format_version }| {
        if format_version == FORMAT_VERSION { serde_json::from_slice(bytes).map(Ok) } else { Ok(Err(format_version)) }
    });
    match parsed {
        Ok(Ok(manifest)) => Ok((file, manifest)),
        Ok(Err(version)) => refuse(&file, Mismatch::FormatVersion, version.to_string(), FORMAT_VERSION.to_string()),
        Err(source) => Err(ModelError::Manifest { file, source }),
    }
}

/// Validates everything in a manifest against the profile, except for the sizes of the weights.
fn check(file: &Path, manifest: &Manifest, profile: &Profile) -> Result<(), ModelError> {
    let shape = shape(profile, manifest.units);
    let channels: Vec<&str> = profile.channel_names().collect();
    if manifest.profile_hash != profile.hash() {
        let found = match manifest.profile == profile.name() {
            true => format!("{}, but with other channels or another interval", manifest.profile),
            false => manifest.profile.clone(),
        };
        return refuse(file, Mismatch::Profile, found, profile.name());
    }
    for (what, found, expected) in [
        (Mismatch::Architecture, manifest.architecture.clone(), ARCHITECTURE.to_owned()),
        (Mismatch::Channels, manifest.channels.join(", "), channels.join(", ")),
        (Mismatch::Interval, manifest.interval_ms.to_string(), profile.interval_ms().to_string()),
        (Mismatch::Window, manifest.window.to_string(), shape.len.to_string()),
    ] {
        if found != expected {
            return refuse(file, what, found, expected);
        }
    }
    if !(1..=MAX_UNITS).contains(&manifest.units) {
        return refuse(file, Mismatch::Units, manifest.units.to_string(), format!("1 to {MAX_UNITS}"));
    }
    if manifest.id != manifest.expected_id() {
        return refuse(file, Mismatch::Id, manifest.id.clone(), manifest.expected_id());
    }
    if let Some(baseline) = &manifest.baseline
        && let Err(error) = baseline
            .check(&manifest.id, profile)
            .and_then(|()| baseline.check_interval(manifest.interval_ms, manifest.interval_ms))
    {
        return refuse(file, Mismatch::Baseline, error.found, error.expected);
    }
    Ok(())
}

fn refuse<T>(file: &Path, what: Mismatch, found: String, expected: impl Into<String>) -> Result<T, ModelError> {
    Err(ModelError::Refused { file: file.to_owned(), what, found, expected: expected.into() })
}

/// Creates a folder and its parents, and syncs their directory entries.
fn create_folder(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(dir)?;
    for path in missing {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Waits for the folder's lock, which is held until the returned file is dropped.
fn lock(dir: &Path) -> io::Result<fs::File> {
    let folder = fs::File::open(dir)?;
    folder.lock()?;
    Ok(folder)
}

/// Completes a save that was interrupted after its weights were renamed: these need its manifest, which is about to be
/// replaced.
fn finish_interrupted(dir: &Path) -> Result<(), ModelError> {
    let Ok(weights) = fs::read(dir.join(WEIGHTS)) else { return Ok(()) };
    match read_manifest(dir, &sha256(&weights)) {
        Ok((file, _)) if file == dir.join(NEW_MANIFEST) => {
            rename(&file, &dir.join(MANIFEST))?;
            sync(dir)
        }
        _ => Ok(()),
    }
}

/// Writes and syncs a new file. Removes the file of an interrupted save first, also if it is a symlink.
fn write(file: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let written = match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::File::create_new(file).and_then(|mut open| {
            open.write_all(bytes)?;
            open.sync_all()
        }),
    };
    with_path(file, written)
}

/// Makes renames and new files in a folder durable.
fn sync(dir: &Path) -> Result<(), ModelError> {
    with_path(dir, fs::File::open(dir).and_then(|open| open.sync_all()))
}

fn rename(from: &Path, to: &Path) -> Result<(), ModelError> {
    with_path(to, fs::rename(from, to))
}

/// Adds the file to an error.
fn with_path<T>(file: &Path, result: io::Result<T>) -> Result<T, ModelError> {
    result.map_err(|source| ModelError::Io { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{
        testing::{model, profile, scores, waves},
        weights::Part,
    };

    fn saved() -> TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        model().save(dir.path()).expect("saved");
        dir
    }

    fn write_manifest(dir: &Path, manifest: &Manifest) {
        fs::write(dir.join(MANIFEST), serde_json::to_vec(manifest).expect("JSON")).expect("written");
    }

    fn load_error(dir: &Path) -> ModelError {
        Model::load(dir, &profile(2)).expect_err("must be refused")
    }

    fn refusal(dir: &Path) -> Mismatch {
        match load_error(dir) {
            ModelError::Refused { what, .. } => what,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_loaded_model_equals_the_saved_one() {
        let dir = saved();
        let loaded = Model::load(dir.path(), &profile(2)).expect("loaded");
        assert_eq!((loaded.id(), loaded.manifest()), (model().id(), model().manifest()));
        assert_eq!(scores(&loaded, &waves(2, 40)), scores(model(), &waves(2, 40)));
        let bytes = |name| fs::read(dir.path().join(name)).expect("a file");
        let same = Model::from_bytes(dir.path(), &bytes(MANIFEST), &bytes(WEIGHTS), &profile(2)).expect("the same");
        assert_eq!(same.id(), loaded.id());
        let mut names: Vec<_> = fs::read_dir(&dir).expect("files").map(|f| f.expect("a file").file_name()).collect();
        names.sort();
        assert_eq!(names, [MANIFEST, WEIGHTS], "nothing temporary is left");
    }

    #[test]
    fn an_interrupted_save_leaves_the_old_model_or_the_new_one() {
        let (old, new) = (saved(), tempfile::tempdir().expect("a folder"));
        let other = crate::testing::train_with_seed(2);
        other.save(new.path()).expect("saved");
        let load = || Model::load(old.path(), &profile(2)).expect("loaded").id().clone();
        let step = |from: &str, to: &str| {
            fs::copy(new.path().join(from), old.path().join(to)).expect("copied");
        };

        step(MANIFEST, NEW_MANIFEST);
        assert_eq!(&load(), model().id(), "the new manifest is written");
        step(WEIGHTS, NEW_WEIGHTS);
        assert_eq!(&load(), model().id(), "the new weights are written");
        fs::rename(old.path().join(NEW_WEIGHTS), old.path().join(WEIGHTS)).expect("renamed");
        assert_eq!(&load(), other.id(), "the weights are renamed");
        fs::rename(old.path().join(NEW_MANIFEST), old.path().join(MANIFEST)).expect("renamed");
        assert_eq!(&load(), other.id(), "the manifest is renamed");
    }

    #[test]
    fn a_save_after_an_interrupted_one_completes_that_first() {
        let (dir, new) = (saved(), tempfile::tempdir().expect("a folder"));
        let other = crate::testing::train_with_seed(2);
        other.save(new.path()).expect("saved");
        fs::copy(new.path().join(WEIGHTS), dir.path().join(WEIGHTS)).expect("the weights were renamed");
        fs::copy(new.path().join(MANIFEST), dir.path().join(NEW_MANIFEST)).expect("and the manifest was not");
        // The next save fails after it has written the first of its files: a folder is in the place of the second.
        fs::create_dir(dir.path().join(NEW_WEIGHTS)).expect("in the way");
        model().save(dir.path()).expect_err("cut off");
        assert_eq!(Model::load(dir.path(), &profile(2)).expect("loaded").id(), other.id());
    }

    #[test]
    fn a_symlink_in_the_place_of_a_temporary_file_is_not_followed() {
        let (dir, elsewhere) = (saved(), tempfile::tempdir().expect("a folder"));
        let target = elsewhere.path().join("target");
        fs::write(&target, "target").expect("written");
        for name in [NEW_WEIGHTS, NEW_MANIFEST] {
            std::os::unix::fs::symlink(&target, dir.path().join(name)).expect("linked");
        }
        crate::testing::train_with_seed(2).save(dir.path()).expect("saved");
        assert_eq!(fs::read(&target).expect("read"), b"target");
        assert!(fs::symlink_metadata(dir.path().join(WEIGHTS)).expect("there").is_file());
    }

    /// Without the lock their files would mix, and neither model could be loaded.
    #[test]
    fn two_concurrent_saves_leave_one_complete_model() {
        let dir = saved();
        let other = crate::testing::train_with_seed(2);
        for _ in 0..50 {
            std::thread::scope(|scope| {
                scope.spawn(|| model().save(dir.path()).expect("saved"));
                scope.spawn(|| other.save(dir.path()).expect("saved"));
            });
            let loaded = Model::load(dir.path(), &profile(2)).expect("whole");
            assert!(loaded.id() == model().id() || loaded.id() == other.id());
        }
    }

    #[test]
    fn a_manifest_that_does_not_match_is_refused() {
        let dir = saved();
        type Change = fn(&mut Manifest);
        let changes: [(Mismatch, Change); 10] = [
            (Mismatch::FormatVersion, |m| m.format_version = 1),
            (Mismatch::Architecture, |m| m.architecture = "isolation-forest".into()),
            (Mismatch::Profile, |m| m.profile_hash = sha256(b"another profile")),
            (Mismatch::Channels, |m| m.channels.reverse()),
            (Mismatch::Interval, |m| m.interval_ms = 5000),
            (Mismatch::Window, |m| m.window = 31),
            (Mismatch::Units, |m| m.units = usize::MAX),
            (Mismatch::Weights, |m| m.units += 1),
            (Mismatch::Id, |m| m.id += "0"),
            (Mismatch::Baseline, |m| m.baseline.as_mut().expect("one pump's").thresholds.long *= 2.0),
        ];
        for (expected, change) in changes {
            let mut manifest = model().manifest().clone();
            change(&mut manifest);
            write_manifest(dir.path(), &manifest);
            assert_eq!(refusal(dir.path()), expected);
        }
    }

    #[test]
    fn another_profiles_model_is_refused_by_name() {
        let dir = saved();
        let error = Model::load(dir.path(), &profile(3)).expect_err("three channels").to_string();
        let expected = "manifest.json: profile test, but with other channels or another interval; expected: test";
        assert!(error.ends_with(expected), "{error}");
        let text = serde_json::to_string(model().manifest()).expect("JSON");
        let other_name = text.replace("\"profile\":\"test\"", "\"profile\":\"gear\"");
        fs::write(dir.path().join(MANIFEST), other_name).expect("written");
        let error = Model::load(dir.path(), &profile(3)).expect_err("another profile").to_string();
        assert!(error.ends_with("profile gear; expected: test"), "{error}");
    }

    #[test]
    fn a_manifest_with_a_span_that_is_no_number_is_refused() {
        let dir = saved();
        let text = serde_json::to_string(model().manifest()).expect("JSON");
        let baseline = model().baseline().expect("one pump's");
        let min = format!("\"min\":{:?}", baseline.scaler.spans()[0].min);
        for to in ["\"min\":null", "\"min\":1e308", "\"min\":1e999"] {
            assert!(text.contains(&min), "{text} has {min}");
            fs::write(dir.path().join(MANIFEST), text.replacen(&min, to, 1)).expect("written");
            let error = load_error(dir.path());
            assert!(matches!(error, ModelError::Manifest { .. }) && error.to_string().contains(MANIFEST), "{error}");
        }
    }

    #[test]
    fn changed_weights_are_refused() {
        let dir = saved();
        let file = dir.path().join(WEIGHTS);
        let mut bytes = fs::read(&file).expect("read");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&file, bytes).expect("written");
        assert_eq!(refusal(dir.path()), Mismatch::Checksum);
    }

    #[test]
    fn weights_that_are_not_finite_are_refused_despite_a_valid_checksum() {
        let dir = saved();
        let mut bytes = model().weights().to_bytes().expect("bytes");
        let size = model().weights().array(Part::HeadKernel).len() * 4;
        let end = bytes.len();
        bytes[end - size..].fill(0xff);
        for sealed in [bytes, b"no safetensors".to_vec()] {
            fs::write(dir.path().join(WEIGHTS), &sealed).expect("written");
            let mut manifest = model().manifest().clone();
            manifest.weights_sha256 = sha256(&sealed);
            manifest.id = manifest.expected_id();
            manifest.baseline = None;
            write_manifest(dir.path(), &manifest);
            assert_eq!(refusal(dir.path()), Mismatch::Weights);
        }
    }

    #[test]
    fn missing_files_are_named() {
        let dir = saved();
        for name in [MANIFEST, WEIGHTS] {
            fs::remove_file(dir.path().join(name)).expect("removed");
            let error = load_error(dir.path()).to_string();
            assert!(error.contains(name), "{error} names {name}");
        }
    }
}
