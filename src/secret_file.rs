//! Reads small files that settings name: certificates, keys and secrets.
//!
//! A certificate is read again while the node runs, so a read must end: a pipe or a device under its name would block the
//! thread, and then the node's stop. Only regular files of at most 1 MiB are read; a link to one is one. Does not check who
//! else may read the file.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

const MAX_BYTES: u64 = 1 << 20;

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
