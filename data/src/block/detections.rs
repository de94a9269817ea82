//! Detections as a block: times, verdicts, models, losses, thresholds, and then one column for each channel's share.
//!
//! Deliberately absent: whose detections they are, which the block's key says.

use std::sync::Arc;

use volute_plant::{Detection, PumpId};

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
    flags,
    frame::{Kind, MAX_ROWS, open, seal},
    integers, numbers,
    table::{self, Widths},
};

/// The longest name of a model in a block, in bytes. Names are not checked here when they are written: they are hashes.
const MAX_MODEL_BYTES: usize = 1 << 10;

/// The block of these detections, all of one pump. Smallest where they are in order and of one model.
///
/// At most [`MAX_ROWS`] detections and [`MAX_CELLS`](super::frame::MAX_CELLS) contributions: more is not read back.
pub(crate) fn encode_detections(detections: &[Detection]) -> Vec<u8> {
    seal(Kind::Detections, |bits| write(detections, bits))
}

/// The detections of a block of this pump, exactly as they were.
pub(crate) fn decode_detections(pump: &PumpId, bytes: &[u8]) -> Result<Vec<Detection>, BlockError> {
    open(Kind::Detections, bytes, |bits| read(pump, bits))
}

fn write(detections: &[Detection], bits: &mut BitWriter) {
    table::write_rows(detections.len(), bits);
    if detections.is_empty() {
        return;
    }
    table::write_times(&detections.iter().map(|detection| detection.at).collect::<Vec<_>>(), bits);
    flags::write(&detections.iter().map(|detection| u8::from(detection.is_anomaly)).collect::<Vec<_>>(), bits);
    write_models(detections, bits);
    numbers::write(&detections.iter().map(|detection| detection.loss).collect::<Vec<_>>(), bits);
    numbers::write(&detections.iter().map(|detection| detection.threshold).collect::<Vec<_>>(), bits);
    let widths = Widths::write(detections.iter().map(|detection| detection.contributions.len()), bits);
    for channel in 0..widths.widest() {
        let shares = widths.rows_with(channel).map(|row| detections[row].contributions[channel]);
        numbers::write(&shares.collect::<Vec<_>>(), bits);
    }
}

fn read(pump: &PumpId, bits: &mut BitReader<'_>) -> Result<Vec<Detection>, BlockError> {
    let rows = table::read_rows(bits)?;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let times = table::read_times(rows, bits)?;
    let verdicts = flags::read(rows, bits)?;
    let models = read_models(rows, bits)?;
    let losses = numbers::read(rows, bits)?;
    let thresholds = numbers::read(rows, bits)?;
    let widths = Widths::read(rows, bits)?;
    let mut shares = widths.empty_rows();
    for channel in 0..widths.widest() {
        let rows: Vec<usize> = widths.rows_with(channel).collect();
        for (&row, share) in rows.iter().zip(numbers::read(rows.len(), bits)?) {
            shares[row].push(share);
        }
    }
    let mut detections = Vec::with_capacity(rows);
    for ((row, shares), model) in shares.into_iter().enumerate().zip(models) {
        let is_anomaly = match verdicts[row] {
            0 => false,
            1 => true,
            _ => return Err(BlockError::Nonsense("an unknown flag")),
        };
        detections.push(Detection {
            pump: pump.clone(),
            at: times[row],
            loss: losses[row],
            threshold: thresholds[row],
            is_anomaly,
            contributions: shares.into(),
            model,
        });
    }
    Ok(detections)
}

/// Writes the names of all models once, and then which of them each detection is of.
fn write_models(detections: &[Detection], bits: &mut BitWriter) {
    let mut names: Vec<&str> = Vec::new();
    let mut which = Vec::with_capacity(detections.len());
    for detection in detections {
        let known = names.iter().position(|&name| name == &*detection.model);
        which.push(known.unwrap_or(names.len()) as i64);
        if known.is_none() {
            names.push(&detection.model);
        }
    }
    bits.number(names.len() as u64);
    for name in names {
        debug_assert!(name.len() <= MAX_MODEL_BYTES, "a longer name than is read back");
        bits.number(name.len() as u64);
        name.bytes().for_each(|byte| bits.bits(u64::from(byte), u8::BITS));
    }
    integers::write(&which, bits);
}

fn read_models(rows: usize, bits: &mut BitReader<'_>) -> Result<Vec<Arc<str>>, BlockError> {
    let count = bits.count(MAX_ROWS)?;
    let mut names: Vec<Arc<str>> = Vec::new();
    for _ in 0..count {
        let length = bits.count(MAX_MODEL_BYTES)?;
        let name = (0..length).map(|_| Ok(bits.bits(u8::BITS)? as u8)).collect::<Result<Vec<u8>, BlockError>>()?;
        let name = String::from_utf8(name).map_err(|_| BlockError::Nonsense("a model's name is no text"))?;
        names.push(name.into());
    }
    let model = |which| usize::try_from(which).ok().and_then(|which: usize| names.get(which)).cloned();
    let models = integers::read(rows, bits)?.into_iter().map(model).collect::<Option<Vec<_>>>();
    models.ok_or(BlockError::Nonsense("a model without a name"))
}
