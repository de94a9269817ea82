use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use volute_plant::{Detection, PumpId, Reading, Sample, Timestamp};

use super::*;

const START_MS: i64 = 1_773_051_240_000;

fn pump() -> PumpId {
    "pump-1".parse().expect("a pump's id")
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).expect("a time")
}

fn reading(at_ms: i64, delay_ms: i64, late: bool, samples: Vec<Sample>) -> Reading {
    let received = at(at_ms).plus_ms(delay_ms);
    Reading { pump: pump(), at: at(at_ms), received, samples: samples.into(), late }
}

/// What a reading is, with numbers as bits: `==` takes -0.0 for 0.0.
fn exactly(readings: &[Reading]) -> Vec<String> {
    let bits = |sample: &Sample| (sample.flag(), sample.value().map(f64::to_bits));
    let row = |r: &Reading| {
        format!("{:?}", (&r.pump, r.at, r.received, r.late, r.samples.iter().map(bits).collect::<Vec<_>>()))
    };
    readings.iter().map(row).collect()
}

fn exactly_detections(detections: &[Detection]) -> Vec<String> {
    let row = |d: &Detection| {
        let shares: Vec<u64> = d.contributions.iter().map(|share| share.to_bits()).collect();
        format!("{:?}", (&d.pump, d.at, d.loss.to_bits(), d.threshold.to_bits(), d.is_anomaly, shares, &d.model))
    };
    detections.iter().map(row).collect()
}

fn exactly_aggregates(aggregates: &Aggregates) -> Vec<String> {
    let row = |a: &Aggregate| format!("{:?}", (a.count, a.min.to_bits(), a.max.to_bits(), a.sum.to_bits()));
    (0..).map_while(|index| aggregates.channel(index)).map(row).collect()
}

fn assert_round_trip(readings: &[Reading]) {
    let unpacked = decode_readings(&pump(), &encode_readings(readings)).expect("a block");
    assert_eq!(exactly(&unpacked), exactly(readings));
    let aggregates = Aggregates::of(readings);
    let unpacked = decode_aggregates(&encode_aggregates(&aggregates)).expect("aggregates");
    assert_eq!(exactly_aggregates(&unpacked), exactly_aggregates(&aggregates));
}

/// Finite numbers as sensors and broken sensors send them.
fn number() -> impl Strategy<Value = f64> {
    use prop::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    prop_oneof![
        4 => (-99_999_i64..99_999, 0_u32..7).prop_map(|(whole, places)| whole as f64 / 10_f64.powi(places as i32)),
        1 => any::<f32>().prop_filter_map("finite", |value| value.is_finite().then_some(f64::from(value))),
        2 => POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO,
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

fn any_reading(samples: impl Strategy<Value = Vec<Sample>>) -> impl Strategy<Value = Reading> {
    let at_ms = prop_oneof![START_MS..START_MS + 60_000, 946_684_800_000_i64..7_258_118_400_000];
    (at_ms, -99_999_i64..9_999_999, any::<bool>(), samples)
        .prop_map(|(at_ms, delay_ms, late, samples)| reading(at_ms, delay_ms, late, samples))
}

fn detection() -> impl Strategy<Value = Detection> {
    let numbers = (number(), number(), vec(number(), 0..12));
    (START_MS..START_MS + 60_000, numbers, any::<bool>(), "[a-c]{0,2}").prop_map(
        |(at_ms, numbers, is_anomaly, model)| {
            let (loss, threshold, contributions) = numbers;
            let (contributions, model) = (contributions.into(), model.into());
            Detection { pump: pump(), at: at(at_ms), loss, threshold, is_anomaly, contributions, model }
        },
    )
}

/// Numbers that look random, the same in every run.
struct Noise(u64);

impl Noise {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About a normal deviate.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// Ten channels that drift under noise of some steps, in decimal steps.
fn minute(rows: usize, step_ms: i64) -> Vec<Reading> {
    const LEVELS: [(f64, f64); 10] = [
        (2950.0, 1.0),
        (62.0, 10.0),
        (55.0, 10.0),
        (2.4, 100.0),
        (3.1, 100.0),
        (820.0, 1.0),
        (0.4, 100.0),
        (4.8, 100.0),
        (41.0, 10.0),
        (22.0, 10.0),
    ];
    let mut noise = Noise(7);
    let mut drift = [0.0; 10];
    let mut readings = Vec::with_capacity(rows);
    for row in 0..rows {
        let mut samples = Vec::with_capacity(10);
        for (index, (level, steps)) in LEVELS.into_iter().enumerate() {
            drift[index] += 0.3 * noise.normal();
            let value = level + (drift[index] + 1.5 * noise.normal()) / steps;
            samples.push(Sample::Good((value * steps).round() / steps));
        }
        let at_ms = START_MS + row as i64 * step_ms + (noise.next() * 4.0) as i64;
        readings.push(reading(at_ms, 15 + (noise.next() * 10.0) as i64, false, samples));
    }
    readings
}

fn detections(rows: usize) -> Vec<Detection> {
    let mut noise = Noise(9);
    let mut detections = Vec::with_capacity(rows);
    for row in 0..rows {
        let contributions: Vec<f64> = (0..10).map(|_| noise.next() / 5.0).collect();
        detections.push(Detection {
            pump: pump(),
            at: at(START_MS + row as i64 * 1000),
            loss: 0.1 * noise.next(),
            threshold: 0.123_456_789_012,
            is_anomaly: row % 50 > 45,
            contributions: contributions.into(),
            model: Arc::from("centrifugal-7"),
        });
    }
    detections
}

/// One block of each kind, and how it is read.
type Reader = fn(&[u8]) -> Option<BlockError>;

fn one_of_each() -> [(Vec<u8>, Reader); 3] {
    [
        (encode_readings(&minute(20, 1000)), |block| decode_readings(&pump(), block).err()),
        (encode_detections(&detections(20)), |block| decode_detections(&pump(), block).err()),
        (encode_aggregates(&Aggregates::of(&minute(20, 1000))), |block| decode_aggregates(block).err()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn readings_come_back_to_the_bit(readings in vec(any_reading(vec(sample(), 0..5)), 0..200)) {
        assert_round_trip(&readings);
    }

    #[test]
    fn decimals_with_a_few_odd_numbers_come_back_to_the_bit(
        wholes in vec(-5_000_i64..5_000, 1..400), odd in vec((any::<prop::sample::Index>(), number()), 0..5), places in 0..10,
    ) {
        let mut values: Vec<f64> = wholes.iter().map(|&whole| whole as f64 / 10_f64.powi(places)).collect();
        for (index, value) in odd {
            let index = index.index(values.len());
            values[index] = value;
        }
        let row = |(index, value): (usize, &f64)| reading(START_MS + index as i64 * 100, 5, false, vec![Sample::Good(*value)]);
        assert_round_trip(&values.iter().enumerate().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn detections_come_back_to_the_bit(detections in vec(detection(), 0..200)) {
        let unpacked = decode_detections(&pump(), &encode_detections(&detections)).expect("a block");
        prop_assert_eq!(exactly_detections(&unpacked), exactly_detections(&detections));
    }

    #[test]
    fn merged_aggregates_come_back_to_the_bit(blocks in vec(vec(any_reading(vec(sample(), 0..5)), 0..20), 0..10)) {
        let mut merged = Aggregates::default();
        for block in &blocks {
            merged.merge(&Aggregates::of(block));
        }
        let unpacked = decode_aggregates(&encode_aggregates(&merged)).expect("aggregates");
        prop_assert_eq!(exactly_aggregates(&unpacked), exactly_aggregates(&merged));
    }

    #[test]
    fn random_bytes_are_refused(bytes in vec(any::<u8>(), 0..300)) {
        for (_, read) in one_of_each() {
            prop_assert!(read(&bytes).is_some());
        }
    }

    /// Bytes with the right checksum: nothing but the checks of the content is between them and a panic.
    #[test]
    fn random_bytes_under_a_right_checksum_do_no_harm(
        kind in 0_usize..3, mut bytes in vec(any::<u8>(), 1..300), sparse in any::<bool>(),
    ) {
        if sparse {
            bytes.iter_mut().for_each(|byte| *byte &= byte.rotate_left(3));
        }
        let (block, read) = &one_of_each()[kind];
        bytes[0] = block[0];
        read(&resealed(bytes));
    }

    #[test]
    fn changed_bytes_under_a_right_checksum_do_no_harm(
        kind in 0_usize..3, changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (block, read) = &one_of_each()[kind];
        let mut content = block[..block.len() - 4].to_vec();
        for (index, byte) in changes {
            let index = 1 + index.index(content.len() - 1);
            content[index] = byte;
        }
        read(&resealed(content));
    }

    /// As above, in a block that Pcodec has part in.
    #[test]
    fn changed_bytes_of_long_columns_do_no_harm(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let block = encode_detections(&detections(300));
        let mut content = block[..block.len() - 4].to_vec();
        for (index, byte) in changes {
            let index = 1 + index.index(content.len() - 1);
            content[index] = byte;
        }
        let _harmless = decode_detections(&pump(), &resealed(content));
    }
}

fn resealed(mut content: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&content);
    content.extend(checksum.to_le_bytes());
    content
}

#[test]
fn blocks_of_no_row_of_one_and_of_thousands_come_back() {
    for rows in [0, 1, 2, 60, 5000] {
        assert_round_trip(&minute(rows, 10));
        let detections = detections(rows);
        let unpacked = decode_detections(&pump(), &encode_detections(&detections)).expect("a block");
        assert_eq!(exactly_detections(&unpacked), exactly_detections(&detections));
    }
}

#[test]
fn every_changed_byte_and_every_cut_is_told() {
    for (block, read) in one_of_each() {
        assert_eq!(read(&block), None);
        for index in 0..block.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = block.clone();
                changed[index] ^= change;
                assert_eq!(read(&changed), Some(BlockError::Damaged), "byte {index} of {}", block.len());
            }
            assert_eq!(read(&block[..index]), Some(BlockError::Damaged), "cut at {index}");
        }
    }
}

#[test]
fn one_kind_of_block_is_not_read_as_another() {
    let block = encode_readings(&minute(3, 1000));
    assert_eq!(decode_aggregates(&block), Err(BlockError::Kind { found: 0x11, expected: 0x13 }));
}

#[test]
fn counts_beyond_the_limits_are_refused_before_anything_is_allocated() {
    for count in [MOST_ROWS as u64 + 1, u64::MAX] {
        let mut bits = bits::BitWriter::default();
        bits.gamma(count);
        bits.bits(0, 64);
        let content = frame::seal(frame::Kind::Readings, bits);
        assert_eq!(decode_readings(&pump(), &content), Err(BlockError::Malformed("a count above its limit")));
    }
}

/// Runs and constant columns say in a few bits that there are as many rows and channels as each limit allows.
#[test]
fn many_rows_of_many_channels_are_refused_before_anything_is_allocated() {
    let mut bits = bits::BitWriter::default();
    bits.gamma(MOST_ROWS as u64);
    readings::put_times(&mut bits, std::iter::repeat_n(at(START_MS), MOST_ROWS));
    integers::put_integers(&mut bits, &[0; MOST_ROWS]);
    runs::put_runs(&mut bits, &[0; MOST_ROWS]);
    runs::put_runs(&mut bits, &[MOST_CHANNELS as u64; MOST_ROWS]);
    let block = frame::seal(frame::Kind::Readings, bits);
    assert_eq!(decode_readings(&pump(), &block), Err(BlockError::Malformed("more numbers than a block can have")));
}

#[test]
fn sums_are_added_in_order_and_what_is_not_good_does_not_count() {
    let rows = [
        vec![Sample::Good(0.1), Sample::Missing],
        vec![Sample::Good(0.2), Sample::Bad(9.0)],
        vec![Sample::Good(0.3)],
        vec![Sample::Filled, Sample::Missing, Sample::Good(-0.0)],
    ];
    let readings: Vec<Reading> = rows.into_iter().map(|samples| reading(START_MS, 0, false, samples)).collect();
    let aggregates = Aggregates::of(&readings);
    assert_eq!(aggregates.channel(0), Some(&Aggregate { count: 3, min: 0.1, max: 0.3, sum: 0.1 + 0.2 + 0.3 }));
    assert_eq!(aggregates.channel(1), Some(&Aggregate::default()));
    assert_eq!(aggregates.channel(1).and_then(Aggregate::mean), None);
    assert_eq!(aggregates.channel(2).map(|aggregate| aggregate.sum.is_sign_negative()), Some(true));
    assert_eq!(aggregates.channel(3), None);

    let mut merged = Aggregates::of(&readings[..2]);
    merged.merge(&Aggregates::of(&readings[2..]));
    assert_eq!(merged.channel(0).map(|aggregate| (aggregate.count, aggregate.min, aggregate.max)), Some((3, 0.1, 0.3)));
    assert_eq!(merged.channel(2), aggregates.channel(2));
}

#[test]
fn blocks_stay_small() {
    let aggregates = |rows| encode_aggregates(&Aggregates::of(&minute(rows, 1000)));
    let raw: Vec<Reading> = minute(60, 1000).into_iter().map(unrounded).collect();
    let broken: Vec<Reading> = minute(60, 1000).into_iter().enumerate().map(with_broken_sensor).collect();
    // The bounds are what was measured and a fifth.
    let sizes = [
        ("readings at 1 Hz", encode_readings(&minute(60, 1000)), 385),
        ("readings each 5 s", encode_readings(&minute(12, 5000)), 134),
        ("one reading", encode_readings(&minute(1, 1000)), 52),
        ("no reading", encode_readings(&[]), 7),
        ("readings at 100 Hz", encode_readings(&minute(6000, 10)), 31_421),
        ("numbers that are no decimals", encode_readings(&raw), 4_546),
        ("missing channels and an odd number", encode_readings(&broken), 348),
        ("detections", encode_detections(&detections(60)), 5_732),
        ("aggregates", aggregates(60), 70),
        ("aggregates of an hour", aggregates(3600), 95),
    ];
    for (what, block, most) in sizes {
        assert!(block.len() <= most, "{what}: {} bytes, at most {most}", block.len());
    }
}

/// The reading in full precision.
fn unrounded(reading: Reading) -> Reading {
    let mut noise = Noise(reading.at.millis() as u64);
    let samples =
        reading.samples.iter().map(|sample| Sample::Good(sample.value().unwrap_or(0.0) + noise.next() / 10.0));
    Reading { samples: samples.collect(), ..reading }
}

/// Two channels never come, and another says once what is no number of its kind.
fn with_broken_sensor((index, reading): (usize, Reading)) -> Reading {
    let mut samples = reading.samples.to_vec();
    samples[3] = Sample::Missing;
    samples[8] = Sample::Missing;
    if index == 30 {
        samples[5] = Sample::Bad(6.02e23);
    }
    Reading { samples: samples.into(), ..reading }
}

/// Near 2^53 adding up rounds whole numbers, so a sum can lie outside what count, min and max allow.
#[test]
fn sums_beyond_count_times_max_or_min_come_back() {
    for value in [4_503_599_627_370_497.0, 4_503_599_627_370_499.0] {
        for (count, sign) in [(3, 1.0), (3, -1.0), (5, 1.0), (60, 1.0), (61, -1.0)] {
            let row = |index| reading(START_MS + index, 0, false, vec![Sample::Good(sign * value)]);
            assert_round_trip(&(0..count).map(row).collect::<Vec<_>>());
        }
    }
}

#[test]
fn pcodec_has_part_in_long_columns() {
    let column: Vec<i32> = (0..300).map(|index| index * 7919 % 1000).collect();
    let bytes = pcodec::packed(&column).expect("Pcodec writes the format that blocks are of");
    assert_eq!(pcodec::unpacked(&bytes, column.len()), Ok(column));
    for count in [150, 600] {
        assert!(pcodec::unpacked::<i32>(&bytes, count).is_err(), "{count}");
    }
}
