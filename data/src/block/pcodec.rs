//! One column by Pcodec, in its wrapped format: what a column needs and nothing around it.
//!
//! Pcodec learns a column's distribution, and finds numbers that are multiples of a step of the sensor's converter. It
//! describes both before the numbers, which pays for long columns, and for short ones of such a converter.

use pco::{
    ChunkConfig,
    data_types::Number,
    wrapped::{FileCompressor, FileDecompressor},
};

use super::BlockError;

/// Shorter columns are not tried: the description alone is longer than what it saves.
const SHORTEST: usize = 24;
/// Pcodec's header for a file, which says its format: the same in every block, so it is in none.
const HEADER: [u8; 2] = [4, 1];

/// The column, if it is long enough and Pcodec can pack it.
pub(super) fn packed<T: Number>(column: &[T]) -> Option<Vec<u8>> {
    if column.len() < SHORTEST {
        return None;
    }
    let file = FileCompressor::default();
    let header = file.write_header(Vec::new()).ok()?;
    let mut chunk = file.chunk_compressor(column, &ChunkConfig::default()).ok()?;
    if header != HEADER || chunk.n_per_page().len() != 1 {
        return None;
    }
    let bytes = chunk.write_meta(Vec::new()).ok()?;
    chunk.write_page(0, bytes).ok()
}

/// The `count` numbers of which `bytes` is the packed column; room is made for no more.
pub(super) fn unpacked<T: Number>(bytes: &[u8], count: usize) -> Result<Vec<T>, BlockError> {
    let unreadable = |_| BlockError::Malformed("a column that Pcodec cannot read");
    let (file, _) = FileDecompressor::new(HEADER.as_slice()).map_err(unreadable)?;
    let (mut chunk, rest) = file.chunk_decompressor::<T, _>(bytes).map_err(unreadable)?;
    let mut page = chunk.page_decompressor(rest, count).map_err(unreadable)?;
    let mut column = vec![T::default(); count];
    let progress = page.read(&mut column).map_err(unreadable)?;
    let whole = progress.finished && progress.n_processed == count && page.into_src().is_empty();
    if whole { Ok(column) } else { Err(BlockError::Malformed("a column that Pcodec cannot read")) }
}
