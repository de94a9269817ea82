//! Readings as a block: times, delays, flags, and then one column for each channel.
//!
//! Deliberately absent: whose readings they are, which the block's key says.

use volute_plant::{PumpId, Reading, Sample};

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
    flags,
    frame::{Kind, open, seal},
    integers, numbers,
    table::{self, Widths},
};

const GOOD: u8 = 0;
const BAD: u8 = 1;
const FILLED: u8 = 2;
const MISSING: u8 = 3;

/// The block of these readings, all of one pump. Smallest where they are in order and have the same channels.
///
/// At most [`MAX_ROWS`](super::frame::MAX_ROWS) readings and [`MAX_CELLS`](super::frame::MAX_CELLS) samples: more is not read back.
pub(crate) fn encode_readings(readings: &[Reading]) -> Vec<u8> {
    seal(Kind::Readings, |bits| write(readings, bits))
}

/// The readings of a block of this pump, exactly as they were.
pub(crate) fn decode_readings(pump: &PumpId, bytes: &[u8]) -> Result<Vec<Reading>, BlockError> {
    open(Kind::Readings, bytes, |bits| read(pump, bits))
}

fn write(readings: &[Reading], bits: &mut BitWriter) {
    table::write_rows(readings.len(), bits);
    if readings.is_empty() {
        return;
    }
    table::write_times(&readings.iter().map(|reading| reading.at).collect::<Vec<_>>(), bits);
    integers::write(&readings.iter().map(|reading| reading.received.since_ms(reading.at)).collect::<Vec<_>>(), bits);
    let widths = Widths::write(readings.iter().map(|reading| reading.samples.len()), bits);
    let plain = |reading: &Reading| !reading.late && reading.samples.iter().all(|&sample| flag(sample) == GOOD);
    let flagged = !readings.iter().all(plain);
    bits.bit(flagged);
    if flagged {
        flags::write(&readings.iter().map(|reading| u8::from(reading.late)).collect::<Vec<_>>(), bits);
    }
    for channel in 0..widths.widest() {
        let samples: Vec<Sample> = widths.rows_with(channel).map(|row| readings[row].samples[channel]).collect();
        if flagged {
            flags::write(&samples.iter().map(|&sample| flag(sample)).collect::<Vec<_>>(), bits);
        }
        numbers::write(&samples.iter().filter_map(|sample| sample.value()).collect::<Vec<_>>(), bits);
    }
}

fn read(pump: &PumpId, bits: &mut BitReader<'_>) -> Result<Vec<Reading>, BlockError> {
    let rows = table::read_rows(bits)?;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let times = table::read_times(rows, bits)?;
    let delays = integers::read(rows, bits)?;
    let widths = Widths::read(rows, bits)?;
    let flagged = bits.bit()?;
    let late = if flagged { flags::read(rows, bits)? } else { vec![0; rows] };
    let mut samples = widths.empty_rows();
    for channel in 0..widths.widest() {
        let rows: Vec<usize> = widths.rows_with(channel).collect();
        let flags = if flagged { flags::read(rows.len(), bits)? } else { vec![GOOD; rows.len()] };
        let valued = flags.iter().filter(|&&flag| flag == GOOD || flag == BAD).count();
        let mut values = numbers::read(valued, bits)?.into_iter();
        for (&row, &flag) in rows.iter().zip(&flags) {
            samples[row].push(sample(flag, &mut values)?);
        }
    }
    let mut readings = Vec::with_capacity(rows);
    for (row, samples) in samples.into_iter().enumerate() {
        let late = match late[row] {
            0 => false,
            1 => true,
            _ => return Err(BlockError::Nonsense("an unknown flag")),
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
    let mut value = || values.next().ok_or(BlockError::Nonsense("a value is missing"));
    Ok(match flag {
        GOOD => Sample::Good(value()?),
        BAD => Sample::Bad(value()?),
        FILLED => Sample::Filled,
        _ => Sample::Missing,
    })
}
