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
    /// Where the service listens.
    pub upstream: SocketAddr,
    /// Whether requests are sent there; otherwise they are answered with 503 and `Retry-After`.
    #[serde(default = "available")]
    pub available: bool,
    /// Milliseconds until the first byte of the response's head, and between two pieces of its body.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
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
        let again: GatewayConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(config, again);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<GatewayConfig>(r#"{ "system": "shop", "routes": [], "colour": 1 }"#).is_err());
    }
}
