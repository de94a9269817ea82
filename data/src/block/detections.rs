//! Blocks of detections: times, losses, thresholds, verdicts, each channel's shares, and the names of models once each.

use std::sync::Arc;

use volute_plant::{Detection, PumpId};

use super::{
    BlockError, MOST_CELLS, MOST_CHANNELS, MOST_ROWS,
    bits::{BitReader, BitWriter},
    frame::{Kind, open, seal},
    numbers::{put_numbers, take_numbers},
    readings::{put_times, take_times},
    runs::{put_runs, take_runs},
};

/// Packs detections of one pump, in their order; whose they are is not in the block.
///
/// Losses and shares are what a model computed, in full precision, so most of their bits are noise that no packing
/// shortens: about 80 bytes a detection of ten channels. The limits are those of readings.
pub(crate) fn encode_detections(detections: &[Detection]) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.gamma(detections.len() as u64);
    put_times(&mut bits, detections.iter().map(|detection| detection.at));
    put_models(&mut bits, detections);
    let verdicts: Vec<u64> = detections.iter().map(|detection| u64::from(detection.is_anomaly)).collect();
    put_runs(&mut bits, &verdicts);
    let losses: Vec<f64> = detections.iter().map(|detection| detection.loss).collect();
    put_numbers(&mut bits, &losses);
    let thresholds: Vec<f64> = detections.iter().map(|detection| detection.threshold).collect();
    put_numbers(&mut bits, &thresholds);

    let widths: Vec<u64> = detections.iter().map(|detection| detection.contributions.len() as u64).collect();
    put_runs(&mut bits, &widths);
    for channel in 0..widths.iter().max().copied().unwrap_or(0) as usize {
        let share = |detection: &Detection| detection.contributions.get(channel).copied();
        let shares: Vec<f64> = detections.iter().filter_map(share).collect();
        put_numbers(&mut bits, &shares);
    }
    seal(Kind::Detections, bits)
}

/// Unpacks what [`encode_detections`] packed, as detections for `pump`.
pub(crate) fn decode_detections(pump: &PumpId, block: &[u8]) -> Result<Vec<Detection>, BlockError> {
    let mut bits = open(Kind::Detections, block)?;
    let count = bits.count(MOST_ROWS)?;
    let times = take_times(&mut bits, count)?;
    let models = take_models(&mut bits, count)?;
    let verdicts = take_runs(&mut bits, count, 1)?;
    let losses = take_numbers(&mut bits, count)?;
    let thresholds = take_numbers(&mut bits, count)?;
    let contributions = take_contributions(&mut bits, count)?;
    bits.end()?;

    let mut detections = Vec::with_capacity(count);
    for (index, (at, contributions)) in times.into_iter().zip(contributions).enumerate() {
        detections.push(Detection {
            pump: pump.clone(),
            at,
            loss: losses[index],
            threshold: thresholds[index],
            is_anomaly: verdicts[index] == 1,
            contributions: contributions.into(),
            model: Arc::clone(&models[index]),
        });
    }
    Ok(detections)
}

/// Writes each name once, in the order in which they come, and then which of them each detection has.
fn put_models(bits: &mut BitWriter, detections: &[Detection]) {
    let mut names: Vec<&str> = Vec::new();
    let mut indices = Vec::with_capacity(detections.len());
    for detection in detections {
        let known = names.iter().position(|name| **name == *detection.model);
        indices.push(known.unwrap_or(names.len()) as u64);
        if known.is_none() {
            names.push(&detection.model);
        }
    }
    bits.gamma(names.len() as u64);
    for name in names {
        bits.bytes(name.as_bytes());
    }
    put_runs(bits, &indices);
}

fn take_models(bits: &mut BitReader<'_>, count: usize) -> Result<Vec<Arc<str>>, BlockError> {
    let names = bits.count(count)?;
    let mut models: Vec<Arc<str>> = Vec::new();
    for _ in 0..names {
        let name = str::from_utf8(bits.bytes()?).map_err(|_| BlockError::Malformed("a model's name is no text"))?;
        models.push(name.into());
    }
    let most = (models.len() as u64).saturating_sub(1);
    let model = |index: u64| models.get(index as usize).cloned().ok_or(BlockError::Malformed("a model without name"));
    take_runs(bits, count, most)?.into_iter().map(model).collect()
}

/// The shares of each row.
fn take_contributions(bits: &mut BitReader<'_>, count: usize) -> Result<Vec<Vec<f64>>, BlockError> {
    let widths = take_runs(bits, count, MOST_CHANNELS as u64)?;
    if widths.iter().sum::<u64>() > MOST_CELLS as u64 {
        return Err(BlockError::Malformed("more numbers than a block can have"));
    }
    let mut rows: Vec<Vec<f64>> = widths.iter().map(|&width| Vec::with_capacity(width as usize)).collect();
    for channel in 0..widths.iter().max().copied().unwrap_or(0) {
        let in_channel = widths.iter().filter(|&&width| width > channel).count();
        let shares = take_numbers(bits, in_channel)?;
        let wide_enough = rows.iter_mut().zip(&widths).filter(|(_, width)| **width > channel);
        for ((row, _), share) in wide_enough.zip(shares) {
            row.push(share);
        }
    }
    Ok(rows)
}
