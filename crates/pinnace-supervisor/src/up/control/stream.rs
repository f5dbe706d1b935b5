//! The answers that go on: the view after every change, and log lines as they come.
//!
//! Neither queues for a slow reader. It gets the newest view and not those between, and of the lines it is told how many
//! it missed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pinnace_http::{Body, BodySender};
use pinnace_types::ServiceName;
use pinnace_types::control::{LogLine, LogStream, SystemView};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, interval_at};

/// How often a silent stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Bytes of lines that are sent at once.
const PIECE: usize = 64 << 10;
/// Pieces that wait for the connection.
const QUEUE: usize = 1;

/// Server-sent events: the view at once and after every change, to the end of the system.
pub(super) fn events(view: watch::Receiver<SystemView>) -> Body {
    let (sender, body) = Body::channel(QUEUE);
    tokio::spawn(events_task(sender, view));
    body
}

/// These lines and, where there is a receiver, those that follow; each as a line of JSON.
pub(super) fn lines(
    known: Vec<Arc<LogLine>>,
    more: Option<broadcast::Receiver<Arc<LogLine>>>,
    service: Option<ServiceName>,
) -> Body {
    let (sender, body) = Body::channel(QUEUE);
    tokio::spawn(lines_task(sender, known, more, service));
    body
}

/// Ends with the system, or when nobody reads.
async fn events_task(sender: BodySender, mut view: watch::Receiver<SystemView>) {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    view.mark_changed();
    loop {
        let event = tokio::select! {
            changed = view.changed() => match changed {
                Ok(()) => event(&view.borrow_and_update()),
                Err(_) => break,
            },
            _ = heartbeat.tick() => ":\n\n".to_owned(),
            () = sender.closed() => return,
        };
        if sender.send(event).await.is_err() {
            return;
        }
    }
    // A reader that is gone needs no end.
    let _ = sender.finish().await;
}

/// JSON has no line end in it, so that one `data:` line holds all of it.
fn event(view: &SystemView) -> String {
    format!("event: system\ndata: {}\n\n", serde_json::to_string(view).unwrap_or_default())
}

/// Ends with the last known line, or, where more are wanted, with the system or when nobody reads.
async fn lines_task(
    sender: BodySender,
    known: Vec<Arc<LogLine>>,
    more: Option<broadcast::Receiver<Arc<LogLine>>>,
    service: Option<ServiceName>,
) {
    let mut piece = Vec::new();
    for line in known {
        push(&mut piece, &line);
        if piece.len() >= PIECE && sender.send(std::mem::take(&mut piece)).await.is_err() {
            return;
        }
    }
    if !piece.is_empty() && sender.send(std::mem::take(&mut piece)).await.is_err() {
        return;
    }
    if let Some(mut more) = more {
        loop {
            let piece = tokio::select! {
                piece = next_piece(&mut more, service.as_ref()) => piece,
                () = sender.closed() => return,
            };
            let Some(piece) = piece else { break };
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    }
    // A reader that is gone needs no end.
    let _ = sender.finish().await;
}

/// Waits for a line and takes those that are there already; nothing when there will be no more.
async fn next_piece(more: &mut broadcast::Receiver<Arc<LogLine>>, service: Option<&ServiceName>) -> Option<Vec<u8>> {
    let mut piece = Vec::new();
    loop {
        match more.recv().await {
            Ok(line) if service.is_none_or(|wanted| line.service == *wanted) => push(&mut piece, &line),
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => push(&mut piece, &gap(missed, service)),
            Err(RecvError::Closed) => return (!piece.is_empty()).then_some(piece),
        }
        if piece.len() >= PIECE || !piece.is_empty() && more.is_empty() {
            return Some(piece);
        }
    }
}

fn push(piece: &mut Vec<u8>, line: &LogLine) {
    // These types always serialise, and memory takes them.
    let _ = serde_json::to_writer(&mut *piece, line);
    piece.push(b'\n');
}

/// What a reader is told that fell behind. Lines of other services are counted too, as nobody looked at them.
fn gap(missed: u64, service: Option<&ServiceName>) -> LogLine {
    let what = if service.is_some() { "up to " } else { "" };
    LogLine {
        time: Timestamp::now(),
        service: service.cloned().unwrap_or_else(pinnace),
        instance: "pinnace".to_owned(),
        stream: LogStream::Supervisor,
        text: format!("… {what}{missed} lines are missing here: the reader was too slow"),
    }
}

#[expect(clippy::expect_used, reason = "the name is a label")]
fn pinnace() -> ServiceName {
    ServiceName::try_new("pinnace").expect("a label")
}
