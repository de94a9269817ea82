//! Readings as a Parquet file, for analysis in other tools.
//!
//! Columns: `pump`, `timestamp` and `received` (UTC, milliseconds), `late`, `quality`, and one for each channel, in the
//! pump's order. A channel's number is as it was sent, null if there was none. `quality` has a letter for each channel,
//! in order: `g` good, `b` bad (out of the plausible range), `f` filled (no value was sent, and the last good value was
//! used instead), `m` missing. It is null if all samples are good. For example, `bf` means that the first channel is
//! bad and the second filled. The file's metadata explains the letters too.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::{ParquetError, Result},
    file::{
        metadata::KeyValue,
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type, TypePtr},
};
use volute_plant::{PumpName, Reading, Sample};

use crate::PumpRecord;

/// The columns of every file, before those of the channels.
pub(super) const FIXED_COLUMNS: [&str; 5] = ["pump", "timestamp", "received", "late", "quality"];
/// The number of readings that are compressed together: a few megabytes.
const ROW_GROUP_ROWS: usize = 100_000;

const QUALITY: &str = "a letter per channel, in the order of the columns: g good, b bad (out of range), f filled, \
                       m missing; null: all good";

pub(super) struct ParquetFile {
    path: PathBuf,
    pump: ByteArray,
    channels: usize,
    writer: SerializedFileWriter<File>,
    /// Readings of the row group that is not complete yet.
    buffered: Vec<Reading>,
}

impl ParquetFile {
    pub(super) fn create(path: &Path, file: File, pump: &PumpRecord, name: Option<PumpName>) -> Result<Self> {
        let entry = |key: &str, value: String| KeyValue::new(format!("volute.{key}"), value);
        let mut metadata = vec![
            entry("pump", pump.id.to_string()),
            entry("profile", pump.profile.clone()),
            entry("quality", QUALITY.to_owned()),
        ];
        metadata.extend(name.map(|name| entry("name", name.to_string())));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("volute ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(metadata))
            .build();
        let writer = SerializedFileWriter::new(file, schema(pump)?, Arc::new(properties))?;
        let (channels, id) = (pump.channels.len(), ByteArray::from(pump.id.as_str()));
        Ok(Self { path: path.to_owned(), pump: id, channels, writer, buffered: Vec::new() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, page: &[Reading]) -> Result<()> {
        self.buffered.extend_from_slice(page);
        if self.buffered.len() >= ROW_GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<()> {
        if !self.buffered.is_empty() {
            self.write_group()?;
        }
        self.writer.into_inner()?;
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.buffered);
        let mut group = self.writer.next_row_group()?;
        write_required::<ByteArrayType>(&mut group, &vec![self.pump.clone(); rows.len()])?;
        let times: Vec<i64> = rows.iter().map(|row| row.at.millis()).collect();
        write_required::<Int64Type>(&mut group, &times)?;
        let received: Vec<i64> = rows.iter().map(|row| row.received.millis()).collect();
        write_required::<Int64Type>(&mut group, &received)?;
        let late: Vec<bool> = rows.iter().map(|row| row.late).collect();
        write_required::<BoolType>(&mut group, &late)?;
        write_optional::<ByteArrayType>(&mut group, rows.iter().map(quality))?;
        for channel in 0..self.channels {
            let values = rows.iter().map(|row| row.samples.get(channel).and_then(|sample| sample.value()));
            write_optional::<DoubleType>(&mut group, values)?;
        }
        group.close()?;
        Ok(())
    }
}

fn schema(pump: &PumpRecord) -> Result<TypePtr> {
    let column = |name: &str, physical, repetition, logical| {
        let column = Type::primitive_type_builder(name, physical);
        column.with_repetition(repetition).with_logical_type(logical).build().map(Arc::new)
    };
    let (required, optional) = (Repetition::REQUIRED, Repetition::OPTIONAL);
    let time = || Some(LogicalType::timestamp(true, TimeUnit::MILLIS));
    let [id, at, received, late, quality] = FIXED_COLUMNS;
    let mut columns = vec![
        column(id, Physical::BYTE_ARRAY, required, Some(LogicalType::String))?,
        column(at, Physical::INT64, required, time())?,
        column(received, Physical::INT64, required, time())?,
        column(late, Physical::BOOLEAN, required, None)?,
        column(quality, Physical::BYTE_ARRAY, optional, Some(LogicalType::String))?,
    ];
    for channel in &pump.channels {
        columns.push(column(channel, Physical::DOUBLE, optional, None)?);
    }
    Type::group_type_builder("reading").with_fields(columns).build().map(Arc::new)
}

/// Returns the quality letter of each sample; none if all are good.
fn quality(row: &Reading) -> Option<ByteArray> {
    let letter = |sample: &Sample| match sample {
        Sample::Good(_) => 'g',
        Sample::Bad(_) => 'b',
        Sample::Filled => 'f',
        Sample::Missing => 'm',
    };
    let letters: String = row.samples.iter().map(letter).collect();
    letters.chars().any(|letter| letter != 'g').then(|| ByteArray::from(letters.as_str()))
}

/// Writes the next column, with a value in every row.
fn write_required<T: DataType>(group: &mut SerializedRowGroupWriter<'_, File>, values: &[T::T]) -> Result<()> {
    write_column::<T>(group, values, None)
}

/// Writes the next column, with nulls where there is no value.
fn write_optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    rows: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for row in rows {
        levels.push(i16::from(row.is_some()));
        values.extend(row);
    }
    write_column::<T>(group, &values, Some(&levels))
}

fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the schema has too few columns".to_owned()));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}
