//! The thread that writes log files: what a disk does, or does not do, is felt here alone.
//!
//! A file is opened for each batch of lines, so that it may be removed, emptied or moved at any time. What cannot be
//! written is not tried again: the file says how many lines are missing, as soon as it can be written again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use parking_lot::Mutex;
use pinnace_types::ServiceName;
use pinnace_types::control::{LogLine, LogStream};
use tokio::sync::mpsc;

/// Bytes that a file may have; then it becomes the old one.
const MAX_FILE: u64 = 16 << 20;
/// Lines and bytes that wait for the disk; more are not written.
const WAITING_LINES: usize = 32 << 10;
const WAITING_BYTES: usize = 16 << 20;
/// Bytes that are written at once.
const BATCH: usize = 1 << 20;

/// Hands lines to the thread; dropping it waits until they are written.
#[derive(Debug)]
pub(super) struct Writer {
    lines_tx: Option<mpsc::Sender<Arc<LogLine>>>,
    thread: Option<JoinHandle<()>>,
    account: Arc<Account>,
}

/// What both sides know.
#[derive(Debug, Default)]
struct Account {
    waiting_bytes: AtomicUsize,
    unwritten: AtomicU64,
    /// Lines that are missing and have not been told in the file of their service.
    gaps: Mutex<HashMap<ServiceName, u64>>,
}

#[derive(Debug, Default)]
struct Batch {
    text: String,
    lines: u64,
}

/// The thread's own.
struct Files {
    folder: PathBuf,
    account: Arc<Account>,
    /// Whose file did not take the last lines.
    failing: BTreeSet<ServiceName>,
}

/// The file of a service.
pub(super) fn file(folder: &Path, service: &ServiceName) -> PathBuf {
    folder.join(format!("{service}.log"))
}

impl Writer {
    pub(super) fn start(folder: PathBuf) -> Self {
        let (lines_tx, lines_rx) = mpsc::channel(WAITING_LINES);
        let account = Arc::new(Account::default());
        let files = Files { folder, account: Arc::clone(&account), failing: BTreeSet::new() };
        let thread = std::thread::Builder::new().name("pinnace-logs".to_owned()).spawn(move || files.write(lines_rx));
        if let Err(error) = &thread {
            tracing::warn!(%error, "log files cannot be written, lines are kept in memory alone");
        }
        Self { lines_tx: Some(lines_tx), thread: thread.ok(), account }
    }

    /// Never waits: what finds no room is counted as missing.
    pub(super) fn write(&self, line: Arc<LogLine>) {
        let (service, bytes) = (line.service.clone(), line.text.len());
        let waiting = self.account.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent =
            waiting + bytes <= WAITING_BYTES && self.lines_tx.as_ref().is_some_and(|tx| tx.try_send(line).is_ok());
        if !sent {
            self.account.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.account.miss(service, 1);
        }
    }

    pub(super) fn unwritten(&self) -> u64 {
        self.account.unwritten.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.lines_tx = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Account {
    fn miss(&self, service: ServiceName, lines: u64) {
        self.unwritten.fetch_add(lines, Ordering::Relaxed);
        *self.gaps.lock().entry(service).or_default() += lines;
    }
}

impl Files {
    fn write(mut self, mut lines_rx: mpsc::Receiver<Arc<LogLine>>) {
        while let Some(first) = lines_rx.blocking_recv() {
            let mut batches: BTreeMap<ServiceName, Batch> = BTreeMap::new();
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(line) = next {
                bytes += line.text.len();
                let batch = batches.entry(line.service.clone()).or_default();
                batch.add(&line);
                next = if bytes < BATCH { lines_rx.try_recv().ok() } else { None };
            }
            for (service, batch) in batches {
                self.append(&service, &batch);
            }
            self.account.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    fn append(&mut self, service: &ServiceName, batch: &Batch) {
        let path = file(&self.folder, service);
        let gap = self.account.gaps.lock().remove(service).unwrap_or_default();
        let result = if gap == 0 {
            append(&path, &batch.text)
        } else {
            append(&path, &format!("… {gap} lines are missing here: the disk did not take them\n{}", batch.text))
        };
        match result {
            Ok(()) => {
                if self.failing.remove(service) && self.failing.is_empty() {
                    tracing::info!("log files are written again");
                }
            }
            Err(error) => {
                if gap > 0 {
                    *self.account.gaps.lock().entry(service.clone()).or_default() += gap;
                }
                self.account.miss(service.clone(), batch.lines);
                if self.failing.is_empty() {
                    tracing::warn!(%error, "log files cannot be written, lines are kept in memory alone");
                }
                self.failing.insert(service.clone());
            }
        }
    }
}

impl Batch {
    fn add(&mut self, line: &LogLine) {
        let letter = match line.stream {
            LogStream::Stdout => 'o',
            LogStream::Stderr => 'e',
            LogStream::Supervisor => 's',
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:.3} {} {letter} {}", line.time, line.instance, line.text);
        self.lines += 1;
    }
}

/// Writes all of it or nothing.
fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = open(path)?;
    let mut length = file.metadata()?.len();
    if length > 0 && length + text.len() as u64 > MAX_FILE {
        fs_err::rename(path, path.with_extension("log.1"))?;
        file = open(path)?;
        length = 0;
    }
    file.write_all(text.as_bytes()).inspect_err(|_| {
        // Half a line would be read as a line; a device that cannot be shortened is no file of ours.
        let _ = file.set_len(length);
    })
}

fn open(path: &Path) -> io::Result<fs_err::File> {
    let mut options = fs_err::OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Somebody removed the folder.
            let folder = path.parent().unwrap_or(path);
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            options.open(path)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;
    use std::sync::Arc;

    use super::{MAX_FILE, Writer};
    use pinnace_types::ServiceName;
    use pinnace_types::control::{LogLine, LogStream};

    fn line(stream: LogStream, text: &str) -> Arc<LogLine> {
        Arc::new(LogLine {
            time: "2026-11-24T07:30:00.1234Z".parse().unwrap(),
            service: ServiceName::try_new("orders").unwrap(),
            instance: "orders-1".to_owned(),
            stream,
            text: text.to_owned(),
        })
    }

    /// Writes lines and waits until the disk has them.
    fn write(folder: &Path, lines: &[Arc<LogLine>]) -> u64 {
        let writer = Writer::start(folder.to_owned());
        for line in lines {
            writer.write(Arc::clone(line));
        }
        let account = Arc::clone(&writer.account);
        drop(writer);
        account.unwritten.load(std::sync::atomic::Ordering::Relaxed)
    }

    #[test]
    fn a_file_is_plain_text_and_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        // The folder is made where it is absent.
        let logs = folder.path().join("logs");
        write(&logs, &[line(LogStream::Stdout, "one"), line(LogStream::Stderr, "two")]);
        write(&logs, &[line(LogStream::Supervisor, "three")]);
        let file = logs.join("orders.log");
        assert_eq!(
            fs_err::read_to_string(&file).unwrap(),
            "2026-11-24T07:30:00.123Z orders-1 o one\n\
             2026-11-24T07:30:00.123Z orders-1 e two\n\
             2026-11-24T07:30:00.123Z orders-1 s three\n"
        );
        assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_file_becomes_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.log");
        for filling in ["a", "b"] {
            fs_err::write(&file, filling.repeat(usize::try_from(MAX_FILE).unwrap())).unwrap();
            write(folder.path(), &[line(LogStream::Stdout, "one")]);
            assert_eq!(fs_err::read_to_string(&file).unwrap(), "2026-11-24T07:30:00.123Z orders-1 o one\n");
            assert!(fs_err::read_to_string(folder.path().join("orders.log.1")).unwrap().starts_with(filling));
        }
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_full_disk_loses_lines_visibly_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.log");
        symlink("/dev/full", &file).unwrap();
        let writer = Writer::start(folder.path().to_owned());
        writer.write(line(LogStream::Stdout, "one"));
        writer.write(line(LogStream::Stdout, "two"));
        while writer.unwritten() < 2 {
            std::thread::yield_now();
        }
        fs_err::remove_file(&file).unwrap();
        writer.write(line(LogStream::Stdout, "three"));
        drop(writer);
        assert_eq!(
            fs_err::read_to_string(&file).unwrap(),
            "… 2 lines are missing here: the disk did not take them\n2026-11-24T07:30:00.123Z orders-1 o three\n"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("logs");
        fs_err::write(&occupied, "a file").unwrap();
        assert_eq!(write(&occupied, &[line(LogStream::Stdout, "one")]), 1);
    }
}
