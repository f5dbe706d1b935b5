//! One service, followed by blocking queries.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use pinnace_types::ServiceName;
use tokio::time::{Instant, sleep};

use super::{Agent, shapes};
use crate::Instance;
use crate::follow::Follower;
use crate::http::{CALL, Trouble, segment};
use crate::instances::Publisher;
use crate::pauses::{Pauses, about};

/// For how long Consul is asked to wait for a change. It adds up to a sixteenth.
const WAIT: Duration = Duration::from_secs(55);
/// Between two answers that bring something new; what changes meanwhile comes with the second.
const CALM: Duration = Duration::from_millis(20);
/// An answer that brings nothing new and comes sooner has not waited.
const AT_ONCE: Duration = Duration::from_millis(100);
/// After such an answer, so that a server that does not wait is not asked all the time. What changes meanwhile comes later by
/// so much at most.
const IN_VAIN: Duration = Duration::from_millis(250);

/// Follows a service for as long as somebody watches it.
pub(super) async fn follow(agent: Arc<Agent>, service: ServiceName, publisher: Arc<Publisher>) {
    let follower = Follower::new(Arc::clone(&publisher));
    let mut following = Following { index: 0, pauses: Pauses::new(), follower };
    loop {
        let round = async {
            let pause = following.ask(&agent, &service).await;
            sleep(pause).await;
        };
        tokio::select! {
            () = round => continue,
            () = publisher.closed() => {}
        }
        // Whoever resolves it in this moment holds the lock, and is seen here or finds nothing and starts anew.
        let mut followed = agent.followed.lock();
        if !publisher.is_watched() {
            followed.remove(&service);
            return;
        }
    }
}

struct Following {
    /// Of the last answer; 0 asks for one at once.
    index: u64,
    pauses: Pauses,
    follower: Follower,
}

impl Following {
    /// Asks once, and says how long to pause then.
    async fn ask(&mut self, agent: &Agent, service: &ServiceName) -> Duration {
        let asked = Instant::now();
        let wait = self.follower.kept_for().map_or(WAIT, |kept| kept.min(WAIT).max(AT_ONCE));
        match health(agent, service, self.index, wait).await {
            Ok((index, instances)) => {
                agent.presence.heard(&agent.http.place());
                // One that goes back belongs to a state that knows less: it was restored or lost.
                if index < self.index {
                    self.follower.lost();
                }
                self.index = next_index(self.index, index);
                self.pauses.reset();
                if self.follower.heard(instances) {
                    CALM
                } else if asked.elapsed() < AT_ONCE {
                    about(IN_VAIN)
                } else {
                    Duration::ZERO
                }
            }
            Err(trouble) => {
                agent.presence.lost(&trouble);
                self.follower.lost();
                // What comes back may count from the beginning; with the old index it would be waited for in vain.
                self.index = 0;
                self.pauses.after_failure()
            }
        }
    }
}

/// Which index to ask with next: Consul's rules for clients. One that goes back means that all has to be asked anew; 0 would
/// not wait, so what is 0 by mistake counts as 1.
const fn next_index(asked: u64, answered: u64) -> u64 {
    if answered < asked {
        0
    } else if answered == 0 {
        1
    } else {
        answered
    }
}

async fn health(
    agent: &Agent,
    service: &ServiceName,
    index: u64,
    wait: Duration,
) -> Result<(u64, Vec<Instance>), Trouble> {
    let mut path = format!("/v1/health/service/{}?passing=true", segment(service.as_str()));
    let mut patience = CALL;
    if index > 0 {
        path = format!("{path}&index={index}&wait={}ms", wait.as_millis());
        patience += wait + wait / 16;
    }
    let answer = agent.http.call(Method::GET, &path, None, patience).await?;
    if answer.status != StatusCode::OK {
        return Err(agent.http.refused(&answer));
    }
    let instances = shapes::instances(&answer.body).map_err(|error| agent.http.nonsense(error))?;
    Ok((answer.number("x-consul-index").unwrap_or(0), instances))
}

#[cfg(test)]
mod tests {
    use super::next_index;

    #[test]
    fn indexes_follow_consuls_rules() {
        for (asked, answered, next) in [(0, 7, 7), (7, 7, 7), (7, 9, 9), (9, 7, 0), (0, 0, 1), (1, 0, 0)] {
            assert_eq!(next_index(asked, answered), next, "{asked} {answered}");
        }
    }
}
