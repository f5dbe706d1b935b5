//! The gateway's table: the file that the supervisor writes and `pinnace gateway --config FILE` reads, again at each SIGHUP.
//!
//! The supervisor replaces the file atomically (write beside it, then rename). A table that cannot be read or contradicts
//! itself is refused as a whole, and the gateway goes on with the one that it has.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{ByteSize, ServiceName, SystemName};

/// Everything that the gateway has to know.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// The system's name, for logs and metrics.
    pub system: SystemName,
    /// Bytes that a request body may have; absent: no limit.
    #[serde(default)]
    pub max_body: Option<ByteSize>,
    /// The routes, in any order: the longest prefix on segment borders wins, a route with a host before one without.
    pub routes: Vec<GatewayRoute>,
}

/// One prefix and the service behind it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayRoute {
    /// The host that it is for, without a port, in lower case; absent: every host.
    #[serde(default)]
    pub host: Option<String>,
    /// The prefix, such as `/orders`; `/` for everything. It is not stripped.
    pub path: String,
    /// The service, for problems, logs and metrics.
    pub service: ServiceName,
    /// Where the service listens, whatever the registry knows of its instances.
    pub upstream: SocketAddr,
    /// Only instances that have all of these tags in the registry get requests; none: every instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Instances that are about to end: they get no more requests, even if the registry does not know of it yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<SocketAddr>,
    /// Whether requests are sent there; otherwise they are answered with 503 and `Retry-After`.
    #[serde(default = "available")]
    pub available: bool,
    /// Milliseconds until the first byte of the response's head, and between two pieces of its body.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

/// What the gateway knows, as `pinnace ps --gateway` shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct GatewayView {
    /// The system's name.
    pub system: SystemName,
    /// The registry that instances are followed in, without a password; absent: none.
    pub registry: Option<String>,
    /// Every route, by host and then the longest prefix first.
    pub routes: Vec<RouteView>,
}

/// One route and where its requests can go.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RouteView {
    /// The host that it is for; absent: every host.
    pub host: Option<String>,
    /// The prefix.
    pub path: String,
    /// The service.
    pub service: ServiceName,
    /// The tags that an instance needs.
    pub tags: Vec<String>,
    /// Where the service itself listens: what gets the requests that no instance takes.
    pub upstream: SocketAddr,
    /// Whether requests are sent there.
    pub available: bool,
    /// Milliseconds until the first byte of the response's head, and between two pieces of its body.
    pub timeout_ms: u64,
    /// The instances that the registry knows, in the order of their ids.
    pub instances: Vec<UpstreamView>,
}

/// An instance as the gateway sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct UpstreamView {
    /// Its id in the registry.
    pub id: String,
    /// Its `host:port`.
    pub address: String,
    /// Its share of the requests, relative to the others'.
    pub weight: u32,
    /// Requests on their way.
    pub in_flight: u32,
    /// Moving average of the time to an answer's first byte, in milliseconds; absent: none yet.
    pub latency_ms: Option<f64>,
    /// Requests that were sent to it.
    pub sent: u64,
    /// Those of them that it refused or broke off.
    pub failed: u64,
    /// Milliseconds for which it is left out, because it took no connection; absent: it is not.
    pub out_for_ms: Option<u64>,
}

/// What the gateway would do with a request.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Explanation {
    /// The method.
    pub method: String,
    /// The host without its port, in lower case.
    pub host: String,
    /// The path.
    pub path: String,
    /// Why the gateway answers by itself, with the status; absent: it sends the request on.
    pub refusal: Option<(u16, String)>,
    /// The route that it belongs to.
    pub route: Option<RouteView>,
    /// Whether it is sent again, elsewhere, when an instance breaks the connection before it answers and the body has at most 64 KiB.
    pub repeatable: bool,
}

const fn available() -> bool {
    true
}

const fn timeout_ms() -> u64 {
    30_000
}

#[cfg(test)]
mod tests {
    use super::GatewayConfig;

    #[test]
    fn a_route_without_options_is_available_and_waits_thirty_seconds() {
        let text = r#"{ "system": "shop", "routes": [
            { "path": "/orders", "service": "orders", "upstream": "127.0.0.1:41231" } ] }"#;
        let config: GatewayConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.routes[0].timeout_ms, 30_000);
        assert!(config.routes[0].available && config.routes[0].host.is_none() && config.max_body.is_none());
        assert!(config.routes[0].tags.is_empty());
        let again: GatewayConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(config, again);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<GatewayConfig>(r#"{ "system": "shop", "routes": [], "colour": 1 }"#).is_err());
    }
}
