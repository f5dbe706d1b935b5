//! The routes as the gateway looks them up: by host, then the longest prefix on segment borders.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::uri::Authority;
use pinnace_types::gateway::{GatewayConfig, GatewayRoute};
use pinnace_types::{ServiceName, SystemName};

use crate::path::{self, PathRefusal};
use crate::upstream::Place;

/// A table that was checked as a whole.
#[derive(Debug)]
pub struct Table {
    pub(crate) system: SystemName,
    pub(crate) max_body: Option<u64>,
    /// What the routes lead to, each once; a route names one by its place in here.
    pub(crate) places: Vec<Place>,
    /// Longest prefix first.
    by_host: HashMap<String, Vec<Route>>,
    any_host: Vec<Route>,
}

/// One route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Route {
    pub(crate) prefix: String,
    pub(crate) service: ServiceName,
    /// Where in the table's places it leads.
    pub(crate) place: usize,
    pub(crate) upstream: SocketAddr,
    /// The same, as requests name it.
    pub(crate) authority: Authority,
    /// Instances that get nothing more, whatever the registry says of them.
    pub(crate) leaving: Vec<Authority>,
    pub(crate) available: bool,
    pub(crate) timeout: Duration,
}

/// Why a table is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be read.
    #[error("cannot read the gateway's table")]
    Read(#[source] std::io::Error),
    /// It is no table.
    #[error("the gateway's table is malformed")]
    Malformed(#[source] serde_json::Error),
    /// A prefix that no path can have.
    #[error("`{path}` of service `{service}` is no prefix: it begins with `/` and has no query and no dot segment")]
    Prefix {
        /// The prefix.
        path: String,
        /// Its service.
        service: ServiceName,
    },
    /// A host that no request can have.
    #[error("`{host}` of service `{service}` is no host: it is in lower case and without a port")]
    Host {
        /// The host.
        host: String,
        /// Its service.
        service: ServiceName,
    },
    /// An address that no request can name.
    #[error("`{upstream}` of service `{service}` cannot be sent requests")]
    Upstream {
        /// The address.
        upstream: SocketAddr,
        /// Its service.
        service: ServiceName,
    },
    /// Two services want the same place.
    #[error("services `{first}` and `{second}` both have the route `{path}`")]
    Twice {
        /// The prefix.
        path: String,
        /// The one that came first.
        first: ServiceName,
        /// The other.
        second: ServiceName,
    },
}

/// What a table says about a request.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Found<'a> {
    Route(&'a Route),
    Nothing,
    /// A path of management, which stays inside.
    Inside,
    Refused(PathRefusal),
}

impl Table {
    /// Reads the supervisor's file.
    pub fn read(file: &Path) -> Result<Self, TableError> {
        let text = fs_err::read(file).map_err(TableError::Read)?;
        Self::try_new(serde_json::from_slice(&text).map_err(TableError::Malformed)?)
    }

    /// Checks a configuration and builds the table.
    pub fn try_new(config: GatewayConfig) -> Result<Self, TableError> {
        let mut table = Self {
            system: config.system,
            max_body: config.max_body.map(pinnace_types::ByteSize::bytes),
            places: Vec::new(),
            by_host: HashMap::new(),
            any_host: Vec::new(),
        };
        for route in config.routes {
            let host = route.host.clone();
            let route = Route::try_new(route, &mut table.places)?;
            let routes = match host {
                Some(host) => table.by_host.entry(host).or_default(),
                None => &mut table.any_host,
            };
            if let Some(other) = routes.iter().find(|other| other.prefix == route.prefix) {
                let first = other.service.clone();
                return Err(TableError::Twice { path: route.prefix, first, second: route.service });
            }
            routes.push(route);
        }
        for routes in table.by_host.values_mut().chain([&mut table.any_host]) {
            routes.sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
        }
        Ok(table)
    }

    /// Where a request belongs. The host is in lower case and has no port.
    pub(crate) fn find(&self, host: &str, path: &str) -> Found<'_> {
        let reading = match path::read(path) {
            Ok(reading) => reading,
            Err(refusal) => return Found::Refused(refusal),
        };
        let route = self.lookup(host, &reading.strict);
        if route != self.lookup(host, &reading.loose) {
            return Found::Refused(PathRefusal::Separator);
        }
        let prefix = route.map_or("/", |route| route.prefix.as_str());
        if path::is_management(&reading.loose, prefix) {
            return Found::Inside;
        }
        route.map_or(Found::Nothing, Found::Route)
    }

    /// Every route with its host, in the order in which they are looked up.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (Option<&str>, &Route)> {
        let mut hosts: Vec<_> = self.by_host.iter().collect();
        hosts.sort_by_key(|(host, _)| host.as_str());
        let of_hosts =
            hosts.into_iter().flat_map(|(host, routes)| routes.iter().map(|route| (Some(host.as_str()), route)));
        of_hosts.chain(self.any_host.iter().map(|route| (None, route)))
    }

    fn lookup(&self, host: &str, path: &str) -> Option<&Route> {
        let of_host = self.by_host.get(host).into_iter().flatten();
        of_host.chain(&self.any_host).find(|route| path::is_below(path, &route.prefix))
    }
}

impl Route {
    fn try_new(route: GatewayRoute, places: &mut Vec<Place>) -> Result<Self, TableError> {
        let GatewayRoute { host, path, service, upstream, mut tags, leaving, available, timeout_ms } = route;
        if let Some(host) = host
            && (host.is_empty() || crate::headers::host_without_port(&host) != host)
        {
            return Err(TableError::Host { host, service });
        }
        let prefix = match path.trim_end_matches('/') {
            "" => "/",
            trimmed => trimmed,
        };
        let reads = path::read(&path).is_ok_and(|reading| reading.strict == reading.loose);
        if !reads || path.contains(['?', '#', '%']) {
            return Err(TableError::Prefix { path, service });
        }
        let timeout = Duration::from_millis(timeout_ms.max(1));
        tags.sort();
        tags.dedup();
        let wanted = Place { service: service.clone(), tags };
        let place = places.iter().position(|place| *place == wanted).unwrap_or_else(|| {
            places.push(wanted);
            places.len() - 1
        });
        let authority =
            authority(upstream).ok_or_else(|| TableError::Upstream { upstream, service: service.clone() })?;
        let leaving = leaving.into_iter().filter_map(self::authority).collect();
        Ok(Self { prefix: prefix.to_owned(), service, place, upstream, authority, leaving, available, timeout })
    }
}

/// How a request names a socket.
pub(crate) fn authority(address: SocketAddr) -> Option<Authority> {
    address.to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Found, Table, TableError};

    fn table(routes: &[(Option<&str>, &str, &str)]) -> Result<Table, TableError> {
        let routes: Vec<_> = routes
            .iter()
            .map(|(host, path, service)| {
                serde_json::json!({ "host": host, "path": path, "service": service, "upstream": "127.0.0.1:1" })
            })
            .collect();
        Table::try_new(serde_json::from_value(serde_json::json!({ "system": "shop", "routes": routes })).unwrap())
    }

    fn service<'a>(table: &'a Table, host: &str, path: &str) -> &'a str {
        match table.find(host, path) {
            Found::Route(route) => route.service.as_str(),
            Found::Nothing => "nothing",
            Found::Inside => "inside",
            Found::Refused(_) => "refused",
        }
    }

    #[test]
    fn the_host_wins_and_then_the_longest_prefix() {
        let table = table(&[
            (None, "/", "web"),
            (None, "/orders", "orders"),
            (None, "/orders/admin/", "admin"),
            (Some("shop.example"), "/orders", "shop"),
        ])
        .unwrap();
        for (host, path, expected) in [
            ("a", "/orders/1", "orders"),
            ("a", "/ordersx", "web"),
            ("a", "/orders/admin", "admin"),
            ("shop.example", "/orders/admin", "shop"),
            ("shop.example", "/x", "web"),
            ("a", "/orders/%61dmin/x", "admin"),
            ("a", "/orders%2Fadmin", "refused"),
            ("a", "/orders/a%2Fb", "orders"),
            ("a", "/orders/..%2fx", "refused"),
            ("a", "/orders/-/metrics", "inside"),
            ("a", "/-/info", "inside"),
        ] {
            assert_eq!(service(&table, host, path), expected, "{host} {path}");
        }
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        assert!(matches!(table(&[(None, "/a", "x"), (None, "/a/", "y")]), Err(TableError::Twice { .. })));
        assert!(matches!(table(&[(None, "/a/../b", "x")]), Err(TableError::Prefix { .. })));
        assert!(matches!(table(&[(Some("Shop:80"), "/", "x")]), Err(TableError::Host { .. })));
    }
}
