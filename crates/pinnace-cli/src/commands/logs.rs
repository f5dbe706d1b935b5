//! `pinnace logs`: show what services write.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pinnace_types::control::{LogLine, SystemView};
use pinnace_types::{ExitCode, ServiceName};

use super::running::Running;
use super::runtime;
use crate::Complaint;
use crate::log_text::LogText;
use crate::printer::Printer;

/// The longest line of the stream: 64 KiB of text, every byte of it escaped, and what is around it.
const MAX_LINE: usize = 1 << 20;
/// How long a reader may take for what is left.
const PATIENCE: Duration = Duration::from_secs(5);

/// The arguments of `pinnace logs`.
#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    /// The service, `hub` and `gateway` among them [default: all]
    service: Option<ServiceName>,
    /// Go on with new lines until Ctrl-C, or until the system ends
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines to show
    #[arg(long, short = 'n', default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    tail: u32,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// The system's file [default: `pinnace.toml` here or in a folder above]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// How lines are shown.
enum Form {
    Json,
    Text(LogText),
}

/// What is left of a stream that comes in pieces.
#[derive(Default)]
struct Pieces(Vec<u8>);

impl LogsArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let running = Running::find(self.file.clone()).map_err(|complaint| match complaint.code() {
            ExitCode::NotRunning => complaint.with_hint("what was written before is in .pinnace/logs"),
            _ => complaint,
        })?;
        runtime::block_on(self.show(&running))?
    }

    async fn show(self, running: &Running) -> Result<ExitCode, Complaint> {
        let system: SystemView = running.get("/v1/system").await?;
        let mut path = format!("/v1/logs?tail={}&follow={}", self.tail, self.follow);
        if let Some(service) = &self.service {
            path.push_str("&service=");
            path.push_str(service.as_str());
        }
        let body = running.stream(&path).await?;
        let form = if self.json { Form::Json } else { Form::Text(LogText::new(&system, self.service.as_ref())) };
        let failed = |error: std::io::Error| Complaint::new(ExitCode::Failure, error.to_string());
        let printer = Printer::start().map_err(failed)?;
        let shown = if self.follow {
            let interrupted = tokio::signal::ctrl_c();
            tokio::select! {
                shown = copy(body, &form, &printer) => {
                    if !printer.is_closed() {
                        printer.talk("the system has ended").await;
                    }
                    // However it ended, there is nothing more to follow.
                    shown.or(Ok(()))
                }
                _ = interrupted => return Ok(ExitCode::Ok),
            }
        } else {
            copy(body, &form, &printer).await
        };
        printer.finish(PATIENCE).await;
        shown.map(|()| ExitCode::Ok)
    }
}

/// Shows a stream to its end, or as long as anyone reads.
async fn copy(mut body: Incoming, form: &Form, printer: &Printer) -> Result<(), Complaint> {
    let mut pieces = Pieces::default();
    while !printer.is_closed() {
        let Some(frame) = body.frame().await else { return Ok(()) };
        let frame =
            frame.map_err(|_| Complaint::new(ExitCode::NotRunning, "the system ended before it had answered"))?;
        if let Ok(data) = frame.into_data() {
            let text = pieces.take(&data, form)?;
            printer.data(text).await;
        }
    }
    Ok(())
}

impl Pieces {
    /// What can be shown with one more piece.
    fn take(&mut self, piece: &[u8], form: &Form) -> Result<String, Complaint> {
        self.0.extend_from_slice(piece);
        let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') else {
            if self.0.len() > MAX_LINE {
                return Err(Complaint::new(ExitCode::Failure, "a line of the stream is too long"));
            }
            return Ok(String::new());
        };
        let rest = self.0.split_off(end + 1);
        let lines = std::mem::replace(&mut self.0, rest);
        match form {
            Form::Json => Ok(String::from_utf8_lossy(&lines).into_owned()),
            Form::Text(look) => {
                let mut text = String::new();
                for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let line: LogLine = serde_json::from_slice(line).map_err(|error| {
                        Complaint::new(ExitCode::Failure, format!("a line of the stream is not understood: {error}"))
                    })?;
                    look.write(&mut text, &line);
                }
                Ok(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, MAX_LINE, Pieces};
    use crate::log_text::LogText;
    use crate::samples;
    use pinnace_types::control::LogStream;

    #[test]
    fn lines_are_shown_as_soon_as_they_are_whole() {
        let line =
            serde_json::to_string(&samples::line("orders", "orders-1", LogStream::Stdout, "größe")).unwrap() + "\n";
        let form = Form::Text(LogText::new(&samples::system(), Some(&samples::name("orders"))));
        let mut pieces = Pieces::default();
        let mut shown = String::new();
        for byte in line.repeat(2).as_bytes() {
            shown += &pieces.take(&[*byte], &form).unwrap();
        }
        shown += &pieces.take(line.repeat(2).as_bytes(), &form).unwrap();
        assert_eq!(anstream::adapter::strip_str(&shown).to_string(), "orders-1 | größe\n".repeat(4));
        assert_eq!(Pieces::default().take(line.as_bytes(), &Form::Json).unwrap(), line);
    }

    #[test]
    fn what_is_no_line_is_an_error_and_not_kept_for_ever() {
        let form = Form::Text(LogText::new(&samples::system(), None));
        assert!(Pieces::default().take(b"nonsense\n", &form).is_err());
        assert!(Pieces::default().take(&vec![b'x'; MAX_LINE + 1], &form).is_err());
    }
}
