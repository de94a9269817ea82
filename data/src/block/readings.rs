//! Blocks of readings: times, lateness, kinds of samples, and a column of numbers per channel.

use volute_plant::{PumpId, Reading, Sample, Timestamp};

use super::{
    BlockError, MOST_CELLS, MOST_CHANNELS, MOST_ROWS,
    bits::{BitReader, BitWriter, unzigzag, zigzag},
    frame::{Kind, open, seal},
    integers::{put_integers, take_integers},
    numbers::{put_numbers, take_numbers},
    runs::{put_runs, take_runs},
};

/// Packs readings of one pump, in their order; whose they are is not in the block.
///
/// For ten channels in whole steps of their resolution about six bytes a reading at 60 readings, ten at 12. More than
/// [`MOST_ROWS`] readings, [`MOST_CHANNELS`] channels or [`MOST_CELLS`] samples make a block that is refused when read.
pub(crate) fn encode_readings(readings: &[Reading]) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.gamma(readings.len() as u64);
    put_times(&mut bits, readings.iter().map(|reading| reading.at));
    let delays: Vec<i64> = readings.iter().map(|reading| reading.received.since_ms(reading.at)).collect();
    put_integers(&mut bits, &delays);
    let late: Vec<u64> = readings.iter().map(|reading| u64::from(reading.late)).collect();
    put_runs(&mut bits, &late);

    let widths: Vec<u64> = readings.iter().map(|reading| reading.samples.len() as u64).collect();
    put_runs(&mut bits, &widths);
    let channels = widths.iter().max().copied().unwrap_or(0) as usize;
    let column = |channel: usize| readings.iter().filter_map(move |reading| reading.samples.get(channel));
    let kinds: Vec<u64> = (0..channels).flat_map(column).map(kind_of).collect();
    put_runs(&mut bits, &kinds);
    for channel in 0..channels {
        let values: Vec<f64> = column(channel).filter_map(|sample| sample.value()).collect();
        put_numbers(&mut bits, &values);
    }
    seal(Kind::Readings, bits)
}

/// Unpacks what [`encode_readings`] packed, as readings of `pump`.
pub(crate) fn decode_readings(pump: &PumpId, block: &[u8]) -> Result<Vec<Reading>, BlockError> {
    let mut bits = open(Kind::Readings, block)?;
    let count = bits.count(MOST_ROWS)?;
    let times = take_times(&mut bits, count)?;
    let delays = take_integers(&mut bits, count)?;
    let late = take_runs(&mut bits, count, 1)?;
    let samples = take_samples(&mut bits, count)?;
    bits.end()?;

    let rows = times.into_iter().zip(delays).zip(late).zip(samples);
    let reading = |(((at, delay), late), samples): (((Timestamp, i64), u64), Vec<Sample>)| {
        let received = time(at.millis().wrapping_add(delay))?;
        Ok(Reading { pump: pump.clone(), at, received, samples: samples.into(), late: late == 1 })
    };
    rows.map(reading).collect()
}

/// Writes times that are about on a line: the first, the step, and how far each is off.
pub(super) fn put_times(bits: &mut BitWriter, times: impl Iterator<Item = Timestamp>) {
    let times: Vec<i64> = times.map(Timestamp::millis).collect();
    let Some((&first, &last)) = times.first().zip(times.last()) else { return };
    let mean_step = (last - first) / (times.len() as i64 - 1).max(1);
    let mut steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let middle = steps.len() / 2;
    let median_step = if steps.is_empty() { 0 } else { *steps.select_nth_unstable(middle).1 };

    // The mean is better where the clock jitters, the median where readings are missing.
    let by_mean = line_and_rest(&times, first, mean_step);
    let by_median = line_and_rest(&times, first, median_step);
    let smaller = if by_mean.len_bits() <= by_median.len_bits() { mean_step } else { median_step };
    bits.wide(first as u64);
    put_line(bits, &times, first, smaller);
}

/// Reads `count` times.
pub(super) fn take_times(bits: &mut BitReader<'_>, count: usize) -> Result<Vec<Timestamp>, BlockError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let first = bits.wide()? as i64;
    let step = unzigzag(bits.wide()?);
    let offsets = take_integers(bits, count)?;
    let line = (0..count as i64).map(|index| first.wrapping_add(step.wrapping_mul(index)));
    line.zip(offsets).map(|(at, offset)| time(at.wrapping_add(offset))).collect()
}

fn line_and_rest(times: &[i64], first: i64, step: i64) -> BitWriter {
    let mut bits = BitWriter::default();
    put_line(&mut bits, times, first, step);
    bits
}

fn put_line(bits: &mut BitWriter, times: &[i64], first: i64, step: i64) {
    bits.wide(zigzag(step));
    let offsets: Vec<i64> =
        (0..).zip(times).map(|(index, at): (i64, _)| at - first - step.wrapping_mul(index)).collect();
    put_integers(bits, &offsets);
}

fn time(ms: i64) -> Result<Timestamp, BlockError> {
    Timestamp::from_millis(ms).map_err(|_| BlockError::Malformed("a time that is none"))
}

/// The samples of each row.
fn take_samples(bits: &mut BitReader<'_>, count: usize) -> Result<Vec<Vec<Sample>>, BlockError> {
    let widths = take_runs(bits, count, MOST_CHANNELS as u64)?;
    let cells: u64 = widths.iter().sum();
    if cells > MOST_CELLS as u64 {
        return Err(BlockError::Malformed("more numbers than a block can have"));
    }
    let kinds = take_runs(bits, cells as usize, MOST_KIND)?;
    let mut rows: Vec<Vec<Sample>> = widths.iter().map(|&width| Vec::with_capacity(width as usize)).collect();
    let mut kinds = kinds.as_slice();
    for channel in 0..widths.iter().max().copied().unwrap_or(0) {
        let in_channel = widths.iter().filter(|&&width| width > channel).count();
        let (these, others) = kinds.split_at(in_channel);
        kinds = others;
        let with_value = these.iter().filter(|&&kind| has_value(kind)).count();
        let mut values = take_numbers(bits, with_value)?.into_iter();
        let wide_enough = rows.iter_mut().zip(&widths).filter(|(_, width)| **width > channel);
        for ((row, _), &kind) in wide_enough.zip(these) {
            let value = if has_value(kind) { values.next() } else { None };
            row.push(sample_of(kind, value));
        }
    }
    Ok(rows)
}

/// The highest of the numbers that stand for kinds of samples.
const MOST_KIND: u64 = 3;

fn kind_of(sample: &Sample) -> u64 {
    match sample {
        Sample::Good(_) => 0,
        Sample::Missing => 1,
        Sample::Filled => 2,
        Sample::Bad(_) => 3,
    }
}

fn has_value(kind: u64) -> bool {
    matches!(kind, 0 | 3)
}

fn sample_of(kind: u64, value: Option<f64>) -> Sample {
    match (kind, value) {
        (0, Some(value)) => Sample::Good(value),
        (_, Some(value)) => Sample::Bad(value),
        (2, None) => Sample::Filled,
        (_, None) => Sample::Missing,
    }
}
