//! Compressed blocks: what one pump sent in one minute, what the model said of it, and the rollup of its channels.
//!
//! A block is a byte for kind and version, a stream of bits, and the CRC-32C of all that, in four bytes (the lowest first).
//! The bits hold one column after another: times, delays, quality flags if anything is worth a flag, and then the values of
//! each channel. Blocks are small, some hundred bytes, so nothing in them is aligned to bytes and no column has a header of
//! more than a few bits. Everything comes back as it was, to the last bit of every number.
//!
//! A block keeps about 5 bytes of a simulated reading of ten channels at 1 Hz, times included, and 9 to 10 at one in five
//! seconds. Pcodec (the crate `pco`) came to 1.3 and 1.4 times that for the same columns, as each of its chunks begins with
//! a header that is long against 60 numbers and very long against 12.
//!
//! Reading a block never panics, and allocates no more than `MAX_ROWS` and `MAX_CELLS` allow, whatever the bytes.
//!
//! Deliberately absent: which readings make a block, where it is stored, and whose it is: the key says that, not the block.

mod aggregates;
mod bits;
mod detections;
mod error;
mod flags;
mod frame;
mod integers;
mod numbers;
mod readings;
mod table;

#[cfg(test)]
mod tests;

pub use aggregates::{Aggregate, Aggregates};
pub(crate) use aggregates::{decode_aggregates, encode_aggregates};
pub(crate) use detections::{decode_detections, encode_detections};
pub(crate) use readings::{decode_readings, encode_readings};
