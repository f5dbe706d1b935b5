//! Server-sent events: the system at once and after every change.
//!
//! A reader that is slower than the changes skips states and always gets the newest. One that takes nothing for a while is
//! dropped and counted, so that it holds neither memory nor a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pinnace_http::{Body, BodySender};
use pinnace_types::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{interval, timeout};

use crate::hub::App;
use crate::knowledge::KnownSystem;
use crate::refusal::Refusal;

/// Readers at the same time.
const MAX_READERS: usize = 64;
/// Events that wait for one reader.
const QUEUE: usize = 4;
/// How long a full queue may stay full.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a silent stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The readers of the events.
#[derive(Debug)]
pub(crate) struct Readers {
    places: Arc<Semaphore>,
    dropped: AtomicU64,
}

impl Default for Readers {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_READERS)), dropped: AtomicU64::new(0) }
    }
}

/// A stream for one more reader.
pub(crate) fn subscribe(app: &App) -> Result<Body, Refusal> {
    let place = Arc::clone(&app.readers.places).try_acquire_owned().map_err(|_| {
        Refusal::new(ErrorCode::Unavailable, format!("{MAX_READERS} readers follow the events already"))
    })?;
    let (sender, body) = Body::channel(QUEUE);
    let (known, readers, drain) = (app.knowledge.watch(), Arc::clone(&app.readers), app.drain.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = reader_task(sender, known, readers, place) => {}
            () = drain.begun() => {}
        }
    });
    Ok(body)
}

/// The metrics of the readers, in the text format.
pub(crate) fn render_metrics(app: &App) -> String {
    let open = MAX_READERS - app.readers.places.available_permits();
    let dropped = app.readers.dropped.load(Ordering::Relaxed);
    format!(
        "# HELP pinnace_event_readers Open event streams.\n# TYPE pinnace_event_readers gauge\n\
         pinnace_event_readers{{service_name=\"hub\"}} {open}\n\
         # HELP pinnace_event_readers_dropped_total Event streams that were ended because nobody read them.\n\
         # TYPE pinnace_event_readers_dropped_total counter\n\
         pinnace_event_readers_dropped_total{{service_name=\"hub\"}} {dropped}\n\
         # HELP pinnace_registry_index The index of the registry's last change.\n# TYPE pinnace_registry_index gauge\n\
         pinnace_registry_index{{service_name=\"hub\"}} {}\n",
        app.knowledge.store().index()
    )
}

async fn reader_task(
    sender: BodySender,
    mut known: watch::Receiver<Option<Arc<KnownSystem>>>,
    readers: Arc<Readers>,
    _place: OwnedSemaphorePermit,
) {
    let mut heartbeat = interval(HEARTBEAT);
    known.mark_changed();
    loop {
        let text = tokio::select! {
            changed = known.changed() => match changed {
                Ok(()) => event(known.borrow_and_update().as_deref()),
                Err(_) => return,
            },
            _ = heartbeat.tick() => Some(": alive\n\n".to_owned()),
            () = sender.closed() => return,
        };
        let Some(text) = text else { continue };
        match timeout(PATIENCE, sender.send(text)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                readers.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("a reader of the events was dropped because it took none");
                return;
            }
        }
    }
}

fn event(known: Option<&KnownSystem>) -> Option<String> {
    let document = serde_json::to_string(known?).ok()?;
    Some(format!("event: system\ndata: {document}\n\n"))
}
