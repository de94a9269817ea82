//! The errors of reading a block.

/// Why bytes cannot be read as a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The checksum does not match: bytes were changed or are missing.
    #[error("the block is damaged: its checksum does not match")]
    ChecksumMismatch,
    /// The checksum matches, but the block is of another kind, or of a version that this program does not know.
    #[error("the block begins with the byte {found}; expected: {expected}")]
    Format {
        /// The block's first byte.
        found: u8,
        /// The expected first byte.
        expected: u8,
    },
    /// The checksum matches, but the content is invalid: this program did not write it.
    #[error("the block's checksum matches, but its content is invalid: {0}")]
    Corrupt(&'static str),
}
