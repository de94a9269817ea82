//! Reads small files that settings name: certificates, keys and secrets.
//!
//! A certificate is read again while the node runs, so a read must end: a pipe or a device under its name would block the
//! thread, and then the node's stop. Only regular files of at most 1 MiB are read; a link to one is one. A secret's file must
//! be closed to others; the file of a key is not checked, see `commands/serve/tls.rs`.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

const MAX_BYTES: u64 = 1 << 20;
/// The permission of a file that lets users read it who are neither its owner nor of its group.
const OTHERS: u32 = 0o007;

/// Where a secret may be.
pub(crate) struct SecretPlace<'a> {
    /// The setting that names the file.
    pub key: &'a str,
    /// The file.
    pub file: Option<&'a Path>,
    /// The environment variable that may have the secret in place of the file. It is no key of the configuration, which is
    /// shown.
    pub variable: &'a str,
}

/// Reads a secret from its file, or takes `of_variable`, the value of its variable. None if neither has one. Fails if both
/// have one, or if the file is open to others, cannot be read or is empty (`new` returns none).
pub(crate) fn read_secret<S>(
    SecretPlace { key, file, variable }: SecretPlace<'_>,
    of_variable: Option<String>,
    new: impl Fn(&str) -> Option<S>,
) -> Result<Option<S>> {
    let Some(file) = file else { return Ok(of_variable.as_deref().and_then(new)) };
    let name = || named(key, file);
    if of_variable.is_some() {
        bail!("{} and the variable {variable} both have the secret; allowed: one of them", name());
    }
    let mode = std::fs::metadata(file).with_context(name)?.mode();
    if mode & OTHERS != 0 {
        bail!("{}: everybody on this machine may use it (mode {:o}); allowed: chmod 600", name(), mode & 0o777);
    }
    let text = String::from_utf8(read(file).with_context(name)?).with_context(name)?;
    new(&text).map(Some).with_context(|| format!("{} is empty", name()))
}

/// Reads the certificates of the authorities that a setting names, if it names a file.
pub(crate) fn read_authorities(key: &str, file: Option<&Path>) -> Result<Option<Vec<u8>>> {
    file.map(|file| read(file).with_context(|| named(key, file))).transpose()
}

/// Names a file with its setting, for errors.
pub(crate) fn named(key: &str, file: &Path) -> String {
    format!("{key} = {}", file.display())
}

/// Reads a file. Fails without waiting if it is no regular file, or larger than 1 MiB.
pub(crate) fn read(file: &Path) -> io::Result<Vec<u8>> {
    // The open of a pipe would wait for its other end.
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(no_wait).open(file)?;
    if !opened.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file"));
    }
    let mut content = Vec::new();
    opened.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    match content.len() as u64 > MAX_BYTES {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB")),
        false => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn only_small_regular_files_are_read_and_a_pipe_blocks_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("pem"), "text").expect("written");
        symlink(path("pem"), path("link")).expect("a link");
        assert_eq!(read(&path("link")).expect("read"), b"text");
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
        fs::write(path("large"), vec![b'x'; MAX_BYTES as usize + 1]).expect("written");
        for (name, kind) in [
            ("pipe", io::ErrorKind::InvalidInput),
            (".", io::ErrorKind::InvalidInput),
            ("large", io::ErrorKind::FileTooLarge),
            ("absent", io::ErrorKind::NotFound),
        ] {
            assert_eq!(read(&path(name)).expect_err(name).kind(), kind, "{name}");
        }
    }
}
