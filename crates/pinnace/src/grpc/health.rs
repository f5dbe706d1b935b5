//! `grpc.health.v1.Health`: what `/-/health/ready` says, for gRPC clients.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>. The empty name asks for the service as a whole; each
//! of its gRPC services is as well as the whole is.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream;
use pinnace_http::management::Readiness;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health as Protocol, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::condition::Condition;

/// How often the author's probe is asked for somebody who watches.
const PERIOD: Duration = Duration::from_secs(5);

/// The health of all gRPC services of a process.
#[derive(Debug)]
pub(super) struct Health {
    names: Vec<&'static str>,
    condition: Arc<Condition>,
}

/// Where somebody who watches stands.
#[derive(Clone, Copy, Debug)]
enum Watched {
    Nothing,
    Told(ServingStatus),
    Ended,
}

impl Health {
    pub(super) fn new(names: Vec<&'static str>, condition: Arc<Condition>) -> Self {
        Self { names, condition }
    }

    pub(super) fn into_routes(self) -> Routes {
        Routes::new(HealthServer::new(self))
    }

    fn knows(&self, name: &str) -> bool {
        name.is_empty() || self.names.contains(&name)
    }
}

#[tonic::async_trait]
impl Protocol for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service here"));
        }
        Ok(Response::new(answer(serving(&self.condition).await)))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = self.knows(&request.get_ref().service);
        let condition = Arc::clone(&self.condition);
        let changes = stream::unfold(Watched::Nothing, move |watched| {
            let condition = Arc::clone(&condition);
            async move { next(watched, is_known, &condition).await }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

/// Waits for what is to be told next.
async fn next(
    watched: Watched,
    is_known: bool,
    condition: &Condition,
) -> Option<(Result<HealthCheckResponse, Status>, Watched)> {
    loop {
        let now = if is_known { serving(condition).await } else { ServingStatus::ServiceUnknown };
        match watched {
            Watched::Ended => return None,
            Watched::Told(last) if last == now => {}
            Watched::Nothing | Watched::Told(_) => return Some((Ok(answer(now)), Watched::Told(now))),
        }
        if condition.drain.has_begun() {
            // A stream that went on would hold up the end of the service.
            return Some((Err(Status::unavailable("the service stops")), Watched::Ended));
        }
        tokio::select! {
            () = condition.drain.begun() => {}
            () = tokio::time::sleep(PERIOD), if is_known && condition.probe.is_some() => {}
        }
    }
}

async fn serving(condition: &Condition) -> ServingStatus {
    match condition.readiness().await {
        Readiness::Ready => ServingStatus::Serving,
        Readiness::Unready | Readiness::Stopping => ServingStatus::NotServing,
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
