//! How our own Rust processes write: one line an event to standard error, for people on a terminal, as JSON otherwise.
//!
//! A line is built in a buffer of the thread and written with one call, so lines of several threads never mix.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::{IsTerminal as _, Write as _};

use jiff::Timestamp;
use pinnace_types::environment;
use pinnace_types::worker::{LogFormat, LogLevel};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::current_request_id;

/// Starts logging for this process; a second call changes nothing.
///
/// `process` names it in each line, such as `gateway`. Keys of the JSON form: `time`, `level`, `process`, `message`, then
/// the event's own fields, and `request_id` where the event belongs to a request.
pub fn init(format: LogFormat, process: &str, level: LevelFilter) {
    let colour = format == LogFormat::Text
        && std::io::stderr().is_terminal()
        && std::env::var_os(environment::NO_COLOR).is_none_or(|value| value.is_empty());
    let lines = Lines { format, process: process.to_owned(), colour };
    let _already_started = tracing_subscriber::registry().with(lines.with_filter(level)).try_init();
}

/// The level from `PINNACE_LOG`; `info` where it is absent or no level.
pub fn level_from_environment() -> LevelFilter {
    std::env::var(environment::LOG).ok().and_then(|level| level.trim().parse().ok()).unwrap_or(LevelFilter::INFO)
}

/// What a level lets through.
pub const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// The level of a filter; one that lets nothing through counts as `error`, below which there is none.
pub fn level_of(filter: LevelFilter) -> LogLevel {
    let levels = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn];
    levels.into_iter().find(|level| self::filter(*level) == filter).unwrap_or(LogLevel::Error)
}

/// Text on a terminal, JSON otherwise: what a process uses that was not told.
pub fn default_format() -> LogFormat {
    if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json }
}

/// The form from `PINNACE_LOG_FORMAT`; [`default_format`] where it is absent or none.
pub fn format_from_environment() -> LogFormat {
    match std::env::var(environment::LOG_FORMAT).as_deref().map(str::trim) {
        Ok("text") => LogFormat::Text,
        Ok("json") => LogFormat::Json,
        Ok(_) | Err(_) => default_format(),
    }
}

/// Appends a JSON string with its quotes.
pub(crate) fn push_json_string(line: &mut String, text: &str) {
    line.push('"');
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            control if control < ' ' || control == '\u{7f}' => {
                let _ = write!(line, "\\u{:04x}", u32::from(control));
            }
            plain => line.push(plain),
        }
    }
    line.push('"');
}

struct Lines {
    format: LogFormat,
    process: String,
    colour: bool,
}

struct Record<'a> {
    format: LogFormat,
    message: &'a mut String,
    rest: &'a mut String,
    /// Whether the event itself says which request it is about.
    names_request: bool,
}

thread_local! {
    /// The line, its message and its fields.
    static BUFFERS: RefCell<[String; 3]> = RefCell::default();
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        BUFFERS.with(|buffers| {
            // An event inside the rendering of an event has no buffer; it cannot be written.
            let Ok(mut buffers) = buffers.try_borrow_mut() else { return };
            let [line, message, fields] = &mut *buffers;
            line.clear();
            message.clear();
            fields.clear();
            let mut record = Record { format: self.format, message, rest: fields, names_request: false };
            event.record(&mut record);
            record.name_request();
            self.compose(*event.metadata().level(), message, fields, line);
            // A closed standard error cannot be told to anyone.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        });
    }
}

impl Lines {
    fn compose(&self, level: Level, message: &str, fields: &str, line: &mut String) {
        let time = Timestamp::now();
        // Writing to a string cannot fail.
        let _ = match self.format {
            LogFormat::Text => {
                let (on, off) = if self.colour { (colour_of(level), "\u{1b}[0m") } else { ("", "") };
                writeln!(line, "{time:.3} {on}{level:>5}{off} {}: {message}{fields}", self.process)
            }
            LogFormat::Json => {
                let _ = write!(line, r#"{{"time":"{time:.6}","level":"{}","process":"#, word_of(level));
                push_json_string(line, &self.process);
                line.push_str(r#","message":"#);
                push_json_string(line, message);
                writeln!(line, "{fields}}}")
            }
        };
    }
}

impl Record<'_> {
    /// Adds the id of the request that the task works for, where the event does not name one.
    fn name_request(&mut self) {
        let Some(id) = current_request_id().filter(|_| !self.names_request) else { return };
        let _ = match self.format {
            LogFormat::Text => write!(self.rest, " request_id={id}"),
            // An id has no character that JSON would escape.
            LogFormat::Json => write!(self.rest, r#","request_id":"{id}""#),
        };
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>, quoted: bool) {
        let name = field.name();
        if name == "message" {
            let _ = self.message.write_fmt(value);
            return;
        }
        self.names_request |= name == "request_id";
        match self.format {
            LogFormat::Text => {
                let _ = write!(self.rest, " {name}={value}");
            }
            LogFormat::Json => {
                self.rest.push(',');
                push_json_string(self.rest, name);
                self.rest.push(':');
                if quoted {
                    push_json_string(self.rest, &value.to_string());
                } else {
                    let _ = self.rest.write_fmt(value);
                }
            }
        }
    }
}

impl Visit for Record<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"), true);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"), true);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, format_args!("{value}"), false);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, format_args!("{value}"), false);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, format_args!("{value}"), false);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity and no NaN.
        self.add(field, format_args!("{value}"), !value.is_finite());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, format_args!("{value}"), true);
    }
}

fn word_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG | Level::TRACE => "\u{1b}[2m",
    }
}

#[cfg(test)]
mod tests {
    use pinnace_types::worker::LogFormat;
    use tracing::Level;

    use super::{Lines, push_json_string};

    #[test]
    fn a_json_string_survives_every_control_character() {
        let text: String = (0..=0x7f_u8).map(char::from).chain("é\u{2028}🦀".chars()).collect();
        let mut line = String::new();
        push_json_string(&mut line, &text);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        assert!(!line.contains('\n'));
    }

    #[test]
    fn the_json_form_has_time_level_process_and_message() {
        let lines = Lines { format: LogFormat::Json, process: "hub".to_owned(), colour: false };
        let mut line = String::new();
        lines.compose(Level::WARN, "it happened", r#","request_id":"abc""#, &mut line);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&value["level"], &value["process"], &value["message"], &value["request_id"]),
            (&"warn".into(), &"hub".into(), &"it happened".into(), &"abc".into())
        );
    }
}
