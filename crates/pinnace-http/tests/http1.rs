//! HTTP/1 over real sockets: what a client sends and what it gets, to the byte.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use pinnace_http::{Body, Connection, Drain, FieldOrder, Handler, Interim, Listener, ReasonPhrase, RequestBody};
use pinnace_http::{Server, ServerConfig, upgrade};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The way to interim responses of the last `/hints`.
static LAST_HINTS: Mutex<Option<Interim>> = Mutex::new(None);

/// Does what the path says.
#[derive(Clone)]
struct Scripted;

impl Handler for Scripted {
    async fn call(&self, mut request: Request<RequestBody>, connection: Arc<Connection>) -> Response<Body> {
        match request.uri().path() {
            "/echo" => match request.into_body().collect().await {
                Ok(body) => {
                    let trailers = body.trailers().cloned();
                    let (sender, answer) = Body::channel(4);
                    let bytes = body.to_bytes();
                    tokio::spawn(async move {
                        let _ = sender.send(bytes).await;
                        if let Some(trailers) = trailers {
                            let _ = sender.send_trailers(trailers).await;
                        }
                        let _ = sender.finish().await;
                    });
                    Response::new(answer)
                }
                Err(error) => status(400, error.to_string()),
            },
            "/both" => Response::new(Body::from(request.into_body())),
            "/unread" => status(200, "unread"),
            "/none" => status(204, ""),
            "/same" => {
                let mut response = status(304, "");
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
                response
            }
            "/hints" => {
                let link = HeaderMap::from_iter([(header::LINK, HeaderValue::from_static("</a>; rel=preload"))]);
                let interim = connection.interim().expect("HTTP/1.1");
                assert!(interim.send(StatusCode::EARLY_HINTS, &link));
                assert!(!interim.send(StatusCode::CONTINUE, &link));
                tokio::task::yield_now().await;
                *LAST_HINTS.lock() = Some(interim);
                status(200, "hello")
            }
            "/late-hints" => {
                let interim = LAST_HINTS.lock().take().expect("/hints came before");
                let sent = interim.send(StatusCode::EARLY_HINTS, &HeaderMap::new());
                status(200, sent.to_string())
            }
            "/order" => {
                let order = request.extensions().get::<FieldOrder>().expect("the map tells another order");
                let fields = order.fields(request.headers()).into_iter();
                let told: Vec<_> = fields.map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
                status(200, told.join(" "))
            }
            "/reason" => {
                let mut response = status(404, "");
                response.extensions_mut().insert(ReasonPhrase::from_static(b"Gone Fishing"));
                response
            }
            "/large" => status(200, "x".repeat(4 << 20)),
            "/stream" => {
                let (sender, answer) = Body::channel(1);
                tokio::spawn(async move {
                    let _ = sender.send("one").await;
                    let _ = sender.send("two").await;
                    let _ = sender.finish().await;
                });
                Response::new(answer)
            }
            "/broken" => {
                let (sender, answer) = Body::channel(1);
                tokio::spawn(async move {
                    let _ = sender.send("half").await;
                });
                Response::new(answer)
            }
            "/short" | "/long" => {
                let mut response = status(200, "1234");
                let length = if request.uri().path() == "/short" { "6" } else { "2" };
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static(length));
                response
            }
            "/never" => std::future::pending().await,
            "/upgrade" => {
                let promise = upgrade::on(&mut request);
                tokio::spawn(async move {
                    let Ok(upgraded) = promise.await else { return };
                    let (mut reader, mut writer) = tokio::io::split(upgraded);
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
                let head = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
                head.body(Body::empty()).unwrap()
            }
            _ => status(200, "hello"),
        }
    }
}

fn status(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder().status(status).body(Body::full(body)).unwrap()
}

async fn start(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Server::new(config, Scripted).serve(vec![Listener::Tcp(listener)], Drain::new()));
    address
}

/// Everything that comes back, without dates.
async fn talk(address: SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("the end does not come");
    // A reset is an end as well; what came before it counts.
    let _ = read;
    without_dates(&String::from_utf8_lossy(&answer))
}

fn without_dates(text: &str) -> String {
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect()
}

/// Reads until the answer ends with this.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(end.as_bytes()) {
        let read = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.expect("it does not come").unwrap();
        assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
    }
    without_dates(&String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn answers_are_these_bytes() {
    let address = start(ServerConfig::default()).await;
    for (sent, wanted) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        ("GET /none HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET /same HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello",
        ),
        (
            "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonetwo",
        ),
        (
            "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
        ),
        ("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
        (
            "GET /long HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n12",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 204 No Content\r\n\r\n",
        ),
        (
            // Hints that come after their answer do not reach the next request.
            "GET /hints HTTP/1.1\r\nHost: a\r\n\r\nGET /late-hints HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello\
             HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfalse",
        ),
        ("GET /reason HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 Gone Fishing\r\ncontent-length: 0\r\n\r\n"),
        (
            "GET /order HTTP/1.1\r\nHost: a\r\nx-a: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\nhost=a x-a=1 x-b=2 x-a=3",
        ),
    ] {
        assert_eq!(talk(address, sent).await, wanted, "{sent}");
    }
}

#[tokio::test]
async fn answers_to_requests_that_come_together_leave_together() {
    let address = start(ServerConfig::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    // The last one is not complete; nobody waits for it.
    stream.write_all(&[request, request, request, &request[..20]].concat().into_bytes()).await.unwrap();
    let mut buffer = [0; 4096];
    let read = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.expect("it does not come").unwrap();
    let answers = without_dates(std::str::from_utf8(&buffer[..read]).unwrap());
    assert_eq!(answers, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".repeat(3));
    stream.write_all(&request.as_bytes()[20..]).await.unwrap();
    assert!(until(&mut stream, "hello").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn bodies_come_whole_however_they_are_sent() {
    let address = start(ServerConfig::default()).await;
    let counted = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n";
    let plain = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let trailed = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
    for (sent, wanted) in [(counted, plain), (chunked, trailed)] {
        assert_eq!(talk(address, sent).await, wanted);
        // The head alone, then byte by byte, on a connection that is used again.
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for _ in 0..2 {
            for byte in sent.as_bytes() {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            assert_eq!(until(&mut stream, &wanted[wanted.len() - 12..]).await, wanted);
        }
    }
}

#[tokio::test]
async fn a_large_body_streams_both_ways() {
    let address = start(ServerConfig::default()).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let length = 8 << 20;
    let sending = tokio::spawn(async move {
        let head = format!("POST /both HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        writer.write_all(head.as_bytes()).await.unwrap();
        for number in 0..length / 4096 {
            writer.write_all(&[u8::try_from(number % 251).unwrap(); 4096]).await.unwrap();
        }
        writer
    });
    let mut answer = Vec::new();
    reader.read_to_end(&mut answer).await.unwrap();
    sending.await.unwrap();
    let body = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(answer.len() - body, length);
    for (number, piece) in answer[body..].chunks(4096).enumerate() {
        assert!(piece.iter().all(|byte| *byte == u8::try_from(number % 251).unwrap()), "piece {number}");
    }
}

#[tokio::test]
async fn a_client_is_told_to_go_on_when_its_body_is_wanted_and_only_then() {
    let address = start(ServerConfig::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"hello").await.unwrap();
        assert!(until(&mut stream, "0\r\n\r\n").await.contains("5\r\nhello"));
    }
    let unread = head.replace("/echo", "/unread");
    stream.write_all(unread.as_bytes()).await.unwrap();
    let wanted = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nunread";
    assert_eq!(rest(&mut stream).await, wanted);
}

#[tokio::test]
async fn what_a_handler_leaves_of_a_body_is_read_when_it_is_little_and_ends_the_connection_when_not() {
    let address = start(ServerConfig::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").await.unwrap();
    let answer = until(&mut stream, "unread").await;
    assert!(!answer.contains("close"), "{answer}");
    stream.write_all(b"123456789GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(until(&mut stream, "hello").await.starts_with("HTTP/1.1 200"));
    let head = format!("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 1 << 30);
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(until(&mut stream, "unread").await.contains("connection: close"));
}

#[tokio::test]
async fn an_upgraded_connection_has_what_was_sent_with_the_request() {
    let address = start(ServerConfig::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst";
    stream.write_all(head.as_bytes()).await.unwrap();
    let wanted = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nfirst";
    assert_eq!(until(&mut stream, "first").await, wanted);
    stream.write_all(b"\0second\n").await.unwrap();
    assert_eq!(until(&mut stream, "second\n").await, "\0second\n");
    // Nobody can switch without being asked.
    let uninvited = talk(address, "GET /upgrade HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(uninvited.starts_with("HTTP/1.1 500 "), "{uninvited}");
}

#[tokio::test]
async fn half_an_answer_is_never_taken_for_a_whole_one() {
    let address = start(ServerConfig::default()).await;
    let broken = talk(address, "GET /broken HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!broken.contains("0\r\n\r\n"), "{broken}");
    let short = talk(address, "GET /short HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(short.ends_with("1234"), "{short}");
    // Where nothing else tells the end, the connection is reset.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /broken HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(stream.read_to_end(&mut Vec::new()).await.is_err());
}

#[tokio::test]
async fn a_malformed_body_is_refused_while_the_handler_reads_it() {
    let address = start(ServerConfig::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    until(&mut stream, "100 Continue\r\n\r\n").await;
    stream.write_all(b"2\r\nhi\r\nzz\r\n").await.unwrap();
    let refused = rest(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{refused}");
    assert!(refused.contains("connection: close\r\n"), "{refused}");
    assert!(refused.contains(r#""detail":"a chunk has no size""#), "{refused}");
    let early = talk(address, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhi").await;
    assert!(early.starts_with("HTTP/1.1 400 ") && early.contains("ended too early"), "{early}");
}

#[tokio::test]
async fn slow_clients_are_told_or_cut() {
    let short = Duration::from_millis(150);
    let config =
        ServerConfig { body_timeout: short, write_timeout: short, idle_timeout: short, ..ServerConfig::default() };
    let address = start(config).await;
    let mut body = TcpStream::connect(address).await.unwrap();
    body.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhi").await.unwrap();
    let mut reader = TcpStream::connect(address).await.unwrap();
    reader.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert!(rest(&mut body).await.starts_with("HTTP/1.1 408 "));
    assert_eq!(rest(&mut idle).await, "");
    // It was cut in the middle: the buffers of both sides have less than the answer.
    assert!(rest(&mut reader).await.len() < 4 << 20);
}

#[tokio::test]
async fn a_handler_hears_that_its_client_has_gone_and_one_that_listens_still_is_answered() {
    let address = start(ServerConfig::default()).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(talk(address, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await, "");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let answer = talk(address, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    assert!(answer.contains("2\r\nhi\r\n"), "{answer}");
}
