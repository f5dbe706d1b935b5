//! How the registry asks an instance whether it is well: a connection, a GET, or gRPC's health protocol.
//!
//! Only the instance's own address is ever asked (`consul::checks` sees to that), names are not looked up, redirections are
//! not followed, and little of an answer is read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;

use bytes::{Buf as _, Bytes};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::entry::{Health, MAX_OUTPUT, Target};

/// gRPC's number for `SERVING` (grpc.health.v1).
const SERVING: u8 = 1;

/// What came of a question.
pub(crate) struct Told {
    pub(crate) health: Health,
    pub(crate) output: String,
    /// A connection that may stay open until the next question: its end is the end of the instance, or near to it.
    pub(crate) held: Option<Held>,
}

impl Told {
    /// What says nothing good, and why.
    pub(crate) const fn critical(output: String) -> Self {
        Self { health: Health::Critical, output, held: None }
    }
}

/// Completes when a connection has ended.
pub(crate) type Held = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Asks once. How long that may take is the caller's decision.
pub(crate) async fn ask(target: &Target) -> Told {
    let answer = match target {
        Target::Tcp { host, port } => connect(host, *port).await.map(|_| (Health::Passing, connected(host, *port))),
        Target::Http { host, port, path, head, headers } => {
            let url = format!("http://{host}:{port}{path}");
            let mut request = Request::builder()
                .method(if *head { "HEAD" } else { "GET" })
                .uri(path.as_str())
                .header(header::USER_AGENT, concat!("pinnace/", env!("CARGO_PKG_VERSION")))
                .header(header::ACCEPT, "text/plain, text/*, */*")
                .header(header::CONNECTION, "close");
            for (name, values) in headers {
                for value in values {
                    request = request.header(name, value);
                }
            }
            if !headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
                request = request.header(header::HOST, format!("{host}:{port}"));
            }
            match request.body(Empty::<Bytes>::new()) {
                Ok(request) => http(host, *port, &url, request).await,
                Err(error) => Err(error.to_string()),
            }
        }
        // Its connections carry many questions; servers of the other kinds may have a thread for each.
        Target::Grpc { host, port, service } => {
            return grpc(host, *port, service).await.unwrap_or_else(Told::critical);
        }
    };
    answer.map_or_else(Told::critical, |(health, output)| Told { health, output, held: None })
}

/// The address that a host of a check stands for; only numbers and this machine's own name do.
pub(crate) fn address_of(host: &str) -> Option<IpAddr> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    host.parse().ok()
}

fn connected(host: &str, port: u16) -> String {
    format!("TCP connect {host}:{port}: Success")
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let address = address_of(host).ok_or_else(|| format!("`{host}` is no address"))?;
    let address = SocketAddr::new(address, port);
    TcpStream::connect(address).await.map_err(|error| format!("dial tcp {address}: {error}"))
}

async fn http(host: &str, port: u16, url: &str, request: Request<Empty<Bytes>>) -> Result<(Health, String), String> {
    let failed = |error: hyper::Error| format!("Get \"{url}\": {error}");
    let stream = connect(host, port).await?;
    let method = request.method().clone();
    let (mut sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let ask = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = read(response.into_body()).await;
        Ok((status, body))
    };
    let (status, body) = drive(ask, connection).await?;
    let health = match status {
        status if status.is_success() => Health::Passing,
        StatusCode::TOO_MANY_REQUESTS => Health::Warning,
        _ => Health::Critical,
    };
    Ok((health, format!("HTTP {method} {url}: {status} Output: {body}")))
}

async fn grpc(host: &str, port: u16, service: &str) -> Result<Told, String> {
    let failed = |error: hyper::Error| format!("gRPC {host}:{port}: {error}");
    let stream = connect(host, port).await?;
    let (mut sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(failed)?;
    let request = Request::post(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Full::new(health_request(service)))
        .map_err(|error| error.to_string())?;
    let ask = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let mut status = response.headers().get("grpc-status").cloned();
        let mut body = response.into_body();
        let mut message = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame.map_err(failed)?.into_data() {
                Ok(data) => message.extend_from_slice(&data[..data.len().min(MAX_OUTPUT)]),
                Err(frame) => status = frame.trailers_ref().and_then(|trailers| trailers.get("grpc-status").cloned()),
            }
            if message.len() > MAX_OUTPUT {
                return Err("the answer is too long".to_owned());
            }
        }
        match status.as_ref().and_then(|status| status.to_str().ok()) {
            Some("0") => Ok(serving_status(&message)),
            other => Err(format!("gRPC {host}:{port}: status {}", other.unwrap_or("missing"))),
        }
    };
    let mut connection = Box::pin(connection);
    let status = drive(ask, &mut connection).await?;
    let held = async move {
        // It ends when nobody can ask any more.
        let _asking = sender;
        let _ = connection.await;
    };
    Ok(match status {
        Some(SERVING) => {
            let output = format!("gRPC check {host}:{port}: success");
            Told { health: Health::Passing, output, held: Some(Box::pin(held)) }
        }
        other => {
            let output = format!("gRPC check {host}:{port}: not serving ({})", other.unwrap_or_default());
            Told::critical(output)
        }
    })
}

/// Runs a question beside the connection that carries it.
async fn drive<T>(
    ask: impl Future<Output = Result<T, String>>,
    connection: impl Future<Output = Result<(), hyper::Error>>,
) -> Result<T, String> {
    tokio::pin!(ask, connection);
    tokio::select! {
        biased;
        answer = &mut ask => answer,
        // It may have ended because everything was said.
        _ = &mut connection => ask.await,
    }
}

/// The beginning of a body; what breaks off after that is no matter of the check.
async fn read(mut body: Incoming) -> String {
    let mut text = Vec::new();
    while !body.is_end_stream()
        && text.len() < MAX_OUTPUT
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Some(data) = frame.data_ref() {
            text.extend_from_slice(&data[..data.len().min(MAX_OUTPUT)]);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// `HealthCheckRequest { service }` as a gRPC message: no compression, its length, field 1 of wire type 2.
fn health_request(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(low_byte(length & 0x7f | 0x80));
            length >>= 7;
        }
        message.push(low_byte(length));
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0, 0, 0, low_byte(message.len() >> 8), low_byte(message.len())];
    framed.append(&mut message);
    framed.into()
}

const fn low_byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

/// The `status` of a `HealthCheckResponse`: field 1 of wire type 0; absent it is 0, `UNKNOWN`.
fn serving_status(message: &[u8]) -> Option<u8> {
    let mut rest = message.get(5..)?;
    while rest.len() >= 2 {
        if rest[0] == 0x08 {
            return Some(rest[1]);
        }
        rest.advance(2);
    }
    Some(0)
}

#[cfg(test)]
mod tests {
    use super::{address_of, health_request, serving_status};

    #[test]
    fn messages_of_the_health_protocol_are_as_protobuf_writes_them() {
        assert_eq!(&health_request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&health_request("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = health_request(&"x".repeat(200));
        assert_eq!((&long[..8], long.len()), (&[0, 0, 0, 0, 203, 0x0a, 0xc8, 1][..], 208));
        assert_eq!(serving_status(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(serving_status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(serving_status(&[0]), None);
    }

    #[test]
    fn names_are_no_addresses() {
        assert!(address_of("[::1]").is_some() && address_of("LOCALHOST").is_some());
        assert!(address_of("catalog.example").is_none() && address_of("").is_none());
    }
}
