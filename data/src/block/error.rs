//! What can be wrong with a block's bytes.

/// The bytes are no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The checksum does not fit: something changed the bytes, or took some away.
    #[error("the block is damaged: its checksum does not fit")]
    Damaged,
    /// Whole, but of another kind or of a version that this program does not know.
    #[error("the block begins with the byte {found}; expected is {expected}")]
    Format {
        /// The block's first byte.
        found: u8,
        /// What it should be.
        expected: u8,
    },
    /// Whole, but not written by this program.
    #[error("the block is whole but makes no sense: {0}")]
    Nonsense(&'static str),
}
