//! Where each word of the shared memory is. Parent and worker are the same build; a magic word refuses any other.
//!
//! ```text
//! header, 512 words │ worker 0 │ worker 1 │ …
//! worker: 512 words of gauges, counters, the maps of touched series and taken slots, gRPC statuses │ slots │ histograms │ up to the next page
//! ```
//!
//! Blocks begin on pages of their own, so workers do not fight for cache lines, and pages that nobody touched cost nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use pinnace_types::GrpcCode;

use super::series;
use super::slots;

/// Words of a page of 4 KiB.
const PAGE: usize = 512;
/// "PINNACE" and the number of the layout.
const MAGIC: u64 = u64::from_be_bytes(*b"PINNACE\x03");
/// The map of touched series follows the first sixteen words.
const TOUCHED: usize = 16;
/// The map of taken slots follows that.
const TAKEN: usize = TOUCHED + series::COUNT.div_ceil(64);
/// The counters of gRPC statuses follow that.
const GRPC: usize = TAKEN + slots::SLOTS as usize / 64;
const SLOT_WORDS: usize = PAGE;
const SERIES_WORDS: usize = SLOT_WORDS + slots::SLOTS as usize * slots::WORDS;
const BLOCK: usize = (SERIES_WORDS + series::COUNT * series::WORDS).next_multiple_of(PAGE);

/// The words of the header.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(super) enum Header {
    Magic,
    Workers,
    StartedAtMillis,
    ReadyWorkers,
    Restarts,
    Lost,
}

/// The first words of a worker's block.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(super) enum Worker {
    Active,
    UnnamedActive,
    SlotOverflow,
    Connections,
    ConnectionsAccepted,
    Rejected,
    Abandoned,
    Beats,
    Shed,
}

/// One worker's words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a>(&'a [AtomicU64]);

/// The size of memory for this many workers.
pub(super) const fn words(workers: u32) -> usize {
    PAGE + workers as usize * BLOCK
}

pub(super) fn initialise(words: &[AtomicU64], workers: u32, started_at: Timestamp) {
    let started = u64::try_from(started_at.as_millisecond()).unwrap_or_default();
    words[Header::Workers as usize].store(u64::from(workers), Ordering::Relaxed);
    words[Header::StartedAtMillis as usize].store(started, Ordering::Relaxed);
    words[Header::Magic as usize].store(MAGIC, Ordering::Release);
}

/// How many workers the memory is for, if it is ours and whole.
pub(super) fn check(words: &[AtomicU64]) -> Option<u32> {
    if words.first()?.load(Ordering::Acquire) != MAGIC {
        return None;
    }
    let workers = u32::try_from(words.get(Header::Workers as usize)?.load(Ordering::Relaxed)).ok()?;
    (words.len() >= self::words(workers)).then_some(workers)
}

pub(super) fn block(words: &[AtomicU64], worker: u32) -> Block<'_> {
    let start = PAGE + worker as usize * BLOCK;
    Block(&words[start..start + BLOCK])
}

impl<'a> Block<'a> {
    pub(super) fn word(self, word: Worker) -> &'a AtomicU64 {
        &self.0[word as usize]
    }

    /// One bit for each series that has counted something.
    pub(super) fn touched(self) -> &'a [AtomicU64] {
        &self.0[TOUCHED..TAKEN]
    }

    /// One bit for each slot that is taken.
    pub(super) fn taken(self) -> &'a [AtomicU64] {
        &self.0[TAKEN..GRPC]
    }

    /// How many gRPC calls ended with each status.
    pub(super) fn grpc(self) -> &'a [AtomicU64] {
        &self.0[GRPC..GRPC + GrpcCode::ALL.len()]
    }

    pub(super) fn slot(self, slot: u32) -> &'a [AtomicU64] {
        let start = SLOT_WORDS + slot as usize * slots::WORDS;
        &self.0[start..start + slots::WORDS]
    }

    pub(super) fn series(self, index: usize) -> &'a [AtomicU64] {
        let start = SERIES_WORDS + index * series::WORDS;
        &self.0[start..start + series::WORDS]
    }
}

const _: () = assert!(GRPC + GrpcCode::ALL.len() <= PAGE, "the maps and counters fit into the first page");
const _: () = assert!((Worker::Shed as usize) < TOUCHED, "the first words end before the map");
