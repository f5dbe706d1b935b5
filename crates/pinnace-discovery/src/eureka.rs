//! Eureka's REST API, as Netflix' and Spring's servers and Pinnace's own registry speak it.
//!
//! It is spoken as Eureka's own client does: everything is fetched once, then what has changed, every 5 s; where the hash
//! code that a server sends does not fit what is held, everything is fetched again
//! (<https://github.com/Netflix/eureka/wiki/Understanding-eureka-client-server-communication>, paths and statuses:
//! <https://github.com/Netflix/eureka/wiki/Eureka-REST-operations>). One task does it for all services.

mod applications;
mod following;
mod registering;
mod shapes;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};
use parking_lot::Mutex;
use pinnace_types::ServiceName;

use crate::follow::{Follower, Presence};
use crate::http::Http;
use crate::instances::Publisher;
use crate::lease::keep;
use crate::{EurekaLocation, Instances, Lease, Registration, Registry};
use applications::Applications;

/// Settings of an [`EurekaRegistry`].
///
/// Defaults: changes are fetched every 5 s.
#[derive(Clone, Copy, Debug)]
pub struct EurekaConfig {
    /// How long after one fetch the next begins.
    pub period: Duration,
}

/// A registry that speaks Eureka's API. Clones share what they follow.
#[derive(Clone)]
pub struct EurekaRegistry(Arc<Server>);

/// What every task needs.
#[derive(Debug)]
struct Server {
    http: Http,
    /// Begins and ends with a slash.
    path: String,
    config: EurekaConfig,
    held: Mutex<Held>,
    presence: Presence,
}

/// What is followed, and what is known.
#[derive(Debug, Default)]
struct Held {
    followed: HashMap<ServiceName, Follower>,
    /// Of the last fetch that worked.
    applications: Option<Applications>,
    /// A task fetches; it ends when nothing is followed any more.
    is_fetching: bool,
}

impl Default for EurekaConfig {
    fn default() -> Self {
        Self { period: Duration::from_secs(5) }
    }
}

impl EurekaRegistry {
    /// The server at this place. Nothing is asked yet.
    pub fn new(location: &EurekaLocation, config: EurekaConfig) -> Self {
        let mut http = Http::new(location.endpoint.clone());
        if let Some(user_info) = &location.user_info {
            http = http.with_secret(header::AUTHORIZATION, basic(user_info.expose()));
        }
        let path = location.path.clone();
        Self(Arc::new(Server { http, path, config, held: Mutex::default(), presence: Presence::default() }))
    }
}

impl Registry for EurekaRegistry {
    fn resolve(&self, service: &ServiceName) -> Instances {
        let mut held = self.0.held.lock();
        let Held { followed, applications, is_fetching } = &mut *held;
        let follower = followed.entry(service.clone()).or_insert_with(|| {
            let mut follower = Follower::new(Arc::new(Publisher::default()));
            if let Some(applications) = applications {
                follower.heard(applications.instances_of(service));
            }
            follower
        });
        let instances = follower.publisher().subscribe();
        if !*is_fetching {
            *is_fetching = true;
            // It ends when nobody watches any more.
            tokio::spawn(following::follow(Arc::clone(&self.0)));
        }
        instances
    }

    fn register(&self, registration: Registration) -> Lease {
        let ttl = registration.ttl;
        let keeper = registering::Registered::new(Arc::clone(&self.0), registration);
        Lease::keep(move |state, ended| keep(keeper, ttl, state, ended))
    }
}

impl fmt::Debug for EurekaRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EurekaRegistry({})", self.0.http.place())
    }
}

/// Credentials as RFC 7617 writes them. What has no colon is a name with an empty password.
fn basic(user_info: &str) -> HeaderValue {
    let text = if user_info.contains(':') { user_info.to_owned() } else { format!("{user_info}:") };
    // Base64 is made of characters that a header can carry.
    HeaderValue::from_str(&format!("Basic {}", base64(text.as_bytes()))).unwrap_or(HeaderValue::from_static(""))
}

/// Base64 with padding, RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{base64, basic};

    #[test]
    fn credentials_are_those_of_the_rfcs() {
        // RFC 4648 section 10.
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        // RFC 7617 section 2.
        assert_eq!(basic("Aladdin:open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("abc"), "Basic YWJjOg==");
    }
}
