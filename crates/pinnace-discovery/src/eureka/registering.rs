//! One instance, registered and kept alive by heartbeats.

use std::sync::Arc;

use http::{Method, StatusCode};
use jiff::Timestamp;

use super::{Server, shapes};
use crate::Registration;
use crate::http::{CALL, Trouble, segment};
use crate::lease::{Keeper, Renewal};

pub(super) struct Registered {
    server: Arc<Server>,
    registration: Registration,
    app: String,
    instance: String,
}

impl Registered {
    pub(super) fn new(server: Arc<Server>, registration: Registration) -> Self {
        let app = format!("{}apps/{}", server.path, segment(&shapes::app_name(&registration.service)));
        let instance = format!("{app}/{}", segment(&registration.id));
        Self { server, registration, app, instance }
    }
}

impl Keeper for Registered {
    async fn register(&self) -> Result<(), Trouble> {
        let body = shapes::definition(&self.registration, Timestamp::now());
        let answer = self.server.http.call(Method::POST, &self.app, Some(&body), CALL).await?;
        // Eureka answers 204; anything else that is well is well.
        if answer.status.is_success() { Ok(()) } else { Err(self.server.http.refused(&answer)) }
    }

    async fn renew(&self) -> Result<Renewal, Trouble> {
        let path = format!("{}?status=UP", self.instance);
        let answer = self.server.http.call(Method::PUT, &path, None, CALL).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(Renewal::Forgotten),
            status if status.is_success() => Ok(Renewal::Kept),
            _ => Err(self.server.http.refused(&answer)),
        }
    }

    async fn cancel(&self) -> Result<(), Trouble> {
        let answer = self.server.http.call(Method::DELETE, &self.instance, None, CALL).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() => Ok(()),
            _ => Err(self.server.http.refused(&answer)),
        }
    }
}
