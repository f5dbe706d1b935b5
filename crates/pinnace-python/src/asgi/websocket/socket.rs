//! The task that owns an accepted WebSocket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pinnace_http::upgrade::{OnUpgrade, Upgraded};
use pyo3::prelude::*;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Conversing, Event};

/// Largest message from a client.
const MAX_MESSAGE: usize = 16 << 20;
/// For how long the client's answer to a close is awaited.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// No code was received (RFC 6455 section 7.4.1).
const NO_STATUS: u16 = 1005;
/// The connection broke.
const ABNORMAL: u16 = 1006;

/// What the application sends.
#[derive(Debug)]
pub(super) enum Outgoing {
    Text(String),
    Bytes(Bytes),
    Close { code: u16, reason: String },
}

/// Carries messages both ways until one side closes.
pub(super) async fn run(conversing: Arc<Conversing>, upgrade: OnUpgrade, mut outgoing: mpsc::Receiver<Outgoing>) {
    let Ok(upgraded) = upgrade.await else {
        conversing.closed(ABNORMAL, String::new());
        return;
    };
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
    let mut end = None;
    while end.is_none() {
        tokio::select! {
            () = conversing.connection.draining() => end = Some(End::restart()),
            message = outgoing.recv() => end = write(&mut socket, message).await,
            message = async { conversing.mailbox.room().await; socket.next().await } => {
                end = read(&conversing, message);
            }
        }
    }
    let End { code, reason, answer } = end.unwrap_or_default();
    // What the application sends from now on fails.
    outgoing.close();
    if let Some(frame) = answer {
        let _ = socket.send(Message::Close(Some(frame))).await;
    }
    conversing.closed(code, reason);
    // The other side's close, and the flush of our answer to it.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = socket.next().await {} }).await;
    let _ = socket.close(None).await;
}

/// How a conversation ended.
#[derive(Default)]
struct End {
    code: u16,
    reason: String,
    /// What is still to be said to the client.
    answer: Option<CloseFrame>,
}

impl End {
    /// This worker ends: the client may come again at once and finds another.
    fn restart() -> Self {
        let frame = CloseFrame { code: CloseCode::Restart, reason: "".into() };
        Self { code: CloseCode::Restart.into(), reason: String::new(), answer: Some(frame) }
    }
}

async fn write(socket: &mut WebSocketStream<Upgraded>, message: Option<Outgoing>) -> Option<End> {
    let message = match message {
        Some(Outgoing::Text(text)) => Message::Text(text.into()),
        Some(Outgoing::Bytes(data)) => Message::Binary(data),
        Some(Outgoing::Close { code, reason }) => {
            let frame = CloseFrame { code: CloseCode::from(code), reason: reason.clone().into() };
            return Some(End { code, reason, answer: Some(frame) });
        }
        // The application is gone without a word, which its end has turned into a close before.
        None => return Some(End { code: ABNORMAL, ..End::default() }),
    };
    socket.send(message).await.err().map(|_| End { code: ABNORMAL, ..End::default() })
}

fn read(conversing: &Conversing, message: Option<Result<Message, Error>>) -> Option<End> {
    let event = match message {
        Some(Ok(Message::Text(text))) => Event::Text(text.as_str().to_owned()),
        Some(Ok(Message::Binary(data))) => Event::Bytes(data),
        Some(Ok(Message::Close(frame))) => {
            let (code, reason) =
                frame.map_or((NO_STATUS, String::new()), |frame| (frame.code.into(), frame.reason.as_str().to_owned()));
            return Some(End { code, reason, answer: None });
        }
        // tungstenite answers pings itself.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return None,
        Some(Err(error)) => return Some(End { code: ABNORMAL, reason: String::new(), answer: answer_to(&error) }),
        None => return Some(End { code: ABNORMAL, ..End::default() }),
    };
    let posted = Python::attach(|py| conversing.mailbox.post(py, &conversing.asgi, event));
    if let Err(error) = posted {
        Python::attach(|py| error.print(py));
    }
    None
}

/// The close that tells the client what it did wrong.
fn answer_to(error: &Error) -> Option<CloseFrame> {
    let code = match error {
        Error::Capacity(_) => CloseCode::Size,
        Error::Utf8(_) => CloseCode::Invalid,
        Error::Protocol(_) => CloseCode::Protocol,
        _ => return None,
    };
    Some(CloseFrame { code, reason: "".into() })
}
