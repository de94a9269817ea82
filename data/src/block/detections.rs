//! The block of detections: times, anomaly flags, models, losses, thresholds, and then one column for each channel's
//! contribution to the loss.
//!
//! The pump is in the block's key, not in the block.

use std::sync::Arc;

use volute_plant::{Detection, PumpId};

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
    flags,
    frame::{BlockKind, MAX_ROWS, open, seal},
    integers, numbers,
    table::{self, RowWidths},
};

/// The maximum length of a model's name, in bytes. The writer does not check it: names are hashes.
const MAX_MODEL_BYTES: usize = 1 << 10;

/// Encodes detections, all of one pump. The block is smallest if they are in order and of one model.
///
/// Takes at most [`MAX_ROWS`] detections and [`MAX_CELLS`](super::frame::MAX_CELLS) contributions. A block with more
/// cannot be decoded.
pub(crate) fn encode_detections(detections: &[Detection]) -> Vec<u8> {
    seal(BlockKind::Detections, |bits| write(detections, bits))
}

/// Decodes a block of this pump's detections. They are exactly as they were encoded.
pub(crate) fn decode_detections(pump: &PumpId, bytes: &[u8]) -> Result<Vec<Detection>, BlockError> {
    open(BlockKind::Detections, bytes, |bits| read(pump, bits))
}

fn write(detections: &[Detection], bits: &mut BitWriter) {
    table::write_row_count(detections.len(), bits);
    if detections.is_empty() {
        return;
    }
    table::write_times(&detections.iter().map(|detection| detection.at).collect::<Vec<_>>(), bits);
    flags::write(&detections.iter().map(|detection| u8::from(detection.is_anomaly)).collect::<Vec<_>>(), bits);
    write_models(detections, bits);
    numbers::write(&detections.iter().map(|detection| detection.loss).collect::<Vec<_>>(), bits);
    numbers::write(&detections.iter().map(|detection| detection.threshold).collect::<Vec<_>>(), bits);
    let widths = RowWidths::write(detections.iter().map(|detection| detection.contributions.len()), bits);
    for channel in 0..widths.widest() {
        let contributions = widths.rows_with(channel).map(|row| detections[row].contributions[channel]);
        numbers::write(&contributions.collect::<Vec<_>>(), bits);
    }
}

fn read(pump: &PumpId, bits: &mut BitReader<'_>) -> Result<Vec<Detection>, BlockError> {
    let rows = table::read_row_count(bits)?;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let times = table::read_times(rows, bits)?;
    let anomaly_flags = flags::read(rows, bits)?;
    let models = read_models(rows, bits)?;
    let losses = numbers::read(rows, bits)?;
    let thresholds = numbers::read(rows, bits)?;
    let widths = RowWidths::read(rows, bits)?;
    let mut contributions = widths.empty_rows();
    for channel in 0..widths.widest() {
        let rows: Vec<usize> = widths.rows_with(channel).collect();
        for (&row, contribution) in rows.iter().zip(numbers::read(rows.len(), bits)?) {
            contributions[row].push(contribution);
        }
    }
    let mut detections = Vec::with_capacity(rows);
    for ((row, contributions), model) in contributions.into_iter().enumerate().zip(models) {
        let is_anomaly = match anomaly_flags[row] {
            0 => false,
            1 => true,
            _ => return Err(BlockError::Corrupt("an unknown flag")),
        };
        detections.push(Detection {
            pump: pump.clone(),
            at: times[row],
            loss: losses[row],
            threshold: thresholds[row],
            is_anomaly,
            contributions: contributions.into(),
            model,
        });
    }
    Ok(detections)
}

/// Writes the name of each model once, and then the index of each detection's model.
fn write_models(detections: &[Detection], bits: &mut BitWriter) {
    let mut names: Vec<&str> = Vec::new();
    let mut indices = Vec::with_capacity(detections.len());
    for detection in detections {
        let index = names.iter().position(|&name| name == &*detection.model);
        indices.push(index.unwrap_or(names.len()) as i64);
        if index.is_none() {
            names.push(&detection.model);
        }
    }
    bits.number(names.len() as u64);
    for name in names {
        debug_assert!(name.len() <= MAX_MODEL_BYTES, "a longer name than is read back");
        bits.number(name.len() as u64);
        name.bytes().for_each(|byte| bits.bits(u64::from(byte), u8::BITS));
    }
    integers::write(&indices, bits);
}

fn read_models(rows: usize, bits: &mut BitReader<'_>) -> Result<Vec<Arc<str>>, BlockError> {
    let count = bits.count(MAX_ROWS)?;
    let mut names: Vec<Arc<str>> = Vec::new();
    for _ in 0..count {
        let length = bits.count(MAX_MODEL_BYTES)?;
        let name = (0..length).map(|_| Ok(bits.bits(u8::BITS)? as u8)).collect::<Result<Vec<u8>, BlockError>>()?;
        let name = String::from_utf8(name).map_err(|_| BlockError::Corrupt("a model's name is not UTF-8"))?;
        names.push(name.into());
    }
    let model = |index| usize::try_from(index).ok().and_then(|index: usize| names.get(index)).cloned();
    let models = integers::read(rows, bits)?.into_iter().map(model).collect::<Option<Vec<_>>>();
    models.ok_or(BlockError::Corrupt("a model without a name"))
}
