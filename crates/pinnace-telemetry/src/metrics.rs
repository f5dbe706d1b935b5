//! The metrics of one service, shared by its parent and all its workers through memory.
//!
//! Each worker owns a block of atomic counters; a reader adds the blocks up. A counter is never reset, so a restarted worker
//! goes on where its dead predecessor stood, and a sum is exact over any number of workers, reloads and crashes. A request is
//! counted by one atomic addition (to its histogram bucket), from which counts and totals are derived: a process that is
//! killed at any instruction leaves no half-counted request.
//!
//! Each request in flight holds a slot with its id, so that the parent can name what a killed worker had begun. A request is
//! counted first and its slot freed afterwards: a kill between the two names a request that was also counted; none is missed.

mod layout;
mod render;
mod series;
mod slots;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pinnace_os::SharedMemory;
use pinnace_types::{GrpcCode, RequestId};

use layout::{Header, Worker};
use slots::SLOTS;

/// The parent's side: names lost requests, resets what a dead worker held, renders.
#[derive(Clone, Debug)]
pub struct ServiceMetrics {
    table: Table,
}

/// A worker's side: counts.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    table: Table,
    worker: u32,
}

/// A request that was begun and not answered yet. Dropped without [`InFlight::finish`], it is counted as abandoned.
#[derive(Debug)]
pub struct InFlight {
    metrics: WorkerMetrics,
    slot: Option<u32>,
    finished: bool,
}

/// An open connection; counted until it is dropped.
#[derive(Debug)]
pub struct ConnectionGuard {
    metrics: WorkerMetrics,
}

/// Why shared metrics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The memory could not be made or mapped.
    #[error("cannot map the shared metrics")]
    Memory(#[source] io::Error),
    /// The memory was laid out by another build.
    #[error("the shared metrics were made by another version of pinnace")]
    Foreign,
    /// There is no such worker.
    #[error("there is no worker {worker} in shared metrics for {workers}")]
    NoWorker {
        /// The index that was asked for.
        worker: u32,
        /// How many there are.
        workers: u32,
    },
}

/// The memory and how many workers it has room for.
#[derive(Clone, Debug)]
struct Table {
    memory: Arc<SharedMemory>,
    workers: u32,
}

// ---- ServiceMetrics ----

impl ServiceMetrics {
    /// Makes memory for this many workers, at the same time: a reload needs room for the old and the new ones. The descriptor
    /// is what a worker attaches to. Memory is only used for what is counted; about 30 KiB a worker.
    pub fn create(workers: u32, started_at: Timestamp) -> Result<(Self, OwnedFd), MetricsError> {
        let memory = SharedMemory::create("pinnace-metrics", layout::words(workers)).map_err(MetricsError::Memory)?;
        let descriptor = memory.descriptor().map_err(MetricsError::Memory)?;
        let table = Table { memory: Arc::new(memory), workers };
        layout::initialise(table.words(), workers, started_at);
        Ok((Self { table }, descriptor))
    }

    /// The worker's side within this process, for a server that is its own worker.
    pub fn worker(&self, worker: u32) -> Result<WorkerMetrics, MetricsError> {
        self.table.clone().into_worker(worker)
    }

    /// The ids of the requests that a dead worker had begun and not answered. Call it after the process has been reaped and
    /// before [`Self::reset`].
    pub fn lost_requests(&self, worker: u32) -> Vec<RequestId> {
        if worker >= self.table.workers {
            return Vec::new();
        }
        slots::active_ids(self.table.worker(worker))
    }

    /// Counts what a dead worker lost and frees its slots and gauges for its successor; its counters stay.
    pub fn reset(&self, worker: u32) {
        if worker >= self.table.workers {
            return;
        }
        let block = self.table.worker(worker);
        let unnamed = block.word(Worker::UnnamedActive).swap(0, Ordering::AcqRel);
        let lost = slots::free_all(block) + unnamed;
        self.table.header(Header::Lost).fetch_add(lost, Ordering::Relaxed);
        block.word(Worker::Active).store(0, Ordering::Relaxed);
        block.word(Worker::Connections).store(0, Ordering::Release);
    }

    /// How often a worker has said that it is alive; the number goes on with its successor.
    pub fn beats(&self, worker: u32) -> u64 {
        if worker >= self.table.workers {
            return 0;
        }
        self.table.worker(worker).word(Worker::Beats).load(Ordering::Relaxed)
    }

    /// How many requests were answered by all who have had this worker's place so far.
    pub fn answered_by(&self, worker: u32) -> u64 {
        if worker >= self.table.workers {
            return 0;
        }
        series::answered(self.table.worker(worker))
    }

    /// Says how many workers answer now.
    pub fn set_ready_workers(&self, workers: u32) {
        self.table.header(Header::ReadyWorkers).store(u64::from(workers), Ordering::Relaxed);
    }

    /// Counts a worker that was started again after a crash.
    pub fn count_restart(&self) {
        self.table.header(Header::Restarts).fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> u64 {
        self.table.answered()
    }

    /// How many requests are in flight now.
    pub fn active(&self) -> u64 {
        self.table.sum(Worker::Active)
    }

    /// How many requests died with their workers so far.
    pub fn lost(&self) -> u64 {
        self.table.header(Header::Lost).load(Ordering::Relaxed)
    }

    /// All of it as Prometheus text, format 0.0.4.
    pub fn render_prometheus(&self, service: &str) -> String {
        render::render(&self.table, service)
    }
}

// ---- WorkerMetrics ----

impl WorkerMetrics {
    /// Attaches to the parent's memory as one of its workers.
    pub fn attach(descriptor: OwnedFd, worker: u32) -> Result<Self, MetricsError> {
        Self::over(SharedMemory::attach(descriptor).map_err(MetricsError::Memory)?, worker)
    }

    /// The same by the number of an inherited descriptor. To be asked once.
    pub fn inherit(descriptor: i32, worker: u32) -> Result<Self, MetricsError> {
        Self::over(SharedMemory::inherit(descriptor).map_err(MetricsError::Memory)?, worker)
    }

    fn over(memory: SharedMemory, worker: u32) -> Result<Self, MetricsError> {
        let workers = layout::check(memory.words()).ok_or(MetricsError::Foreign)?;
        Table { memory: Arc::new(memory), workers }.into_worker(worker)
    }

    /// Begins a request: it is active from now on, and named if this process dies.
    pub fn begin(&self, id: &RequestId) -> InFlight {
        let block = self.block();
        let slot = slots::claim(block, id);
        if slot.is_none() {
            block.word(Worker::UnnamedActive).fetch_add(1, Ordering::Relaxed);
            block.word(Worker::SlotOverflow).fetch_add(1, Ordering::Relaxed);
        }
        block.word(Worker::Active).fetch_add(1, Ordering::Relaxed);
        InFlight { metrics: self.clone(), slot, finished: false }
    }

    /// Counts a connection that was accepted, and its end.
    pub fn connection(&self) -> ConnectionGuard {
        self.block().word(Worker::ConnectionsAccepted).fetch_add(1, Ordering::Relaxed);
        self.block().word(Worker::Connections).fetch_add(1, Ordering::Relaxed);
        ConnectionGuard { metrics: self.clone() }
    }

    /// Says that this worker is alive: whatever runs this has its turn.
    pub fn beat(&self) {
        self.block().word(Worker::Beats).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was answered with 503 because the service is full.
    pub fn reject(&self) {
        self.block().word(Worker::Rejected).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was answered with 503 because the worker is overloaded.
    pub fn shed(&self) {
        self.block().word(Worker::Shed).fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests all workers have answered so far.
    pub fn answered(&self) -> u64 {
        self.table.answered()
    }

    /// The whole service's metrics, whichever worker is asked.
    pub fn render_prometheus(&self, service: &str) -> String {
        render::render(&self.table, service)
    }

    fn block(&self) -> layout::Block<'_> {
        self.table.worker(self.worker)
    }
}

// ---- InFlight ----

impl InFlight {
    /// Counts how the gRPC call that this request is has ended. Call it before [`Self::finish`].
    pub fn count_grpc(&self, code: GrpcCode) {
        self.metrics.block().grpc()[usize::from(code.number())].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the request as answered. Call it before the response's last bytes go to the kernel: then a worker that is
    /// killed afterwards has lost nothing that its client saw.
    pub fn finish(mut self, method: &str, status: u16, duration: Duration) {
        series::observe(self.metrics.block(), method, status, duration);
        self.finished = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let block = self.metrics.block();
        if !self.finished {
            block.word(Worker::Abandoned).fetch_add(1, Ordering::Relaxed);
        }
        block.word(Worker::Active).fetch_sub(1, Ordering::Relaxed);
        match self.slot {
            Some(slot) => slots::free(block, slot),
            None => {
                block.word(Worker::UnnamedActive).fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

// ---- ConnectionGuard ----

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.metrics.block().word(Worker::Connections).fetch_sub(1, Ordering::Relaxed);
    }
}

// ---- Table ----

impl Table {
    fn words(&self) -> &[AtomicU64] {
        self.memory.words()
    }

    fn header(&self, word: Header) -> &AtomicU64 {
        &self.words()[word as usize]
    }

    fn worker(&self, worker: u32) -> layout::Block<'_> {
        layout::block(self.words(), worker)
    }

    fn blocks(&self) -> impl Iterator<Item = layout::Block<'_>> {
        (0..self.workers).map(|worker| self.worker(worker))
    }

    fn sum(&self, word: Worker) -> u64 {
        self.blocks().map(|block| block.word(word).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    fn answered(&self) -> u64 {
        self.blocks().map(series::answered).sum()
    }

    fn into_worker(self, worker: u32) -> Result<WorkerMetrics, MetricsError> {
        let workers = self.workers;
        if worker >= workers {
            return Err(MetricsError::NoWorker { worker, workers });
        }
        Ok(WorkerMetrics { table: self, worker })
    }
}

#[cfg(test)]
mod tests;
