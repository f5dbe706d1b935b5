//! Writing for a reader that may be slow, stopped or gone: a thread of its own does it, so that whoever else is on the
//! runtime's one thread never waits for a terminal.
//!
//! Data goes to standard output, talk to standard error; colour is taken out where there is no terminal.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// Pieces that wait to be written.
const QUEUE: usize = 64;

/// Hands texts to the thread.
#[derive(Debug)]
pub(crate) struct Printer {
    pieces_tx: mpsc::Sender<Piece>,
    closed: Arc<AtomicBool>,
    done: oneshot::Receiver<()>,
}

#[derive(Debug)]
enum Piece {
    Data(String),
    Talk(String),
}

impl Printer {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        Self::with(|text| anstream::stdout().lock().write_all(text.as_bytes()))
    }

    fn with(data: impl FnMut(&str) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (pieces_tx, pieces_rx) = mpsc::channel(QUEUE);
        let (done_tx, done) = oneshot::channel();
        let closed = Arc::new(AtomicBool::new(false));
        let seen_closed = Arc::clone(&closed);
        std::thread::Builder::new().name("pinnace-printer".to_owned()).spawn(move || {
            write(pieces_rx, data, &seen_closed);
            // Nobody may be waiting.
            let _ = done_tx.send(());
        })?;
        Ok(Self { pieces_tx, closed, done })
    }

    /// Writes to standard output; waits where the reader is slow.
    pub(crate) async fn data(&self, text: String) {
        let _ = self.pieces_tx.send(Piece::Data(text)).await;
    }

    /// Writes a line to standard error; waits likewise.
    pub(crate) async fn talk(&self, line: impl Into<String>) {
        let _ = self.pieces_tx.send(Piece::Talk(line.into())).await;
    }

    /// Whether nobody reads standard output any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Waits until all is written, but not for ever: the terminal may be stopped.
    pub(crate) async fn finish(self, patience: Duration) {
        let Self { pieces_tx, closed: _, done } = self;
        drop(pieces_tx);
        let _ = tokio::time::timeout(patience, done).await;
    }
}

fn write(mut pieces: mpsc::Receiver<Piece>, mut data: impl FnMut(&str) -> io::Result<()>, closed: &AtomicBool) {
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Data(_) if closed.load(Ordering::Relaxed) => {}
            Piece::Data(text) => closed.store(data(&text).is_err(), Ordering::Relaxed),
            // A closed standard error cannot be told to anyone.
            Piece::Talk(line) => {
                let _ = writeln!(anstream::stderr(), "{line}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::Printer;

    #[tokio::test]
    async fn all_is_written_before_it_has_finished() {
        let written = Arc::new(Mutex::new(String::new()));
        let target = Arc::clone(&written);
        let printer = Printer::with(move |text| {
            target.lock().push_str(text);
            Ok(())
        });
        let printer = printer.unwrap();
        for number in 0..200 {
            printer.data(format!("{number},")).await;
        }
        printer.finish(Duration::from_secs(20)).await;
        assert!(written.lock().starts_with("0,1,2,") && written.lock().ends_with(",199,"));
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_is_noticed_and_harmless() {
        let printer = Printer::with(|_| Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        while !printer.is_closed() {
            printer.data("x".to_owned()).await;
            tokio::task::yield_now().await;
        }
        printer.data("x".to_owned()).await;
        printer.finish(Duration::from_secs(20)).await;
    }

    #[tokio::test]
    async fn a_stopped_terminal_is_not_waited_for() {
        let (release, held) = mpsc::channel::<()>();
        let printer = Printer::with(move |_| held.recv().map_err(io::Error::other)).unwrap();
        printer.data("x".to_owned()).await;
        printer.finish(Duration::from_millis(10)).await;
        drop(release);
    }
}
