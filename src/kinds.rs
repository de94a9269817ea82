//! Kinds of pumps that were added to a data directory, in addition to the configured one. A kind is a profile and,
//! optionally, a model.
//!
//! ```text
//! DATA/profiles/skab.toml    the profile, as it was given
//! DATA/profiles/skab/        its model, if there is one: manifest.json and model.safetensors
//! ```
//!
//! A kind is checked completely before anything is written. The model is written first, and the profile's file is
//! renamed into place last, so a crash leaves the complete kind or none. Files of a model that a crash leaves without a
//! profile or without a manifest are ignored. A removal deletes the profile's file first. The same kind may be added
//! again, with another model.
//!
//! A profile that cannot be read becomes a damaged kind, with the channels that its pumps are registered with; the
//! other profiles are loaded nevertheless. Adding the profile again repairs it. Does not know the kind of each pump,
//! which is in the pump's registration.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use volute_actors::KindParts;
use volute_anomaly::{MANIFEST, Model, ModelError, WEIGHTS};
use volute_data::{PROFILES_FOLDER, PumpRecord, create_folder, write_file};
use volute_plant::{Profile, ProfileError};

/// The maximum length of a profile's name, in bytes. The name is also a file name.
const MAX_NAME_LEN: usize = 64;
/// The maximum size of each file of a model. The network with the most channels and units has 3 MB.
const MAX_MODEL_FILE_BYTES: u64 = 64 << 20;
/// The maximum size of a profile's file. A profile with 64 channels and as many rules has about 20 kB.
const MAX_PROFILE_BYTES: u64 = 1 << 20;
/// The maximum length of the reason why a profile cannot be read, in characters.
const MAX_REASON_CHARS: usize = 300;
/// The maximum number of kinds of one node. Each needs memory and disk space.
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
    /// The profile is damaged, and its pumps are registered with other channels than the new text has.
    #[error(
        "the pumps of the profile {name} have the channels {stored}, and this text has {given}; add the profile as it was"
    )]
    OtherChannels {
        /// The name.
        name: String,
        /// The channels of its pumps.
        stored: String,
        /// The channels of the text.
        given: String,
    },
    /// The file's name is not that of the profile in it.
    #[error("it holds the profile {found:?}, whose file is {found}.toml")]
    NameMismatch {
        /// The profile's name.
        found: String,
    },
    /// It is the profile of the node's configuration.
    #[error("{name} is the profile of the node's configuration (model.profile and model.dir); change it there")]
    IsDefaultKind {
        /// The name.
        name: String,
    },
    /// The file of a model is not a regular file, or too large.
    #[error("{} is not a file of at most {MAX_MODEL_FILE_BYTES} bytes", path.display())]
    NotAModelFile {
        /// The file.
        path: PathBuf,
    },
    /// The profile's file is not a regular file, or too large.
    #[error("{} is not a file of at most {MAX_PROFILE_BYTES} bytes", path.display())]
    NotAProfileFile {
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
    /// The thread that worked on the files failed.
    #[error("the profile's files were not changed completely: {0}")]
    Aborted(String),
}

/// The files of a model that is added with a kind.
#[derive(Debug, Clone)]
pub enum ModelFiles {
    /// In this folder.
    Folder(PathBuf),
    /// These contents.
    Bytes {
        /// `manifest.json`.
        manifest: Vec<u8>,
        /// `model.safetensors`.
        weights: Vec<u8>,
    },
}

impl ModelFiles {
    /// Loads the model. Returns an error if it is damaged or not for `profile`.
    fn load(&self, profile: &Profile) -> Result<Model, KindError> {
        match self {
            Self::Folder(dir) => {
                // A pipe might never end, and a huge file would fill the memory.
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
pub struct KindFiles(PathBuf);

impl KindFiles {
    /// Returns the added kinds of this data directory. Reads nothing.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join(PROFILES_FOLDER))
    }

    /// Loads all kinds, sorted by name. A model that cannot be loaded is left out, and an error is logged. The readings
    /// of its pumps are stored, and their limits are evaluated without it. A profile that cannot be loaded becomes a
    /// damaged kind, with the channels of a pump in `pumps` that has this profile. Returns an error if the folder
    /// cannot be read.
    pub fn load(&self, pumps: &[PumpRecord]) -> Result<Vec<KindParts>, KindError> {
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
        Ok(files.iter().map(|file| load_kind(file, pumps)).collect())
    }

    /// Loads the model that was added for this profile. If the model cannot be loaded, returns none and logs an error.
    pub fn model_of(&self, profile: &Profile) -> Option<Model> {
        usable_model(&self.profile_file(profile.name()), profile)
    }

    fn profile_file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.toml"))
    }

    /// Adds a kind: checks it, writes it, and returns it as read back from the disk. `origin` names the text in errors.
    /// `known` are the existing kinds. `configured` is the name of the profile in the node's configuration.
    pub fn add(
        &self,
        text: &str,
        origin: &str,
        model: Option<&ModelFiles>,
        known: &[KindParts],
        configured: &str,
    ) -> Result<KindParts, KindError> {
        let profile = volute_alarm::load_profile(text)
            .map_err(|source| KindError::Profile { file: origin.to_owned(), source })?;
        let name = profile.name().to_owned();
        if !is_file_name(&name) {
            return Err(KindError::Name { name });
        }
        if name == configured {
            return Err(KindError::IsDefaultKind { name });
        }
        // Names that differ only in case would have the same file on a file system that ignores case.
        let namesake = known.iter().find(|kind| kind.profile.name().eq_ignore_ascii_case(&name));
        if let Some(other) = namesake {
            check_replacement(other, &profile)?;
        }
        if namesake.is_none() && known.len() >= MAX_KINDS {
            return Err(KindError::TooManyKinds);
        }
        let model = model.map(|files| files.load(&profile)).transpose()?;
        create_folder(&self.0).map_err(|source| KindError::File { path: self.0.clone(), source })?;
        let folder = self.0.join(&name);
        match &model {
            Some(model) => model.save(&folder)?,
            // Delete what an interrupted addition or removal has left.
            None if namesake.is_none() => delete_folder(&folder)?,
            None => {}
        }
        let file = self.profile_file(&name);
        write_file(&file, text.as_bytes()).map_err(|source| KindError::File { path: file.clone(), source })?;
        // Read the files again, as after a restart.
        let profile = read_profile(&file)?;
        let model = if model.is_some() { read_model(&file, &profile)? } else { usable_model(&file, &profile) };
        Ok(KindParts::new(profile, model))
    }

    /// Deletes the files of a kind. The kind counts as removed once its profile's file is deleted. Files of its model
    /// that a crash leaves are deleted when the name is used again.
    pub fn remove(&self, name: &str) -> Result<(), KindError> {
        // A damaged file that was put here by hand may have any name.
        if Path::new(name).file_name() != Some(OsStr::new(name)) {
            return Err(KindError::Name { name: name.to_owned() });
        }
        let file = self.profile_file(name);
        let file_error = |source| KindError::File { path: file.clone(), source };
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(error)),
            _ => {}
        }
        fs::File::open(&self.0).and_then(|folder| folder.sync_all()).map_err(file_error)?;
        if let Err(error) = delete_folder(&self.0.join(name)) {
            tracing::warn!(profile = name, %error, "the model of a removed profile is not deleted");
        }
        Ok(())
    }
}

/// Returns an error unless `profile` may replace an existing kind. Their names differ at most in the case of their
/// letters.
fn check_replacement(existing: &KindParts, profile: &Profile) -> Result<(), KindError> {
    let name = existing.profile.name().to_owned();
    if existing.damage.is_none() || name != profile.name() {
        return if existing.profile.is_same(profile) { Ok(()) } else { Err(KindError::NameTaken { name }) };
    }
    // Of a damaged profile only the channels of its pumps are known. The stored readings must keep their meaning, so
    // these channels must stay the same.
    let of = |profile: &Profile| profile.channel_names().map(str::to_owned).collect::<Vec<_>>();
    let (stored, given) = (of(&existing.profile), of(profile));
    if stored.is_empty() || stored == given {
        return Ok(());
    }
    Err(KindError::OtherChannels { name, stored: stored.join(", "), given: given.join(", ") })
}

/// Loads the kind of this file. If its profile cannot be read, returns a damaged kind with the channels of its pumps.
fn load_kind(file: &Path, pumps: &[PumpRecord]) -> KindParts {
    match read_profile(file) {
        Ok(profile) => {
            let model = usable_model(file, &profile);
            KindParts::new(profile, model)
        }
        Err(error) => {
            let name = name_of(file);
            let channels = pumps.iter().find(|pump| pump.profile == name).map(|pump| pump.channels.as_slice());
            KindParts::damaged(&name, channels.unwrap_or_default(), &reason(file, &error))
        }
    }
}

/// Returns the name of the profile that a file with this name must hold.
fn name_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns why a profile cannot be read, in one line.
fn reason(file: &Path, error: &KindError) -> String {
    let what = match error {
        KindError::Profile { source: ProfileError::Toml(error), .. } => format!("not a profile: {}", error.message()),
        KindError::Profile { source, .. } => source.to_string(),
        KindError::File { source, .. } => source.to_string(),
        KindError::NotAProfileFile { .. } => format!("not a file of at most {MAX_PROFILE_BYTES} bytes"),
        other => other.to_string(),
    };
    let words: Vec<&str> = what.split_whitespace().collect();
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    format!("{PROFILES_FOLDER}/{file}: {}", words.join(" ")).chars().take(MAX_REASON_CHARS).collect()
}

fn read_profile(file: &Path) -> Result<Profile, KindError> {
    let file_error = |source| KindError::File { path: file.to_owned(), source };
    // A pipe might never end, and a huge file would fill the memory.
    let metadata = fs::metadata(file).map_err(file_error)?;
    if !metadata.is_file() || metadata.len() > MAX_PROFILE_BYTES {
        return Err(KindError::NotAProfileFile { path: file.to_owned() });
    }
    let text = fs::read_to_string(file).map_err(file_error)?;
    let profile = volute_alarm::load_profile(&text)
        .map_err(|source| KindError::Profile { file: file.display().to_string(), source })?;
    if profile.name() != name_of(file) {
        return Err(KindError::NameMismatch { found: profile.name().to_owned() });
    }
    Ok(profile)
}

/// Reads the model of the profile in `file`. If it cannot be loaded, returns none and logs an error.
fn usable_model(file: &Path, profile: &Profile) -> Option<Model> {
    read_model(file, profile).unwrap_or_else(|error| {
        tracing::error!(
            profile = profile.name(),
            %error,
            "the model of a profile cannot be loaded; its pumps are not scored until the profile is added again with a model"
        );
        None
    })
}

/// Deletes a folder, if there is one.
fn delete_folder(folder: &Path) -> Result<(), KindError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(KindError::File { path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Reads the model of the profile in `file`. None if there is no model, or if an interrupted save of the first model
/// left no manifest.
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
mod tests;
