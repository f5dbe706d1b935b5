//! All services, followed by one task that fetches what has changed.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use super::applications::Applications;
use super::{Held, Server};
use crate::http::{CALL, Trouble};
use crate::pauses::{Pauses, about};

/// Fetches for as long as somebody watches a service.
pub(super) async fn follow(server: Arc<Server>) {
    let mut pauses = Pauses::new();
    loop {
        let fetched = server.fetch().await;
        let pause = match fetched {
            Ok(applications) => {
                server.presence.heard(&server.http.place());
                pauses.reset();
                server.held.lock().hear(applications);
                about(server.config.period)
            }
            Err(trouble) => {
                server.presence.lost(&trouble);
                server.held.lock().lose();
                pauses.after_failure()
            }
        };
        sleep(pause).await;
        let mut held = server.held.lock();
        held.followed.retain(|_, follower| follower.publisher().is_watched());
        if held.followed.is_empty() {
            *held = Held::default();
            return;
        }
    }
}

impl Server {
    /// What has changed where that is enough, else everything.
    async fn fetch(&self) -> Result<Applications, Trouble> {
        // Nobody else takes it: while it is away, those who resolve wait for the answer.
        let known = self.held.lock().applications.take();
        if let Some(mut applications) = known
            && let Some(delta) = self.read("apps/delta").await.ok()
            && applications.merge(&delta).is_ok_and(|is_complete| is_complete)
        {
            return Ok(applications);
        }
        let everything = self.read("apps").await?;
        Applications::read(&everything).map_err(|error| self.http.nonsense(error))
    }

    async fn read(&self, what: &str) -> Result<Value, Trouble> {
        let answer = self.http.call(Method::GET, &format!("{}{what}", self.path), None, CALL).await?;
        if answer.status != StatusCode::OK {
            return Err(self.http.refused(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.http.nonsense(error))
    }
}

impl Held {
    fn hear(&mut self, applications: Applications) {
        for (service, follower) in &mut self.followed {
            follower.heard(applications.instances_of(service));
        }
        self.applications = Some(applications);
    }

    fn lose(&mut self) {
        for follower in self.followed.values_mut() {
            follower.lost();
        }
    }
}
