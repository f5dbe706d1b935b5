//! Accepts connections and hands their requests to the handler, until it is told to drain.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::handler::{ConnectionInfo, Handler};

/// Tells a server to drain.
#[derive(Clone, Debug)]
pub(crate) struct Drain(Arc<watch::Sender<Option<(Duration, Duration)>>>);

impl Drain {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    pub(crate) fn drain(&self, linger: Duration, timeout: Duration) {
        self.0.send_replace(Some((linger, timeout)));
    }
}

/// Serves until everything has drained.
pub(crate) async fn serve(listeners: Vec<TcpListener>, handler: Handler, drain: Drain) {
    let mut tasks = JoinSet::new();
    for listener in listeners {
        tasks.spawn(accept(listener, handler.clone(), drain.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

async fn accept(listener: TcpListener, handler: Handler, drain: Drain) {
    let mut draining = drain.0.subscribe();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = draining.changed() => break,
            accepted = listener.accept() => {
                let Ok((stream, peer)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let info = Arc::new(ConnectionInfo::new(Some(peer), stream.local_addr().ok()));
                connections.spawn(connection(TokioIo::new(stream), info, handler.clone(), drain.0.subscribe()));
                while connections.try_join_next().is_some() {}
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    io: TokioIo<tokio::net::TcpStream>,
    info: Arc<ConnectionInfo>,
    handler: Handler,
    mut draining: watch::Receiver<Option<(Duration, Duration)>>,
) {
    let service = service_fn(move |request| {
        let (handler, info) = (handler.clone(), Arc::clone(&info));
        async move { Ok::<_, Infallible>(handler.call(request, info).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).pipeline_flush(true);
    let mut serving = std::pin::pin!(builder.serve_connection_with_upgrades(io, service));
    tokio::select! {
        _ = &mut serving => return,
        _ = draining.changed() => {}
    }
    let (_, timeout) = draining.borrow().unwrap_or_default();
    serving.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(timeout, serving).await;
}
