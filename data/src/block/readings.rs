//! The block of readings: times, delays until they were received, flags, and then one column for each channel.
//!
//! The pump is in the block's key, not in the block.

use volute_plant::{PumpId, Reading, Sample};

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
    flags,
    frame::{BlockKind, open, seal},
    integers, numbers,
    table::{self, RowWidths},
};

const GOOD: u8 = 0;
const BAD: u8 = 1;
const FILLED: u8 = 2;
const MISSING: u8 = 3;

/// Encodes readings, all of one pump. The block is smallest if they are in order and have the same channels.
///
/// Takes at most [`MAX_ROWS`](super::frame::MAX_ROWS) readings and [`MAX_CELLS`](super::frame::MAX_CELLS) samples. A
/// block with more cannot be decoded.
pub(crate) fn encode_readings(readings: &[Reading]) -> Vec<u8> {
    seal(BlockKind::Readings, |bits| write(readings, bits))
}

/// Decodes a block of this pump's readings. They are exactly as they were encoded.
pub(crate) fn decode_readings(pump: &PumpId, bytes: &[u8]) -> Result<Vec<Reading>, BlockError> {
    open(BlockKind::Readings, bytes, |bits| read(pump, bits))
}

fn write(readings: &[Reading], bits: &mut BitWriter) {
    table::write_row_count(readings.len(), bits);
    if readings.is_empty() {
        return;
    }
    table::write_times(&readings.iter().map(|reading| reading.at).collect::<Vec<_>>(), bits);
    integers::write(&readings.iter().map(|reading| reading.received.since_ms(reading.at)).collect::<Vec<_>>(), bits);
    let widths = RowWidths::write(readings.iter().map(|reading| reading.samples.len()), bits);
    let all_good = |reading: &Reading| !reading.late && reading.samples.iter().all(|&sample| flag(sample) == GOOD);
    let has_flags = !readings.iter().all(all_good);
    bits.bit(has_flags);
    if has_flags {
        flags::write(&readings.iter().map(|reading| u8::from(reading.late)).collect::<Vec<_>>(), bits);
    }
    for channel in 0..widths.widest() {
        let samples: Vec<Sample> = widths.rows_with(channel).map(|row| readings[row].samples[channel]).collect();
        if has_flags {
            flags::write(&samples.iter().map(|&sample| flag(sample)).collect::<Vec<_>>(), bits);
        }
        numbers::write(&samples.iter().filter_map(|sample| sample.value()).collect::<Vec<_>>(), bits);
    }
}

fn read(pump: &PumpId, bits: &mut BitReader<'_>) -> Result<Vec<Reading>, BlockError> {
    let rows = table::read_row_count(bits)?;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let times = table::read_times(rows, bits)?;
    let delays = integers::read(rows, bits)?;
    let widths = RowWidths::read(rows, bits)?;
    let has_flags = bits.bit()?;
    let late = if has_flags { flags::read(rows, bits)? } else { vec![0; rows] };
    let mut samples = widths.empty_rows();
    for channel in 0..widths.widest() {
        let rows: Vec<usize> = widths.rows_with(channel).collect();
        let flags = if has_flags { flags::read(rows.len(), bits)? } else { vec![GOOD; rows.len()] };
        let value_count = flags.iter().filter(|&&flag| flag == GOOD || flag == BAD).count();
        let mut values = numbers::read(value_count, bits)?.into_iter();
        for (&row, &flag) in rows.iter().zip(&flags) {
            samples[row].push(sample(flag, &mut values)?);
        }
    }
    let mut readings = Vec::with_capacity(rows);
    for (row, samples) in samples.into_iter().enumerate() {
        let late = match late[row] {
            0 => false,
            1 => true,
            _ => return Err(BlockError::Corrupt("an unknown flag")),
        };
        let at = times[row];
        let received = table::time(at.millis().wrapping_add(delays[row]))?;
        readings.push(Reading { pump: pump.clone(), at, received, samples: samples.into(), late });
    }
    Ok(readings)
}

fn flag(sample: Sample) -> u8 {
    match sample {
        Sample::Good(_) => GOOD,
        Sample::Bad(_) => BAD,
        Sample::Filled => FILLED,
        Sample::Missing => MISSING,
    }
}

fn sample(flag: u8, values: &mut impl Iterator<Item = f64>) -> Result<Sample, BlockError> {
    let mut value = || values.next().ok_or(BlockError::Corrupt("a value is missing"));
    Ok(match flag {
        GOOD => Sample::Good(value()?),
        BAD => Sample::Bad(value()?),
        FILLED => Sample::Filled,
        _ => Sample::Missing,
    })
}
