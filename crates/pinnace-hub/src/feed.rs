//! Where knowledge comes from: the event stream on the supervisor's socket, followed for as long as the hub lives.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pinnace_http::unix::{UnixClient, UnixError};
use pinnace_types::control::SystemView;

use crate::knowledge::Knowledge;

/// A line of the stream is at most this long: a view of a thousand services has about half of it.
const MAX_LINE: usize = 4 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Follows the supervisor; reconnects with growing pauses and never ends by itself.
pub(crate) async fn feed_task(control: UnixClient, knowledge: Knowledge) {
    let mut pause = FIRST_PAUSE;
    loop {
        match follow(&control, &knowledge, &mut pause).await {
            Ok(()) => tracing::info!("the supervisor ended its stream"),
            Err(error) => tracing::debug!(error = %error, "the supervisor cannot be followed"),
        }
        knowledge.doubt();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn follow(control: &UnixClient, knowledge: &Knowledge, pause: &mut Duration) -> Result<(), UnixError> {
    let mut lines = Lines { body: control.stream("/v1/events").await?, buffer: Vec::new() };
    let mut data = String::new();
    while let Some(line) = lines.next().await? {
        if let Some(more) = line.strip_prefix("data:") {
            data.push_str(more.strip_prefix(' ').unwrap_or(more));
            data.push('\n');
            if data.len() > MAX_LINE {
                return Err(UnixError::Answer("an event is too long".to_owned()));
            }
        } else if line.is_empty() && !data.is_empty() {
            let system = serde_json::from_str::<SystemView>(&data);
            data.clear();
            knowledge.confirm(system.map_err(|error| UnixError::Answer(error.to_string()))?).await;
            *pause = FIRST_PAUSE;
        }
    }
    Ok(())
}

/// The lines of a body, within a bound.
struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<String>, UnixError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()));
            }
            searched = self.buffer.len();
            if searched > MAX_LINE {
                return Err(UnixError::Answer("a line of the event stream is too long".to_owned()));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
