//! The way to another service for gRPC clients: HTTP/2 on the service's address, with the request's id and a timeout.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pinnace_http::Body;
use tonic::Status;
use tower::Service;

use super::{Peer, PeerError, PeerErrorKind};
use crate::grpc;

/// What a generated client takes as its channel, see [`Peer::grpc`]. Clones share their connections.
#[derive(Clone)]
pub struct GrpcChannel(Peer);

impl Peer {
    /// The way to this service for a gRPC client that was generated for [tonic].
    ///
    /// Calls go over one HTTP/2 connection, which is made when it is needed. Each carries the id of the request that is
    /// being answered. Its answer has to begin within the peer's [timeout](Self::timeout), or within the call's own
    /// (`Request::set_timeout`), which the other service is told too; a stream may then last as long as it likes. What
    /// fails on the way is a status: `UNAVAILABLE` without a connection or when it breaks, `DEADLINE_EXCEEDED` when it
    /// is late.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), pinnace::BoxError> {
    /// # use pinnace::{Peer, Service};
    /// # use pinnace_protocol::harbour::v1 as harbour;
    /// # struct Desk;
    /// # #[pinnace::tonic::async_trait]
    /// # impl harbour::desk_server::Desk for Desk {
    /// #     type FollowStream = futures_util::stream::Empty<Result<harbour::Parcel, pinnace::tonic::Status>>;
    /// #     async fn find(
    /// #         &self,
    /// #         request: pinnace::tonic::Request<harbour::ParcelRequest>,
    /// #     ) -> Result<pinnace::tonic::Response<harbour::Parcel>, pinnace::tonic::Status> {
    /// #         let id = request.into_inner().id;
    /// #         Ok(pinnace::tonic::Response::new(harbour::Parcel { id, has_arrived: true }))
    /// #     }
    /// #     async fn follow(
    /// #         &self,
    /// #         _: pinnace::tonic::Request<harbour::ParcelRequest>,
    /// #     ) -> Result<pinnace::tonic::Response<Self::FollowStream>, pinnace::tonic::Status> {
    /// #         Ok(pinnace::tonic::Response::new(futures_util::stream::empty()))
    /// #     }
    /// # }
    /// # let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let url = format!("http://{}", socket.local_addr()?);
    /// # tokio::spawn(Service::new("shipping").grpc(harbour::desk_server::DeskServer::new(Desk)).listener(socket).serve());
    /// use harbour::desk_client::DeskClient;
    ///
    /// // In a service this is `Peer::from_environment("shipping")?`.
    /// let shipping = Peer::new("shipping", &url)?;
    /// let mut desk = DeskClient::new(shipping.grpc());
    /// let parcel = desk.find(harbour::ParcelRequest { id: 7 }).await?.into_inner();
    /// assert!(parcel.has_arrived);
    /// # Ok(())
    /// # }
    /// ```
    pub fn grpc(&self) -> GrpcChannel {
        GrpcChannel(self.clone())
    }

    async fn call(&self, request: Request<tonic::body::Body>) -> Result<Response<Incoming>, PeerError> {
        let patience = grpc::patience(request.headers()).unwrap_or(self.timeout);
        let request = self.addressed(request.map(Body::boxed))?;
        let answered = tokio::time::timeout(patience, self.calls.send(request)).await;
        let answered = answered.map_err(|_| self.error(PeerErrorKind::TimedOut { after: patience }))?;
        answered.map_err(|error| self.lost(&error))
    }
}

impl Service<Request<tonic::body::Body>> for GrpcChannel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let peer = self.0.clone();
        Box::pin(async move {
            let response = peer.call(request).await?;
            let broken = move |_| Status::from(peer.error(PeerErrorKind::Broken));
            Ok(response.map(|body| Body::boxed(body.map_err(broken))))
        })
    }
}

impl fmt::Debug for GrpcChannel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("GrpcChannel").field(&self.0.name).finish()
    }
}
