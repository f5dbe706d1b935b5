//! Whether an instance is ready, asked from outside: its health path answers with 2xx, or its port takes connections.
//!
//! Only the instance's own address on loopback is asked, and a redirect is not followed.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, header};
use http_body_util::{BodyExt as _, Limited};
use pinnace_http::Body;
use pinnace_http::client::{Client, ClientConfig};
use tokio::net::TcpStream;

/// Between the first two questions; then twice as long each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const LONGEST: usize = 64 << 10;

/// Completes when it is healthy; whoever waits sets the limit.
pub(super) async fn healthy(address: SocketAddr, path: Option<&str>) {
    let client = Client::new(ClientConfig { max_idle: 1, ..ClientConfig::default() });
    let mut pause = FIRST_PAUSE;
    loop {
        let asked = async {
            match path {
                Some(path) => answers(&client, address, path).await,
                None => TcpStream::connect(address).await.is_ok(),
            }
        };
        if tokio::time::timeout(PATIENCE, asked).await.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn answers(client: &Client, address: SocketAddr, path: &str) -> bool {
    let request = Request::get(format!("http://{address}{path}"))
        .header(header::USER_AGENT, concat!("pinnace/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Body::empty());
    match request {
        Ok(request) => {
            let Ok(response) = client.send(request).await else { return false };
            let status = response.status();
            // Read to its end, so that the application does not see a client that went away.
            let _ = Limited::new(response.into_body(), LONGEST).collect().await;
            status.is_success()
        }
        // The manifest allows no path that a URI cannot hold.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::healthy;

    /// Answers each connection with the next status; returns how many it took.
    async fn answer(listener: TcpListener, statuses: &[u16]) -> usize {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
        statuses.len()
    }

    #[tokio::test]
    async fn it_asks_until_the_path_answers_with_success() {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, ()) = tokio::join!(answer(listener, &[503, 302, 404, 204]), healthy(address, Some("/healthz")));
        assert_eq!(asked, 4);
    }

    #[tokio::test]
    async fn without_a_path_an_open_port_is_enough() {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        healthy(listener.local_addr().unwrap(), None).await;
    }
}
