//! Kinds of pumps that were added to a data folder, beside the one of the configuration.
//!
//! ```text
//! DATA/profiles/skab.toml    the profile, as it was given
//! DATA/profiles/skab/        its model, if it has one: manifest.json and model.safetensors
//! ```
//!
//! A kind is checked whole before anything of it is written, its model comes first, and the profile's file gets its name last:
//! after a crash at any moment there is the whole kind or none. A kind of the same name and the same profile may be added
//! again, with another model. Does not say which pump is of which kind; the pumps' registrations do.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use volute_actors::KindParts;
use volute_anomaly::{Model, ModelError};
use volute_data::{PROFILES, create_folder, write_file};
use volute_plant::{Profile, ProfileError};

/// Bytes that a profile's name may have: it is a file's name too.
const LONGEST_NAME: usize = 64;
/// The most kinds that one node has: none is ever taken away, and whoever adds one takes memory and room on the disk.
pub(crate) const MOST_KINDS: usize = 256;
/// What a profile that is added may be named, for people.
pub(crate) const NAMES: &str = "1 to 64 of a to z, A to Z, 0 to 9, - and _";

/// A kind cannot be added, or one that was added cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// The text is no profile.
    #[error("the profile {file}: {source}")]
    Profile {
        /// Where it was read.
        file: String,
        /// What is wrong with it.
        source: ProfileError,
    },
    /// A name that is no file's name everywhere.
    #[error("a profile's name is {name:?}; allowed: {NAMES}")]
    Name {
        /// The name.
        name: String,
    },
    /// There is one of that name which is another.
    #[error("there is a profile {name} already, with other channels or another interval; give yours another name")]
    Taken {
        /// The name.
        name: String,
    },
    /// There are as many kinds as a node may have.
    #[error("there are {MOST_KINDS} profiles already, and a node has no more")]
    Full,
    /// The model is not for this profile, or damaged.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The files of a model that is added with a kind.
#[derive(Debug, Clone, Copy)]
pub enum ModelFiles<'a> {
    /// In this folder.
    Folder(&'a Path),
    /// As they were sent.
    Bytes {
        /// `manifest.json`.
        manifest: &'a [u8],
        /// `model.safetensors`.
        weights: &'a [u8],
    },
}

impl ModelFiles<'_> {
    /// The model, if it is whole, unchanged and made for `profile`.
    fn load(self, profile: &Profile) -> Result<Model, ModelError> {
        match self {
            Self::Folder(dir) => Model::load(dir, profile),
            Self::Bytes { manifest, weights } => Model::from_bytes(Path::new("model"), manifest, weights, profile),
        }
    }
}

/// The kinds that were added to one data folder.
#[derive(Debug, Clone)]
pub struct AddedKinds(PathBuf);

impl AddedKinds {
    /// Those of this data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join(PROFILES))
    }

    /// Reads all of them, by name. One that cannot be read is an error: its pumps cannot be watched without it.
    pub fn load(&self) -> Result<Vec<KindParts>, KindError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(KindError::File { path: self.0.clone(), source }),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| KindError::File { path: self.0.clone(), source })?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                files.push(path);
            }
        }
        files.sort();
        files.iter().map(|file| read(file)).collect()
    }

    /// Adds a kind: checks it whole, writes it, and returns it as it is read from now on. `origin` names the text in errors;
    /// the `known` kinds are there already.
    pub fn add(
        &self,
        text: &str,
        origin: &str,
        model: Option<ModelFiles<'_>>,
        known: &[KindParts],
    ) -> Result<KindParts, KindError> {
        let profile =
            Profile::from_toml(text).map_err(|source| KindError::Profile { file: origin.to_owned(), source })?;
        let name = profile.name().to_owned();
        if !is_file_name(&name) {
            return Err(KindError::Name { name });
        }
        let same = known.iter().find(|kind| kind.profile.name() == name);
        if same.is_some_and(|kind| kind.profile.hash() != profile.hash()) {
            return Err(KindError::Taken { name });
        }
        if same.is_none() && known.len() >= MOST_KINDS {
            return Err(KindError::Full);
        }
        let model = model.map(|files| files.load(&profile)).transpose()?;
        create_folder(&self.0).map_err(|source| KindError::File { path: self.0.clone(), source })?;
        if let Some(model) = &model {
            model.save(&self.0.join(&name))?;
        }
        let file = self.0.join(format!("{name}.toml"));
        write_file(&file, text.as_bytes()).map_err(|source| KindError::File { path: file.clone(), source })?;
        // As it will be read after a restart.
        read(&file)
    }
}

fn read(file: &Path) -> Result<KindParts, KindError> {
    let text = fs::read_to_string(file).map_err(|source| KindError::File { path: file.to_owned(), source })?;
    let profile =
        Profile::from_toml(&text).map_err(|source| KindError::Profile { file: file.display().to_string(), source })?;
    let folder = file.with_extension("");
    let model = if folder.is_dir() { Some(Model::load(&folder, &profile)?) } else { None };
    Ok(KindParts { profile, model })
}

fn is_file_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
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
    fn a_kind_is_there_after_a_restart_and_its_model_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let (kinds, models) = (AddedKinds::of(dir.path()), tempfile::tempdir().expect("a folder"));
        assert_eq!(kinds.load().expect("none").len(), 0);
        kinds.add(SMALL, "small.toml", None, &[]).expect("it is one");
        let profile = profiles::load("centrifugal").expect("built in");
        pretrained::load(&profile).expect("whole").save(models.path()).expect("written");
        let added = kinds
            .add(profiles::CENTRIFUGAL, "centrifugal", Some(ModelFiles::Folder(models.path())), &[])
            .expect("it is one");
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
    fn what_is_no_kind_is_refused_and_nothing_of_it_is_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let (kinds, models) = (AddedKinds::of(dir.path()), tempfile::tempdir().expect("a folder"));
        let profile = profiles::load("centrifugal").expect("built in");
        pretrained::load(&profile).expect("whole").save(models.path()).expect("written");
        let other = KindParts { profile: Profile::from_toml(SMALL).expect("valid"), model: None };
        let faster = SMALL.replace("300000", "1000");
        let climbing = SMALL.replace("\"small\"", "\"../small\"");
        for (text, model, said) in [
            ("name = 3", None, "the profile mine"),
            (climbing.as_str(), None, "allowed: 1 to 64"),
            (faster.as_str(), None, "there is a profile small already"),
            (SMALL, Some(models.path()), "profile"),
            (SMALL, Some(dir.path()), "model"),
        ] {
            let model = model.map(ModelFiles::Folder);
            let Err(error) = kinds.add(text, "mine", model, std::slice::from_ref(&other)) else { panic!("{text}") };
            assert!(error.to_string().contains(said), "{error}");
            assert!(!dir.path().join(PROFILES).exists(), "{said}");
        }
    }

    #[test]
    fn a_node_has_so_many_kinds_and_no_more() {
        let dir = tempfile::tempdir().expect("a folder");
        let named = |n: usize| SMALL.replace("\"small\"", &format!("\"small-{n}\""));
        let kind = |n| KindParts { profile: Profile::from_toml(&named(n)).expect("valid"), model: None };
        let known: Vec<KindParts> = (0..MOST_KINDS).map(kind).collect();
        let kinds = AddedKinds::of(dir.path());
        assert!(matches!(kinds.add(&named(MOST_KINDS), "mine", None, &known), Err(KindError::Full)));
        assert!(!dir.path().join(PROFILES).exists());
        kinds.add(&named(7), "mine", None, &known).expect("one that is there may be added again");
        kinds.add(&named(MOST_KINDS), "mine", None, &known[1..]).expect("there is room for one");
    }
}
