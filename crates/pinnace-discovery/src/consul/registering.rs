//! One instance, registered with its agent and kept alive by a TTL check.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::Value;

use super::{Agent, shapes};
use crate::Registration;
use crate::http::{Answer, CALL, Trouble, segment};
use crate::lease::{Keeper, Renewal};

/// How agents of before Consul 1.11 say, with status 500, that they do not know a check.
const OLD_UNKNOWN: &[u8] = b"does not have associated TTL";

pub(super) struct Registered {
    agent: Arc<Agent>,
    definition: Value,
    pass: String,
    deregister: String,
}

impl Registered {
    pub(super) fn new(agent: Arc<Agent>, registration: &Registration) -> Self {
        let check = shapes::check_id(&registration.id);
        Self {
            agent,
            definition: shapes::definition(registration),
            pass: format!("/v1/agent/check/pass/{}", segment(&check)),
            deregister: format!("/v1/agent/service/deregister/{}", segment(&registration.id)),
        }
    }

    async fn put(&self, path: &str, body: Option<&Value>) -> Result<Answer, Trouble> {
        self.agent.http.call(Method::PUT, path, body, CALL).await
    }
}

impl Keeper for Registered {
    async fn register(&self) -> Result<(), Trouble> {
        let answer =
            self.put("/v1/agent/service/register?replace-existing-checks=true", Some(&self.definition)).await?;
        if answer.status != StatusCode::OK {
            return Err(self.agent.http.refused(&answer));
        }
        // An agent that knows the check already leaves it as it stood, which may be critical.
        match self.renew().await? {
            Renewal::Kept => Ok(()),
            Renewal::Forgotten => Err(self.agent.http.nonsense("it does not know what it was just told")),
        }
    }

    async fn renew(&self) -> Result<Renewal, Trouble> {
        let answer = self.put(&self.pass, None).await?;
        let is_unknown = answer.status == StatusCode::NOT_FOUND
            || answer.body.windows(OLD_UNKNOWN.len()).any(|window| window == OLD_UNKNOWN);
        match answer.status {
            StatusCode::OK => Ok(Renewal::Kept),
            _ if is_unknown => Ok(Renewal::Forgotten),
            _ => Err(self.agent.http.refused(&answer)),
        }
    }

    async fn cancel(&self) -> Result<(), Trouble> {
        let answer = self.put(&self.deregister, None).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(self.agent.http.refused(&answer)),
        }
    }
}
