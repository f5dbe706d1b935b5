//! The smallest handler, on one thread: what the server itself costs. `hello 127.0.0.1:8000`, then a load generator.

use std::sync::Arc;

use http::{Request, Response};
use pinnace_http::{Body, Connection, Drain, Handler, Listener, RequestBody, Server, ServerConfig};
use tokio::net::TcpListener;

#[derive(Clone)]
struct Hello;

impl Handler for Hello {
    async fn call(&self, _: Request<RequestBody>, _: Arc<Connection>) -> Response<Body> {
        Response::new(Body::from("hello"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let listener = TcpListener::bind(address).await?;
    Server::new(ServerConfig::default(), Hello).serve(vec![Listener::Tcp(listener)], Drain::new()).await;
    Ok(())
}
