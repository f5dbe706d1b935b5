//! The task that owns an accepted WebSocket: it moves bytes between the socket and pinnace-http's codec, and messages
//! between the codec and the application.
//!
//! A client is read only while the application takes its messages, and pinged when it was silent. While it is not read,
//! its silence is not held against it.

use std::future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pinnace_http::upgrade::{OnUpgrade, Upgraded};
use pinnace_http::websocket::{Decoder, Encoder, Message, Violation};
use pinnace_types::worker::WebSocketLimits;
use pyo3::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Conversing, Event};

/// For how long the client's answer to a close is awaited.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that are read at a time.
const READ: usize = 16 << 10;
/// A written frame of more than this gives its memory back.
const KEPT: usize = 64 << 10;
/// The code of a worker that ends: the client may come again at once and finds another.
const RESTART: u16 = 1012;
/// No code was received (RFC 6455 section 7.4.1).
const NO_STATUS: u16 = 1005;
/// The connection broke.
const ABNORMAL: u16 = 1006;
/// A client that does not answer pings.
const SILENT: u16 = 1011;

/// How a conversation ended: what the application is told, and what is still to be said to the client.
struct End {
    code: u16,
    reason: String,
    answer: Option<Message>,
    /// Whether the client has said its close already.
    client_closed: bool,
}

struct Socket {
    stream: Upgraded,
    decoder: Decoder,
    encoder: Encoder,
    out: BytesMut,
    patience: Patience,
}

/// When a client is pinged, and when it is given up.
struct Patience {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    heard: Instant,
    pinged: Option<Instant>,
}

/// What is due.
enum Due {
    Ping,
    GiveUp,
}

/// Carries messages both ways until one side closes.
pub(super) async fn run(conversing: Arc<Conversing>, upgrade: OnUpgrade, mut outgoing: mpsc::Receiver<Message>) {
    let Ok(upgraded) = upgrade.await else {
        conversing.closed(ABNORMAL, String::new());
        return;
    };
    let mut socket = Socket::new(upgraded, &conversing);
    let end = loop {
        let ended = tokio::select! {
            () = conversing.connection.draining() => Some(End::said_by_us(RESTART, String::new())),
            message = outgoing.recv() => socket.send(message).await,
            received = socket.receive(&conversing) => socket.take(&conversing, received).await,
        };
        if let Some(end) = ended {
            break end;
        }
    };
    // What the application sends from now on fails.
    outgoing.close();
    let mut waits_for_close = false;
    if let Some(answer) = &end.answer {
        waits_for_close = socket.write(answer).await.is_ok() && !end.client_closed;
    }
    conversing.closed(end.code, end.reason);
    let closing = async {
        if waits_for_close {
            socket.read_to_close().await;
        }
        // The client sees our end, and ends too: closing with its bytes unread would reset the connection.
        if socket.stream.shutdown().await.is_ok() {
            socket.drain().await;
        }
    };
    // Either way the socket is dropped now.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}

impl End {
    fn broken() -> Self {
        Self { code: ABNORMAL, reason: String::new(), answer: None, client_closed: true }
    }

    fn said_by_us(code: u16, reason: String) -> Self {
        Self { code, reason: reason.clone(), answer: Some(Message::Close(Some((code, reason)))), client_closed: false }
    }

    fn said_by_client(said: Option<(u16, String)>) -> Self {
        let (code, reason) = said.clone().unwrap_or((NO_STATUS, String::new()));
        let answer = Message::Close(said.map(|(code, _)| (code, String::new())));
        Self { code, reason, answer: Some(answer), client_closed: true }
    }

    fn wrong(violation: Violation) -> Self {
        let answer = Message::Close(Some((violation.code(), violation.to_string())));
        // What follows cannot be read as frames, so no close is waited for.
        Self { code: ABNORMAL, reason: String::new(), answer: Some(answer), client_closed: true }
    }

    fn silent() -> Self {
        let answer = Message::Close(Some((SILENT, "no answer to a ping".to_owned())));
        Self { code: ABNORMAL, reason: String::new(), answer: Some(answer), client_closed: true }
    }
}

impl Socket {
    fn new(upgraded: Upgraded, conversing: &Conversing) -> Self {
        let limits = &conversing.asgi.websocket;
        let max_message = usize::try_from(limits.max_message_bytes).unwrap_or(usize::MAX);
        Self {
            stream: upgraded,
            decoder: Decoder::new(max_message, conversing.deflate.as_ref()),
            encoder: Encoder::new(conversing.deflate.as_ref()),
            out: BytesMut::new(),
            patience: Patience::new(limits),
        }
    }

    /// Waits for the client's next message, or until it was silent for too long. May be dropped at any time.
    async fn receive(&mut self, conversing: &Conversing) -> Result<Received, End> {
        conversing.mailbox.room().await;
        loop {
            match self.decoder.next_message() {
                Ok(Some(message)) => return Ok(Received::Message(message)),
                Ok(None) => {}
                Err(violation) => return Err(End::wrong(violation)),
            }
            self.decoder.buffer().reserve(READ);
            tokio::select! {
                // What has come counts, however late it is looked at.
                biased;
                read = self.stream.read_buf(self.decoder.buffer()) => match read {
                    Ok(1..) => self.patience.hear(),
                    Ok(0) | Err(_) => return Err(End::broken()),
                },
                due = self.patience.due() => return match due {
                    Due::Ping => Ok(Received::Silence),
                    Due::GiveUp => Err(End::silent()),
                },
            }
        }
    }

    async fn take(&mut self, conversing: &Conversing, received: Result<Received, End>) -> Option<End> {
        let event = match received {
            Err(end) => return Some(end),
            Ok(Received::Silence) => {
                return self.write(&Message::Ping(bytes::Bytes::new())).await.err().map(|_| End::broken());
            }
            Ok(Received::Message(message)) => match message {
                Message::Text(text) => Event::Text(text),
                Message::Binary(data) => Event::Bytes(data),
                Message::Close(said) => return Some(End::said_by_client(said)),
                Message::Pong(_) => return None,
                Message::Ping(payload) => {
                    return self.write(&Message::Pong(payload)).await.err().map(|_| End::broken());
                }
            },
        };
        let posted = Python::attach(|py| conversing.mailbox.post(py, &conversing.asgi, event));
        if let Err(error) = posted {
            Python::attach(|py| error.print(py));
        }
        None
    }

    /// Sends what the application said; nothing: it is gone, which its end has turned into a close before.
    async fn send(&mut self, message: Option<Message>) -> Option<End> {
        match message {
            Some(Message::Close(said)) => {
                let (code, reason) = said.unwrap_or((NO_STATUS, String::new()));
                Some(End::said_by_us(code, reason))
            }
            Some(message) => self.write(&message).await.err().map(|_| End::broken()),
            None => Some(End::broken()),
        }
    }

    async fn write(&mut self, message: &Message) -> io::Result<()> {
        self.encoder.write(message, &mut self.out);
        let written = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        let outcome = match self.patience.longest_write() {
            Some(longest) => tokio::time::timeout(longest, written).await.unwrap_or_else(|late| Err(late.into())),
            None => written.await,
        };
        if self.out.capacity() > KEPT {
            self.out = BytesMut::new();
        } else {
            self.out.clear();
        }
        outcome
    }

    /// Reads on until the client has answered our close.
    async fn read_to_close(&mut self) {
        loop {
            match self.decoder.next_message() {
                Ok(Some(Message::Close(_))) | Err(_) => return,
                Ok(Some(_)) => {}
                Ok(None) => match self.stream.read_buf(self.decoder.buffer()).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return,
                },
            }
        }
    }

    async fn drain(&mut self) {
        let mut rest = [0; 4096];
        while let Ok(1..) = self.stream.read(&mut rest).await {}
    }
}

/// What comes from a client.
enum Received {
    Message(Message),
    /// Nothing for so long that it is to be pinged.
    Silence,
}

impl Patience {
    fn new(limits: &WebSocketLimits) -> Self {
        Self { interval: limits.ping_interval, timeout: limits.ping_timeout, heard: Instant::now(), pinged: None }
    }

    fn hear(&mut self) {
        self.heard = Instant::now();
        self.pinged = None;
    }

    /// Waits until a ping is due, or its answer was due.
    async fn due(&mut self) -> Due {
        let Some(interval) = self.interval else { return future::pending().await };
        match (self.pinged, self.timeout) {
            (Some(pinged), Some(timeout)) => {
                tokio::time::sleep_until(pinged + timeout).await;
                Due::GiveUp
            }
            (last, _) => {
                tokio::time::sleep_until(last.unwrap_or(self.heard) + interval).await;
                self.pinged = Some(Instant::now());
                Due::Ping
            }
        }
    }

    /// How long a frame may wait for a client that does not read.
    fn longest_write(&self) -> Option<Duration> {
        Some(self.interval? + self.timeout?)
    }
}
