//! Metrics as TensorBoard event files.
//!
//! A file is a row of records, each of a length, its checksum, the record, and its checksum (`TFRecord`, TensorFlow's
//! `tensorflow/core/lib/io/record_writer.h`): little endian, CRC-32C, masked as `(crc >> 15 | crc << 17) + 0xa282ead8`.
//! A record is an `Event` (`tensorflow/core/util/event.proto`) in protocol buffers: wall time, step, and a summary of
//! scalars.

use std::path::{Path, PathBuf};

use super::folder::{METRICS, Run};
use super::record::RunRecord;
use crate::error::Result;
use crate::training::manifest;

/// Added to the turned checksum.
const MASK: u32 = 0xa282_ead8;

/// Writes the event file of a run into a folder, which is made, and returns its path; `None` without any metrics.
///
/// Curves are `loss`, `lr`, `grad_norm`, `tokens`, `flops` and, where there are any, `auxiliary` (losses beside the
/// cross-entropy) and `bits_per_param` (what a probe found); what was measured after training stands under `measured/` at the last step.
///
/// # Errors
/// A file of the run is damaged, or the event file cannot be written.
pub fn write(run: &Run, folder: &Path) -> Result<Option<PathBuf>> {
    let lines = run.history()?.lines;
    let Some(last) = lines.last() else { return Ok(None) };
    let record = run.is_finished().then(|| run.record()).transpose()?;
    let end = ended(run, record.as_ref());
    let mut bytes = framed(&version(end - last.seconds));
    for line in &lines {
        let mut scalars = vec![
            ("loss", line.loss),
            ("lr", line.lr),
            ("grad_norm", line.grad_norm),
            ("tokens", line.tokens as f64),
            ("flops", line.flops),
        ];
        scalars.extend(line.auxiliary.map(|loss| ("auxiliary", loss)));
        scalars.extend(line.probe.map(|bits| ("bits_per_param", bits)));
        bytes.extend(framed(&scalars_at(end - last.seconds + line.seconds, line.step, &scalars)));
    }
    if let Some(record) = &record {
        bytes.extend(framed(&scalars_at(end, last.step, &measured(record))));
    }
    std::fs::create_dir_all(folder).map_err(|e| crate::error::Error::io("create", folder, e))?;
    let path = folder.join(format!("events.out.tfevents.{:010}.zoo", (end - last.seconds).max(0.0) as u64));
    manifest::write_atomically(&path, &bytes)?;
    Ok(Some(path))
}

fn measured(record: &RunRecord) -> Vec<(&'static str, f64)> {
    let measured = &record.measurements;
    let mut scalars = vec![("measured/final_loss", record.training.final_loss)];
    if let Some(capacity) = &measured.capacity {
        scalars.push(("measured/bits_per_param", capacity.bits_per_param));
        scalars.push(("measured/fully_known", capacity.fully_known));
    }
    scalars.extend(measured.held_out.map(|loss| ("measured/held_out_nats_per_token", loss.nats_per_token)));
    scalars.extend(measured.answers.as_ref().map(|answers| ("measured/right_answers", answers.accuracy)));
    scalars
}

/// Seconds since 1970 at the end of training, or about that.
fn ended(run: &Run, record: Option<&RunRecord>) -> f64 {
    let told = record.and_then(|record| record.environment.finished.parse::<jiff::Timestamp>().ok());
    let written = || {
        let time = std::fs::metadata(run.file(METRICS)).and_then(|meta| meta.modified()).ok()?;
        Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs_f64())
    };
    told.map(|time| time.as_second() as f64).or_else(written).unwrap_or(0.0)
}

/// The record that opens a file.
fn version(wall_time: f64) -> Vec<u8> {
    let mut event = double(1, wall_time);
    event.extend(delimited(3, b"brain.Event:2"));
    event
}

/// The record of some scalars at a step.
fn scalars_at(wall_time: f64, step: u64, scalars: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in scalars {
        let mut scalar = delimited(1, tag.as_bytes());
        scalar.push(2 << 3 | 5);
        scalar.extend((*value as f32).to_le_bytes());
        summary.extend(delimited(1, &scalar));
    }
    let mut event = double(1, wall_time);
    event.push(2 << 3);
    event.extend(varint(step));
    event.extend(delimited(5, &summary));
    event
}

fn double(field: u8, value: f64) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 1];
    bytes.extend(value.to_le_bytes());
    bytes
}

fn delimited(field: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 2];
    bytes.extend(varint(content.len() as u64));
    bytes.extend(content);
    bytes
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn framed(record: &[u8]) -> Vec<u8> {
    let length = (record.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), record, &masked(record)].concat()
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a file, with their checksums looked at.
    fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked(&bytes[..8]));
            let (record, rest) = bytes[12..].split_at(length);
            assert_eq!(rest[..4], masked(record));
            found.push(record);
            bytes = &rest[4..];
        }
        found
    }

    #[test]
    fn the_checksum_is_that_of_the_published_example() {
        // RFC 3720, appendix B.4: 32 bytes of zeros have the CRC-32C 8a9136aa.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(u32::from_le_bytes(masked(&[0; 32])), 0x0fd7_fffa, "turned by 15 bits, plus a282ead8");
    }

    #[test]
    fn records_read_back_and_hold_what_protocol_buffers_say() {
        let bytes = [framed(&version(1.5)), framed(&scalars_at(2.0, 300, &[("loss", 0.5)]))].concat();
        let records = records(&bytes);
        assert_eq!(records[0], [&[9][..], &1.5f64.to_le_bytes(), &[26, 13], b"brain.Event:2"].concat());
        let scalar = [&[10, 4][..], b"loss", &[21], &0.5f32.to_le_bytes()].concat();
        let summary = [&[10, scalar.len() as u8][..], &scalar].concat();
        let tail = [&[16, 0xac, 2, 42, summary.len() as u8][..], &summary].concat();
        assert_eq!(records[1], [&[9][..], &2.0f64.to_le_bytes(), &tail].concat());
    }
}
