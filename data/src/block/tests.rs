//! Tests of blocks: content is decoded bit for bit as it was encoded, damage is an error, and blocks stay small.

use proptest::prelude::*;
use volute_plant::{Detection, PumpId, Reading, Sample, Timestamp};

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
    frame::{BlockKind, CHECKSUM_BYTES, MAX_CELLS, MAX_ROWS, seal},
    *,
};

const START_MS: i64 = 1_773_051_240_000;

fn pump() -> PumpId {
    "P-1".parse().expect("a name")
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).expect("a time")
}

fn reading(at_ms: i64, samples: &[Sample]) -> Reading {
    Reading { pump: pump(), at: time(at_ms), received: time(at_ms + 12), samples: samples.into(), late: false }
}

fn good(at_ms: i64, values: &[f64]) -> Reading {
    reading(at_ms, &values.iter().map(|&value| Sample::Good(value)).collect::<Vec<_>>())
}

/// A minute of plausible readings at 1 Hz with `channels` channels, each with noise around a level.
fn minute(rows: i64, channels: i64) -> Vec<Reading> {
    let value = |row: i64, channel: i64| (1000 * channel + (row * 7919 + channel * 31) % 17) as f64 / 100.0;
    let row = |row| good(START_MS + row * 1000, &(0..channels).map(|channel| value(row, channel)).collect::<Vec<_>>());
    (0..rows).map(row).collect()
}

fn detection(at_ms: i64, loss: f64, contributions: &[f64]) -> Detection {
    Detection {
        pump: pump(),
        at: time(at_ms),
        loss,
        threshold: 0.012_345_678_901_234_5,
        is_anomaly: loss > 0.0123,
        contributions: contributions.into(),
        model: "centrifugal-3f9a".into(),
    }
}

/// The flag and the bits of a sample. `==` does not distinguish the two zeros.
fn bits_of(sample: Sample) -> (Option<&'static str>, Option<u64>) {
    (sample.flag(), sample.value().map(f64::to_bits))
}

fn assert_same(readings: &[Reading]) -> Vec<u8> {
    let block = encode_readings(readings);
    let decoded = decode_readings(&pump(), &block).expect("a block");
    let all = |reading: &Reading| {
        let samples: Vec<_> = reading.samples.iter().copied().map(bits_of).collect();
        (reading.pump.clone(), reading.at, reading.received, reading.late, samples)
    };
    assert_eq!(decoded.iter().map(all).collect::<Vec<_>>(), readings.iter().map(all).collect::<Vec<_>>());
    block
}

fn assert_same_detections(detections: &[Detection]) -> Vec<u8> {
    let block = encode_detections(detections);
    let decoded = decode_detections(&pump(), &block).expect("a block");
    let all = |detection: &Detection| {
        let numbers = [detection.loss, detection.threshold];
        let bits: Vec<u64> = numbers.iter().chain(&*detection.contributions).map(|number| number.to_bits()).collect();
        (detection.pump.clone(), detection.at, detection.is_anomaly, detection.model.clone(), bits)
    };
    assert_eq!(decoded.iter().map(all).collect::<Vec<_>>(), detections.iter().map(all).collect::<Vec<_>>());
    block
}

fn assert_same_aggregates(aggregates: &Aggregates) -> Vec<u8> {
    let block = encode_aggregates(aggregates);
    let decoded = decode_aggregates(&block).expect("a block");
    for index in 0..100 {
        let all = |all: &Aggregates| {
            let bits = |channel: &Aggregate| [channel.min, channel.max, channel.sum].map(f64::to_bits);
            all.channel(index).map(|channel| (channel.count, bits(channel)))
        };
        assert_eq!(all(&decoded), all(aggregates));
    }
    block
}

/// Any finite number. Edge cases are more frequent, and decimals most frequent.
fn number() -> impl Strategy<Value = f64> {
    let edge_cases =
        [0.0, -0.0, 5e-324, f64::MIN, f64::MAX, f64::MIN_POSITIVE, f64::EPSILON, 9_007_199_254_740_993.0, 0.1];
    prop_oneof![
        6 => (-1_000_000..1_000_000_i64, 0..7_i32).prop_map(|(steps, places)| steps as f64 / 10_f64.powi(places)),
        2 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |number| number.is_finite()),
        2 => (-99_999..99_999_i32, 0..5_i32).prop_map(|(steps, places)| f64::from(steps as f32 / 10_f32.powi(places))),
        1 => any::<f32>().prop_map(f64::from).prop_filter("finite", |number| number.is_finite()),
        1 => proptest::sample::select(edge_cases.to_vec()),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        8 => number().prop_map(Sample::Good),
        1 => number().prop_map(Sample::Bad),
        1 => Just(Sample::Filled),
        1 => Just(Sample::Missing),
    ]
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (946_684_800_000..7_258_118_400_000_i64).prop_map(time)
}

fn any_reading(channels: usize) -> impl Strategy<Value = Reading> {
    (any_time(), any_time(), proptest::collection::vec(sample(), channels), any::<bool>())
        .prop_map(|(at, received, samples, late)| Reading { pump: pump(), at, received, samples: samples.into(), late })
}

/// Readings of one width, as pumps send them, or of different widths.
fn any_readings() -> impl Strategy<Value = Vec<Reading>> {
    let ragged = proptest::collection::vec((0..5_usize).prop_flat_map(any_reading), 0..20);
    prop_oneof![(0..6_usize).prop_flat_map(|channels| proptest::collection::vec(any_reading(channels), 0..40)), ragged]
}

fn any_detection() -> impl Strategy<Value = Detection> {
    let contributions = proptest::collection::vec(number(), 0..5);
    (any_time(), number(), number(), any::<bool>(), contributions, "[a-zé]{0,3}").prop_map(
        |(at, loss, threshold, is_anomaly, contributions, model)| Detection {
            pump: pump(),
            at,
            loss,
            threshold,
            is_anomaly,
            contributions: contributions.into(),
            model: model.into(),
        },
    )
}

/// Returns a block with a valid frame of this kind around any content.
fn sealed(kind: BlockKind, content: &[u8]) -> Vec<u8> {
    seal(kind, |bits: &mut BitWriter| content.iter().for_each(|&byte| bits.bits(u64::from(byte), 8)))
}

fn assert_bounded(block: &[u8]) {
    if let Ok(readings) = decode_readings(&pump(), block) {
        assert!(readings.len() <= MAX_ROWS);
        assert!(readings.iter().map(|reading| reading.samples.len()).sum::<usize>() <= MAX_CELLS);
    }
    if let Ok(detections) = decode_detections(&pump(), block) {
        assert!(detections.len() <= MAX_ROWS);
        assert!(detections.iter().map(|detection| detection.contributions.len()).sum::<usize>() <= MAX_CELLS);
    }
    let _ = decode_aggregates(block);
}

/// Integer columns: any numbers, few distinct numbers, multiples.
fn integer_columns() -> impl Strategy<Value = Vec<i64>> {
    let few = proptest::collection::vec(any::<i64>(), 1..5)
        .prop_flat_map(|list| proptest::collection::vec(proptest::sample::select(list), 1..80));
    let multiples = (2..1000_i64, any::<i32>(), proptest::collection::vec(any::<i32>(), 1..80)).prop_map(
        |(divisor, remainder, quotients)| {
            quotients.into_iter().map(|quotient| i64::from(quotient) * divisor + i64::from(remainder)).collect()
        },
    );
    prop_oneof![proptest::collection::vec(any::<i64>(), 0..20), few, multiples]
}

proptest! {
    #[test]
    fn integers_are_decoded_unchanged(numbers in integer_columns()) {
        let mut bits = BitWriter::appending_to(Vec::new());
        integers::write(&numbers, &mut bits);
        let bytes = bits.into_bytes();
        let mut bits = BitReader::new(&bytes);
        prop_assert_eq!(integers::read(numbers.len(), &mut bits), Ok(numbers));
        prop_assert_eq!(bits.finish(), Ok(()));
    }

    #[test]
    fn readings_are_decoded_bit_for_bit(readings in any_readings()) {
        assert_same(&readings);
    }

    #[test]
    fn detections_are_decoded_bit_for_bit(detections in proptest::collection::vec(any_detection(), 0..30)) {
        assert_same_detections(&detections);
    }

    #[test]
    fn aggregates_are_decoded_bit_for_bit(blocks in proptest::collection::vec(any_readings(), 1..4)) {
        let mut all = Aggregates::default();
        for block in &blocks {
            all.merge(&Aggregates::of(block));
            assert_same_aggregates(&all);
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        assert_bounded(&bytes);
        for kind in [BlockKind::Readings, BlockKind::Detections, BlockKind::Aggregates] {
            assert_bounded(&sealed(kind, &bytes));
        }
    }

    #[test]
    fn a_block_changed_and_sealed_again_is_an_error_or_bounded(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let detections: Vec<_> = (0..12).map(|i| detection(START_MS + i * 5000, 0.01 + i as f64, &[0.25, 0.75])).collect();
        let readings = minute(60, 10);
        let aggregates = encode_aggregates(&Aggregates::of(&readings));
        let kinds = [BlockKind::Readings, BlockKind::Detections, BlockKind::Aggregates];
        let blocks = [encode_readings(&readings), encode_detections(&detections), aggregates];
        for (kind, block) in kinds.into_iter().zip(blocks) {
            let mut content = block[1..block.len() - CHECKSUM_BYTES].to_vec();
            content[at.index(block.len() - 1 - CHECKSUM_BYTES)] ^= change;
            assert_bounded(&sealed(kind, &content));
        }
    }

    #[test]
    fn merged_aggregates_equal_those_of_all_readings(readings in any_readings(), at in any::<prop::sample::Index>()) {
        let (first, second) = readings.split_at(at.index(readings.len() + 1));
        let mut merged = Aggregates::of(first);
        merged.merge(&Aggregates::of(second));
        let all = Aggregates::of(&readings);
        for index in 0..6 {
            let bounds = |all: &Aggregates| all.channel(index).map(|channel| (channel.count, channel.min, channel.max));
            prop_assert_eq!(bounds(&merged), bounds(&all));
        }
    }
}

#[test]
fn a_block_has_any_number_of_rows() {
    for rows in [0, 1, 2, 12, 60, 61, 5000] {
        assert_same(&minute(rows, 10));
        assert_same(&minute(rows, 0));
    }
    let shares = [0.1234, 0.8766];
    for rows in [0, 1, 12, 5000] {
        assert_same_detections(&(0..rows).map(|i| detection(START_MS + i, 0.01, &shares)).collect::<Vec<_>>());
    }
}

#[test]
fn edge_case_numbers_are_unchanged() {
    let tenth = 0.1_f64;
    for values in [
        vec![0.0, -0.0, 0.0, -0.0],
        vec![1.5, -0.0, -1.5],
        vec![-0.0],
        vec![5e-324, -5e-324, f64::MIN_POSITIVE],
        vec![f64::MAX, f64::MIN, f64::MAX],
        vec![tenth + 0.2, 0.3],
        vec![9_007_199_254_740_991.0, 9_007_199_254_740_992.0, 9_007_199_254_740_994.0],
        vec![f64::from(0.1_f32), f64::from(-0.1_f32), f64::from(f32::MIN_POSITIVE)],
        vec![0.123_456_789, 0.123_456_789_1],
        vec![f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN],
    ] {
        let readings: Vec<_> = (0..).zip(&values).map(|(row, &value)| good(START_MS + row * 1000, &[value])).collect();
        assert_same(&readings);
    }
}

#[test]
fn decimals_converted_through_f32_are_small() {
    let rows =
        |value: fn(i64) -> f64| (0..60).map(|row| good(START_MS + row * 1000, &[value(row)])).collect::<Vec<_>>();
    let single = rows(|row| f64::from((21.0 + (row * 7919 % 61) as f64 / 10.0) as f32));
    let double = rows(|row| (210 + row * 7919 % 61) as f64 / 10.0);
    assert_eq!(assert_same(&single).len(), assert_same(&double).len());
    let (single, double) = (Aggregates::of(&single), Aggregates::of(&double));
    let (single, double) = (assert_same_aggregates(&single).len(), assert_same_aggregates(&double).len());
    assert!(single <= double + 6, "{single} and {double} bytes");
}

#[test]
fn coarse_columns_are_small() {
    let rows =
        |value: fn(i64) -> f64| (0..60).map(|row| good(START_MS + row * 1000, &[value(row)])).collect::<Vec<_>>();
    // Few distinct numbers, far apart: about two bits each, not the 19 bits of their differences.
    let few = assert_same(&rows(|row| [0.054_711, 0.382_638, 0.710_565, 1.038_49][(row * row % 7 % 4) as usize]));
    assert!(few.len() < 50, "{} bytes", few.len());
    // Many distinct numbers, but multiples of 2.5: six bits each, not the nine bits of single steps.
    let multiples = |step: f64| {
        let readings: Vec<_> =
            (0..60).map(|row| good(START_MS + row * 1000, &[((row * 7919) % 61) as f64 * step])).collect();
        assert_same(&readings).len()
    };
    let (coarse, fine) = (multiples(2.5), multiples(0.1));
    assert!(coarse <= fine + 4, "{coarse} and {fine} bytes");
}

#[test]
fn integers_are_decoded_unchanged_in_every_form() {
    for numbers in [
        vec![i64::MIN, i64::MAX, 0, -1, i64::MIN],
        vec![i64::MIN, i64::MIN, i64::MAX, i64::MIN, i64::MAX, i64::MAX],
        vec![i64::MIN + 5, 5, i64::MAX - 2],
        vec![-7, -107, 93, 1_000_000_000_093, -7],
        (0..64).map(|n| n * n * n).collect(),
        (0..300).map(|n| n % 64).collect(),
        // As many distinct numbers as a dictionary can hold, and one more.
        (0..3000_i64).map(|n| (n * 7919 % 64).pow(7)).collect(),
        (0..3000_i64).map(|n| (n * 7919 % 65).pow(7)).collect(),
        vec![42; 7],
    ] {
        let mut bits = BitWriter::appending_to(Vec::new());
        integers::write(&numbers, &mut bits);
        let bytes = bits.into_bytes();
        let mut bits = BitReader::new(&bytes);
        assert_eq!(integers::read(numbers.len(), &mut bits), Ok(numbers));
        assert_eq!(bits.finish(), Ok(()));
    }
}

#[test]
fn samples_that_are_not_good_keep_their_flags() {
    let mut readings = minute(60, 3);
    readings[7].samples = [Sample::Bad(-1e9), Sample::Filled, Sample::Missing].into();
    readings[8].samples = [Sample::Good(7.0), Sample::Filled, Sample::Missing].into();
    readings[9].late = true;
    readings[59].samples = [Sample::Missing; 3].into();
    assert_same(&readings);
    let all_missing: Vec<_> = (0..60).map(|row| reading(START_MS + row * 1000, &[Sample::Missing; 10])).collect();
    let all_missing = assert_same(&all_missing);
    assert!(all_missing.len() < 50, "{} bytes for missing samples only", all_missing.len());
}

#[test]
fn good_readings_take_one_bit_for_flags() {
    let mut readings = minute(60, 10);
    let plain = encode_readings(&readings).len();
    readings[30].late = true;
    let flagged = encode_readings(&readings).len();
    assert!(flagged > plain && flagged < plain + 10, "{plain} and {flagged} bytes");
}

#[test]
fn blocks_are_small() {
    let minute_bytes = encode_readings(&minute(60, 10)).len();
    assert!(minute_bytes <= 60 * 7, "{minute_bytes} bytes; noise of 17 steps on ten channels is 5.1 a reading");
    let sparse_bytes = encode_readings(&minute(12, 10)).len();
    assert!(sparse_bytes <= 12 * 12, "{sparse_bytes} bytes");
    let steady: Vec<_> = (0..60).map(|row| good(START_MS + row * 1000, &[21.5; 10])).collect();
    let steady_bytes = encode_readings(&steady).len();
    assert!(steady_bytes <= 60, "{steady_bytes} bytes");
    let aggregate_bytes = assert_same_aggregates(&Aggregates::of(&minute(60, 10))).len();
    assert!(aggregate_bytes < 90, "{aggregate_bytes} bytes");
}

#[test]
fn the_format_has_not_changed() {
    // Blocks are stored for years: the meaning of these bytes must never change. A new format takes a new first byte.
    let values =
        |row: i64| [20.0 + (row * row % 5) as f64 / 10.0, [0.25, 99.75][(row % 3 / 2) as usize], 2.5 * row as f64];
    let mut readings: Vec<_> = (0..8).map(|row| good(START_MS + row * 1000, &values(row))).collect();
    readings[1].samples = [Sample::Bad(0.1 + 0.2), Sample::Filled, Sample::Missing].into();
    readings[2].late = true;
    let hex = |block: Vec<u8>| block.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(encode_readings(&readings)),
        "110416e801a880bc2da439011408607004050c252860f0030fa4f6696666666666a63f0000000000\
         00f831333333333303cdcccccccc0cc0cccccccccc040a047a9325306050ee789b221100c690e080\
         c178914003c00b008358e5fc"
    );
    assert_eq!(
        hex(encode_detections(&[detection(START_MS, 0.01, &[0.25, 0.75])])),
        "2101004005e46d21cd292860accc8d4e2ecdacee2c8cad65c62c270c002000041e00f0fb8d2cc887\
         454afc01181000862400100b2adbb8f8"
    );
    assert_eq!(
        hex(encode_aggregates(&Aggregates::of(&readings))),
        "31420084238124503031e4c3db40781b01245e8b51006bd62905"
    );
}

#[test]
fn any_changed_byte_is_detected() {
    let readings = minute(12, 4);
    let detections: Vec<_> = (0..12).map(|i| detection(START_MS + i * 5000, 0.01 * i as f64, &[0.25, 0.75])).collect();
    for block in
        [encode_readings(&readings), encode_detections(&detections), encode_aggregates(&Aggregates::of(&readings))]
    {
        for at in 0..block.len() {
            for change in 1..=255 {
                let mut damaged = block.clone();
                damaged[at] ^= change;
                assert_eq!(decode_readings(&pump(), &damaged).err(), Some(BlockError::ChecksumMismatch));
                assert_eq!(decode_detections(&pump(), &damaged).err(), Some(BlockError::ChecksumMismatch));
                assert_eq!(decode_aggregates(&damaged).err(), Some(BlockError::ChecksumMismatch));
            }
            assert_eq!(decode_readings(&pump(), &block[..at]).err(), Some(BlockError::ChecksumMismatch));
        }
    }
}

#[test]
fn another_kind_is_an_error() {
    let aggregates = encode_aggregates(&Aggregates::of(&minute(1, 1)));
    let expected = Some(BlockError::Format { found: 0x31, expected: 0x11 });
    assert_eq!(decode_readings(&pump(), &aggregates).err(), expected);
    let detections = encode_detections(&[]);
    assert_eq!(decode_aggregates(&detections).err(), Some(BlockError::Format { found: 0x21, expected: 0x31 }));
}

#[test]
fn data_after_the_end_is_an_error() {
    let block = encode_readings(&minute(2, 1));
    let mut content = block[1..block.len() - CHECKSUM_BYTES].to_vec();
    content.push(0);
    let error = decode_readings(&pump(), &sealed(BlockKind::Readings, &content)).err();
    assert_eq!(error, Some(BlockError::Corrupt("data after the end")));
}

#[test]
fn counts_above_the_limits_are_an_error() {
    let rows = seal(BlockKind::Readings, |bits| bits.number(u64::MAX));
    assert_eq!(decode_readings(&pump(), &rows).err(), Some(BlockError::Corrupt("a count is too large")));
    // The maximum number of rows, all equal, each with a width that is valid for a single row.
    let cells = seal(BlockKind::Readings, |bits| {
        bits.number(MAX_ROWS as u64);
        table::write_times(&vec![time(START_MS); MAX_ROWS], bits);
        integers::write(&vec![0; MAX_ROWS], bits);
        integers::write(&vec![MAX_CELLS as i64; MAX_ROWS], bits);
    });
    assert!(cells.len() < 50, "a short block may claim many cells");
    let expected = Some(BlockError::Corrupt("more cells than a block can have"));
    assert_eq!(decode_readings(&pump(), &cells).err(), expected);
}

#[test]
fn times_out_of_range_are_an_error() {
    for (off, delay) in [(0, 0), (i64::MIN, 0), (i64::MAX, 0), (START_MS, i64::MAX), (START_MS, -START_MS)] {
        let block = seal(BlockKind::Readings, |bits| {
            bits.number(1);
            bits.signed(0);
            integers::write(&[off], bits);
            integers::write(&[delay], bits);
            integers::write(&[0], bits);
            bits.bit(false);
        });
        assert_eq!(decode_readings(&pump(), &block).err(), Some(BlockError::Corrupt("a time out of range")));
    }
}

#[test]
fn aggregates_count_good_values_only() {
    let readings = [
        reading(START_MS, &[Sample::Good(1.5), Sample::Bad(900.0), Sample::Filled]),
        reading(START_MS + 1000, &[Sample::Good(-0.5), Sample::Good(7.0), Sample::Missing]),
        reading(START_MS + 2000, &[Sample::Good(2.0), Sample::Missing, Sample::Missing]),
    ];
    let aggregates = Aggregates::of(&readings);
    let first = Aggregate { count: 3, min: -0.5, max: 2.0, sum: 3.0 };
    assert_eq!(aggregates.channel(0), Some(&first));
    assert_eq!(first.mean(), Some(1.0));
    assert_eq!(aggregates.channel(1), Some(&Aggregate { count: 1, min: 7.0, max: 7.0, sum: 7.0 }));
    assert_eq!(aggregates.channel(2), Some(&Aggregate::default()));
    assert_eq!(Aggregate::default().mean(), None);
    assert_eq!(aggregates.channel(3), None);
}

#[test]
fn a_sum_of_decimals_is_exact() {
    let readings: Vec<_> = (0..1000).map(|row| good(START_MS + row, &[0.1])).collect();
    assert_eq!(Aggregates::of(&readings).channel(0).map(|channel| channel.sum), Some(100.0));
    // Minimum and maximum may have fewer decimal places than the values between them.
    let bytes = |middle: f64| {
        let readings: Vec<_> =
            (0..).zip([1.0, middle, 2.0]).map(|(row, value)| good(START_MS + row, &[value])).collect();
        assert_same_aggregates(&Aggregates::of(&readings)).len()
    };
    assert!(bytes(1.25) <= bytes(1.0) + 3, "{} and {} bytes", bytes(1.25), bytes(1.0));
}
