//! Kinds of pumps that were added to a data directory, in addition to the configured one. A kind is a profile and, optionally, a
//! model.
//!
//! ```text
//! DATA/profiles/skab.toml    the profile, as it was given
//! DATA/profiles/skab/        its model, if there is one: manifest.json and model.safetensors
//! ```
//!
//! A kind is checked completely before anything is written. The model is written first, and the profile's file is renamed into
//! place last, so a crash leaves the complete kind or none; what it leaves of a model without a manifest is no model. The same
//! kind may be added again, with another model. Does not know the kind of each pump; the registrations of pumps do.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use volute_actors::KindParts;
use volute_anomaly::{MANIFEST, Model, ModelError, WEIGHTS};
use volute_data::{PROFILES_FOLDER, create_folder, write_file};
use volute_plant::{Profile, ProfileError};

/// The length of a profile's name, at most, in bytes; it is also a file name.
const MAX_NAME_LEN: usize = 64;
/// The size of each of a model's files, at most: the network with the most channels and units has 3 MB.
const MAX_MODEL_FILE_BYTES: u64 = 64 << 20;
/// Kinds of one node, at most. Kinds are never removed, and each needs memory and disk space.
pub(crate) const MAX_KINDS: usize = 256;
/// The allowed names of an added profile, for error messages.
pub(crate) const ALLOWED_NAMES: &str = "1 to 64 of a to z, A to Z, 0 to 9, - and _";

/// A kind cannot be added, or one that was added cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// The text is not a valid profile.
    #[error("the profile {file}: {source}")]
    Profile {
        /// The file, or where the text came from.
        file: String,
        /// The cause.
        source: ProfileError,
    },
    /// The name is not a portable file name.
    #[error("a profile's name is {name:?}; allowed: {ALLOWED_NAMES}")]
    Name {
        /// The name.
        name: String,
    },
    /// A different profile has this name, or one that differs from it only in the case of its letters.
    #[error("there is a different profile {name} already; give yours another name")]
    NameTaken {
        /// The name of the existing one.
        name: String,
    },
    /// It is the profile of the node's configuration.
    #[error("{name} is the profile of the node's configuration (model.profile and model.dir); change it there")]
    Configured {
        /// The name.
        name: String,
    },
    /// The file of a model is not a regular file, or too large.
    #[error("{} is not a file of at most {MAX_MODEL_FILE_BYTES} bytes", path.display())]
    NotAModelFile {
        /// The file.
        path: PathBuf,
    },
    /// The node has [`MAX_KINDS`] kinds.
    #[error("there are {MAX_KINDS} profiles already, and a node has no more")]
    TooManyKinds,
    /// The model is damaged, or not for this profile.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The files of a model that is added with a kind.
#[derive(Debug, Clone, Copy)]
pub enum ModelFiles<'a> {
    /// In this folder.
    Folder(&'a Path),
    /// These contents.
    Bytes {
        /// `manifest.json`.
        manifest: &'a [u8],
        /// `model.safetensors`.
        weights: &'a [u8],
    },
}

impl ModelFiles<'_> {
    /// Loads the model. Returns an error if it is damaged or not for `profile`.
    fn load(self, profile: &Profile) -> Result<Model, KindError> {
        match self {
            Self::Folder(dir) => {
                // A pipe never ends, and a huge file fills the memory.
                for path in [MANIFEST, WEIGHTS].map(|name| dir.join(name)) {
                    let file = fs::metadata(&path).map_err(|source| KindError::File { path: path.clone(), source })?;
                    if !file.is_file() || file.len() > MAX_MODEL_FILE_BYTES {
                        return Err(KindError::NotAModelFile { path });
                    }
                }
                Ok(Model::load(dir, profile)?)
            }
            Self::Bytes { manifest, weights } => Ok(Model::from_bytes(Path::new("model"), manifest, weights, profile)?),
        }
    }
}

/// The kinds that were added to one data directory.
#[derive(Debug, Clone)]
pub struct AddedKinds(PathBuf);

impl AddedKinds {
    /// Returns the added kinds of this data directory. Reads nothing.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join(PROFILES_FOLDER))
    }

    /// Loads all kinds, sorted by name. A model that cannot be loaded is left out, with a warning: its pumps' readings are stored
    /// and their limits evaluated without it. Returns an error if a profile cannot be loaded, because its pumps' readings cannot
    /// be understood without it.
    pub fn load(&self) -> Result<Vec<KindParts>, KindError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(KindError::File { path: self.0.clone(), source }),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| KindError::File { path: self.0.clone(), source })?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let mut kinds = Vec::new();
        for file in files {
            let profile = read_profile(&file)?;
            let model = read_model(&file, &profile).unwrap_or_else(|error| {
                tracing::error!(
                    profile = profile.name(),
                    %error,
                    "the model of a profile cannot be loaded; its pumps are not scored until the profile is added again with a model"
                );
                None
            });
            kinds.push(KindParts { profile, model });
        }
        Ok(kinds)
    }

    /// Adds a kind: checks it, writes it, and returns it as read back from the disk. `origin` names the text in errors; `known`
    /// are the existing kinds, of which `configured` is the profile of the configuration.
    pub fn add(
        &self,
        text: &str,
        origin: &str,
        model: Option<ModelFiles<'_>>,
        known: &[KindParts],
        configured: &str,
    ) -> Result<KindParts, KindError> {
        let profile =
            Profile::from_toml(text).map_err(|source| KindError::Profile { file: origin.to_owned(), source })?;
        let name = profile.name().to_owned();
        if !is_file_name(&name) {
            return Err(KindError::Name { name });
        }
        if name == configured {
            return Err(KindError::Configured { name });
        }
        // Their files would be one where the case of a file's name does not matter.
        let namesake = known.iter().find(|kind| kind.profile.name().eq_ignore_ascii_case(&name));
        if let Some(other) = namesake.filter(|kind| kind.profile != profile) {
            return Err(KindError::NameTaken { name: other.profile.name().to_owned() });
        }
        if namesake.is_none() && known.len() >= MAX_KINDS {
            return Err(KindError::TooManyKinds);
        }
        let model = model.map(|files| files.load(&profile)).transpose()?;
        create_folder(&self.0).map_err(|source| KindError::File { path: self.0.clone(), source })?;
        if let Some(model) = &model {
            model.save(&self.0.join(&name))?;
        }
        let file = self.0.join(format!("{name}.toml"));
        write_file(&file, text.as_bytes()).map_err(|source| KindError::File { path: file.clone(), source })?;
        // As after a restart.
        let profile = read_profile(&file)?;
        let model = read_model(&file, &profile)?;
        Ok(KindParts { profile, model })
    }
}

fn read_profile(file: &Path) -> Result<Profile, KindError> {
    let text = fs::read_to_string(file).map_err(|source| KindError::File { path: file.to_owned(), source })?;
    Profile::from_toml(&text).map_err(|source| KindError::Profile { file: file.display().to_string(), source })
}

/// Reads the model of the profile in `file`. None if there is none, or only what an interrupted save left of the first one.
fn read_model(file: &Path, profile: &Profile) -> Result<Option<Model>, KindError> {
    let folder = file.with_extension("");
    match Model::load(&folder, profile) {
        Ok(model) => Ok(Some(model)),
        Err(ModelError::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound && !folder.join(MANIFEST).exists() =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn is_file_name(name: &str) -> bool {
    (1..=MAX_NAME_LEN).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
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
        let (kinds, models) = (AddedKinds::of(dir.path()), tempfile::tempdir().expect("a folder"));
        assert_eq!(kinds.load().expect("none").len(), 0);
        kinds.add(SMALL, "small.toml", None, &[], "default").expect("a valid kind");
        let profile = profiles::load("centrifugal").expect("built in");
        pretrained::load(&profile).expect("whole").save(models.path()).expect("written");
        let added = kinds
            .add(profiles::CENTRIFUGAL, "centrifugal", Some(ModelFiles::Folder(models.path())), &[], "default")
            .expect("a valid kind");
        assert!(added.model.is_some());
        let names: Vec<(String, bool)> = AddedKinds::of(dir.path())
            .load()
            .expect("both")
            .into_iter()
            .map(|kind| (kind.profile.name().to_owned(), kind.model.is_some()))
            .collect();
        assert_eq!(names, [("centrifugal".to_owned(), true), ("small".to_owned(), false)]);
    }

    #[test]
    fn an_invalid_kind_is_rejected_and_nothing_is_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let (kinds, models) = (AddedKinds::of(dir.path()), tempfile::tempdir().expect("a folder"));
        let profile = profiles::load("centrifugal").expect("built in");
        pretrained::load(&profile).expect("whole").save(models.path()).expect("written");
        let other = KindParts { profile: Profile::from_toml(SMALL).expect("valid"), model: None };
        let faster = SMALL.replace("300000", "1000");
        let other_limits = SMALL.replace("resolution", "limits = { high_alarm = 80 }\n        resolution");
        let capital = SMALL.replace("\"small\"", "\"Small\"");
        // In the place of the weights is something that cannot be read to its end.
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
            let model = model.map(ModelFiles::Folder);
            let Err(error) = kinds.add(text, "mine", model, std::slice::from_ref(&other), "centrifugal") else {
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
        let kind = |n| KindParts { profile: Profile::from_toml(&named(n)).expect("valid"), model: None };
        let known: Vec<KindParts> = (0..MAX_KINDS).map(kind).collect();
        let kinds = AddedKinds::of(dir.path());
        assert!(matches!(kinds.add(&named(MAX_KINDS), "mine", None, &known, "default"), Err(KindError::TooManyKinds)));
        assert!(!dir.path().join(PROFILES_FOLDER).exists());
        kinds.add(&named(7), "mine", None, &known, "default").expect("an existing kind may be added again");
        kinds.add(&named(MAX_KINDS), "mine", None, &known[1..], "default").expect("one kind fewer than the limit");
    }

    #[test]
    fn leftovers_of_an_interrupted_first_save_are_no_model_and_a_damaged_model_is_left_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let (kinds, folder) = (AddedKinds::of(dir.path()), dir.path().join(PROFILES_FOLDER).join("booster"));
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
        assert!(kinds.load().expect("loaded")[0].model.is_none());
        let model = Some(ModelFiles::Folder(models.path()));
        assert!(kinds.add(&booster, "mine", model, &[], "default").expect("a valid kind").model.is_some());
        fs::write(folder.join(WEIGHTS), "damaged").expect("written");
        assert!(kinds.load().expect("the profile is there")[0].model.is_none());
        fs::remove_file(folder.join(MANIFEST)).expect("removed");
        fs::remove_file(folder.join(WEIGHTS)).expect("removed");
        assert!(kinds.add(&booster, "mine", model, &[], "default").expect("a valid kind").model.is_some(), "repaired");
    }
}
