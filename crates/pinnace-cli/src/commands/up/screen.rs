//! What `up` shows while it runs: progress, then one overview, then the lines of the services.
//!
//! It watches and never holds anything up: a terminal that is slow makes it miss lines, which it says.

use std::sync::Arc;
use std::time::Duration;

use pinnace_supervisor::up::{Logs, Up};
use pinnace_types::control::{LogLine, LogStream, ServiceKind, SystemView};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, interval_at};

use super::{PATIENCE, overview, progress};
use crate::log_text::LogText;
use crate::printer::Printer;
use progress::Progress;

/// How long it is silent while something is waited for.
const SILENCE: Duration = Duration::from_secs(5);
/// The last lines of a service that does not run, of which the overview chooses.
const LAST_LINES: usize = 40;
/// Bytes of lines that are written at once.
const PIECE: usize = 32 << 10;

/// How things are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The one that shows.
#[derive(Debug)]
pub(super) struct Screen {
    view: watch::Receiver<SystemView>,
    logs: Logs,
    lines: broadcast::Receiver<Arc<LogLine>>,
    printer: Printer,
    form: Form,
    token: String,
    progress: Progress,
    /// The view that was last looked at.
    seen: SystemView,
    /// How lines look, once the overview was shown.
    look: Option<LogText>,
}

impl Screen {
    pub(super) fn new(up: &Up, printer: Printer, form: Form, token: String) -> Self {
        let (view, logs) = (up.view(), up.logs());
        let (lines, seen) = (logs.subscribe(), view.borrow().clone());
        Self { view, logs, lines, printer, form, token, progress: Progress::default(), seen, look: None }
    }

    /// Shows until the system has ended and all was shown.
    pub(super) async fn run(mut self) {
        self.printer.talk(progress::beginning(&self.seen)).await;
        let mut silence = interval_at(Instant::now() + SILENCE, SILENCE);
        loop {
            tokio::select! {
                changed = self.view.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let view = self.view.borrow_and_update().clone();
                    self.look_at(view).await;
                }
                line = self.lines.recv() => {
                    self.show(line).await;
                    silence.reset();
                }
                _ = silence.tick(), if self.look.is_none() => {
                    if let Some(words) = progress::waiting(&self.seen) {
                        self.printer.talk(words).await;
                    }
                }
            }
        }
        while let Ok(line) = self.lines.try_recv() {
            self.show(Ok(line)).await;
        }
        self.printer.finish(PATIENCE).await;
    }

    async fn look_at(&mut self, view: SystemView) {
        let before = std::mem::replace(&mut self.seen, view);
        let words = self.progress.changes(&before, &self.seen);
        if self.look.is_some() {
            for word in words {
                self.printer.talk(word).await;
            }
            self.look = Some(LogText::new(&self.seen, None));
        } else if let Some(word) = words.into_iter().find(|word| word.starts_with("stopping")) {
            self.printer.talk(word).await;
        } else if !self.progress.is_stopping() && progress::is_settled(&self.seen) {
            self.overview().await;
        }
    }

    /// Shows what runs; from now on lines are shown too.
    async fn overview(&mut self) {
        let look = LogText::new(&self.seen, None);
        self.lines = self.logs.subscribe();
        let text = match self.form {
            Form::Json => system_json(&self.seen),
            Form::Text => {
                let last = |service: &_| last_lines(&self.logs, service);
                overview::render(&self.seen, &self.token) + &overview::failures(&self.seen, &look, last)
            }
        };
        self.look = Some(look);
        self.printer.data(text).await;
    }

    /// Shows a line and those that are there already.
    async fn show(&mut self, first: Result<Arc<LogLine>, RecvError>) {
        let mut text = String::new();
        let mut next = first;
        loop {
            match next {
                Ok(line) if self.look.is_some() => self.write(&mut text, &line),
                Ok(line) => {
                    if let Some(words) = self.progress.step(&line) {
                        self.printer.talk(words).await;
                    }
                }
                Err(RecvError::Lagged(missed)) if self.look.is_some() => {
                    let words = format!("… {missed} lines are not shown: this terminal was too slow");
                    self.printer.talk(words).await;
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
            if text.len() >= PIECE {
                break;
            }
            next = match self.lines.try_recv() {
                Ok(line) => Ok(line),
                Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            };
        }
        if !text.is_empty() && !self.printer.is_closed() {
            self.printer.data(text).await;
        }
    }

    fn write(&self, text: &mut String, line: &LogLine) {
        match (self.form, &self.look) {
            (Form::Json, _) => {
                // These types always serialise.
                text.push_str(&serde_json::to_string(line).unwrap_or_default());
                text.push('\n');
            }
            (Form::Text, Some(look)) if !self.is_background(line) => look.write(text, line),
            (Form::Text, _) => {}
        }
    }

    /// What the hub and the gateway write themselves is for `pinnace logs`.
    fn is_background(&self, line: &LogLine) -> bool {
        let is_platform = |service: &pinnace_types::control::ServiceView| {
            service.kind == ServiceKind::Platform && service.name == line.service
        };
        line.stream != LogStream::Supervisor && self.seen.services.iter().any(is_platform)
    }
}

fn last_lines(logs: &Logs, service: &pinnace_types::control::ServiceView) -> Vec<Arc<LogLine>> {
    logs.tail(Some(&service.name), LAST_LINES)
}

/// The system as one line of JSON that says what it is.
fn system_json(system: &SystemView) -> String {
    // These types always serialise, and a view is an object.
    let mut value = serde_json::to_value(system).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("event".to_owned(), "system".into());
    }
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::system_json;
    use crate::samples;
    use pinnace_types::control::SystemView;

    #[test]
    fn the_line_of_the_system_says_what_it_is_and_is_one_line() {
        let text = system_json(&samples::system());
        let mut value: serde_json::Value = serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap();
        assert_eq!(value.as_object_mut().unwrap().remove("event"), Some("system".into()));
        assert_eq!(serde_json::from_value::<SystemView>(value).unwrap(), samples::system());
        assert_eq!(text.lines().count(), 1);
    }
}
