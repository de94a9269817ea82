//! A recording's bytes, from a file or from memory.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// A recording's bytes.
pub(super) enum Source<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
}

impl<'a> Source<'a> {
    pub(super) fn open(&self) -> io::Result<Box<dyn Read + 'a>> {
        match self {
            Self::File(path) => Ok(Box::new(File::open(path)?)),
            Self::Bytes(bytes) => Ok(Box::new(*bytes)),
        }
    }
}
