//! The lines that the processes of a system write: kept in memory for readers, and in a file for each service.
//!
//! Whoever writes a line never waits: memory is a ring, a reader that falls behind is told how many lines it missed, and
//! files are written by a thread of their own (`writer`), so that a slow or full disk stops neither a service nor the
//! supervisor. `pump` makes lines out of what comes through a pipe.

mod pump;
mod writer;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use pinnace_types::ServiceName;
use pinnace_types::control::{LogLine, LogStream};
use tokio::io::AsyncRead;
use tokio::sync::broadcast;

use writer::Writer;

/// What is kept of each service in memory, by lines and by bytes.
const RING_LINES: usize = 2000;
const RING_BYTES: usize = 4 << 20;
/// Lines that a reader may be behind before it misses some.
const BEHIND: usize = 2048;
/// What is kept of one line, in bytes of text.
const MAX_LINE: usize = 64 << 10;

/// All lines of a system. Clones share them; when the last one is dropped, the files are complete.
#[derive(Clone, Debug)]
pub struct Logs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// One lock for all services, so that lines have one order everywhere.
    memory: Mutex<Memory>,
    lines_tx: broadcast::Sender<Arc<LogLine>>,
    writer: Writer,
}

#[derive(Debug, Default)]
struct Memory {
    rings: HashMap<ServiceName, Ring>,
    next: u64,
}

#[derive(Debug, Default)]
struct Ring {
    /// Each line with its place in the order of all lines.
    lines: VecDeque<(u64, Arc<LogLine>)>,
    bytes: usize,
}

impl Logs {
    /// Keeps the files in this folder, `<service>.log` and, once that was full, `<service>.log.1`.
    ///
    /// It cannot fail: where files cannot be written, lines are kept in memory alone, which is warned of once and counted.
    pub fn open(folder: &Path) -> Self {
        let (lines_tx, _) = broadcast::channel(BEHIND);
        let writer = Writer::start(folder.to_owned());
        Self { shared: Arc::new(Shared { folder: folder.to_owned(), memory: Mutex::default(), lines_tx, writer }) }
    }

    /// The file of a service.
    pub fn file(&self, service: &ServiceName) -> PathBuf {
        writer::file(&self.shared.folder, service)
    }

    /// Takes one line that an instance wrote.
    pub fn line(&self, service: &ServiceName, instance: &str, stream: LogStream, mut text: String) {
        cut(&mut text);
        let mut memory = self.shared.memory.lock();
        let line = Arc::new(LogLine {
            time: Timestamp::now(),
            service: service.clone(),
            instance: instance.to_owned(),
            stream,
            text,
        });
        memory.keep(Arc::clone(&line));
        // Nobody has to be listening.
        let _ = self.shared.lines_tx.send(Arc::clone(&line));
        self.shared.writer.write(line);
    }

    /// The supervisor speaks about an instance; several lines are taken one by one.
    pub fn say(&self, service: &ServiceName, instance: &str, text: impl Into<String>) {
        for line in text.into().lines() {
            self.line(service, instance, LogStream::Supervisor, line.to_owned());
        }
    }

    /// Takes every line that comes through a pipe, to its end. A pipe that breaks ends like one that is closed.
    pub async fn pump(
        &self,
        service: &ServiceName,
        instance: &str,
        stream: LogStream,
        pipe: impl AsyncRead + Send + Unpin,
    ) {
        pump::pump(pipe, |text| self.line(service, instance, stream, text)).await;
    }

    /// The last lines of one service or of all, in the order in which they were written.
    pub fn tail(&self, service: Option<&ServiceName>, lines: usize) -> Vec<Arc<LogLine>> {
        self.shared.memory.lock().tail(service, lines)
    }

    /// Every line from now on, of all services. A reader that is too slow is told how many lines it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<LogLine>> {
        self.shared.lines_tx.subscribe()
    }

    /// The last lines and all that follow: none is missing between the two and none is in both.
    pub fn follow(
        &self,
        service: Option<&ServiceName>,
        lines: usize,
    ) -> (Vec<Arc<LogLine>>, broadcast::Receiver<Arc<LogLine>>) {
        let memory = self.shared.memory.lock();
        (memory.tail(service, lines), self.shared.lines_tx.subscribe())
    }

    /// Lines that are in no file, because the disk did not take them.
    pub fn unwritten(&self) -> u64 {
        self.shared.writer.unwritten()
    }
}

impl Memory {
    fn keep(&mut self, line: Arc<LogLine>) {
        let place = self.next;
        self.next += 1;
        // Names are those of the manifest, so that there are no more rings than services.
        let ring = self.rings.entry(line.service.clone()).or_default();
        ring.bytes += line.text.len();
        ring.lines.push_back((place, line));
        while ring.lines.len() > RING_LINES || ring.bytes > RING_BYTES {
            let Some((_, oldest)) = ring.lines.pop_front() else { break };
            ring.bytes -= oldest.text.len();
        }
    }

    fn tail(&self, service: Option<&ServiceName>, lines: usize) -> Vec<Arc<LogLine>> {
        let rings = self.rings.iter().filter(|(name, _)| service.is_none_or(|wanted| *name == wanted));
        let mut found: Vec<_> = rings.flat_map(|(_, ring)| ring.lines.iter().rev().take(lines)).collect();
        found.sort_unstable_by_key(|(place, _)| *place);
        let surplus = found.len().saturating_sub(lines);
        found.drain(surplus..).map(|(_, line)| Arc::clone(line)).collect()
    }
}

/// Shortens a text that is too long and says by how much.
fn cut(text: &mut String) {
    if text.len() > MAX_LINE {
        let keep = text.floor_char_boundary(MAX_LINE - pump::NOTE);
        let note = pump::note(text.len() - keep);
        text.truncate(keep);
        text.push_str(&note);
    }
}

#[cfg(test)]
mod tests {
    use super::{BEHIND, Logs, MAX_LINE, RING_LINES};
    use pinnace_types::ServiceName;
    use pinnace_types::control::LogStream;
    use tokio::sync::broadcast::error::RecvError;

    fn name(name: &str) -> ServiceName {
        ServiceName::try_new(name).unwrap()
    }

    fn texts(logs: &Logs, service: Option<&ServiceName>, lines: usize) -> Vec<String> {
        logs.tail(service, lines).iter().map(|line| line.text.clone()).collect()
    }

    #[test]
    fn the_last_lines_of_several_services_come_in_the_order_of_writing() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path());
        let (orders, catalog) = (name("orders"), name("catalog"));
        for number in 0..6 {
            let service = if number % 3 == 0 { &catalog } else { &orders };
            logs.line(service, "x-1", LogStream::Stdout, number.to_string());
        }
        assert_eq!(texts(&logs, None, 4), ["2", "3", "4", "5"]);
        assert_eq!(texts(&logs, Some(&orders), 3), ["2", "4", "5"]);
        assert_eq!(texts(&logs, Some(&catalog), 100), ["0", "3"]);
        assert_eq!(texts(&logs, Some(&name("none")), 100), [""; 0]);
        assert_eq!(texts(&logs, None, 0), [""; 0]);
    }

    #[test]
    fn memory_is_bounded_by_lines_and_by_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path());
        let orders = name("orders");
        for number in 0..=RING_LINES {
            logs.line(&orders, "orders-1", LogStream::Stdout, number.to_string());
        }
        assert_eq!(logs.tail(None, usize::MAX).len(), RING_LINES);
        for _ in 0..100 {
            logs.line(&orders, "orders-1", LogStream::Stdout, "x".repeat(MAX_LINE));
        }
        assert_eq!(logs.tail(None, usize::MAX).len(), 64, "64 lines of 64 KiB are 4 MiB");
    }

    #[test]
    fn a_line_that_is_too_long_says_how_much_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path());
        logs.line(&name("orders"), "orders-1", LogStream::Stdout, "é".repeat(MAX_LINE));
        let line = logs.tail(None, 1).remove(0);
        assert!(line.text.len() <= MAX_LINE, "{}", line.text.len());
        assert_eq!(line.text.trim_start_matches('é'), " … (65576 bytes more)");
    }

    #[tokio::test]
    async fn a_follower_sees_every_line_once_and_a_slow_one_is_told_what_it_missed() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path());
        let orders = name("orders");
        logs.say(&orders, "orders-1", "before\nand this");
        let (before, mut after) = logs.follow(Some(&orders), 10);
        assert_eq!(before.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["before", "and this"]);
        assert_eq!(before[0].stream, LogStream::Supervisor);
        for number in 0..BEHIND + 5 {
            logs.line(&orders, "orders-1", LogStream::Stdout, number.to_string());
        }
        assert_eq!(after.recv().await, Err(RecvError::Lagged(5)));
        assert_eq!(after.recv().await.unwrap().text, "5");
    }

    #[tokio::test]
    async fn what_comes_through_a_pipe_becomes_lines() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path());
        let orders = name("orders");
        logs.pump(&orders, "orders-1", LogStream::Stderr, &b"one\r\n\ntw\xffo"[..]).await;
        assert_eq!(texts(&logs, None, 9), ["one", "", "tw\u{fffd}o"]);
        assert_eq!(logs.tail(None, 1)[0].stream, LogStream::Stderr);
    }
}
