//! What `pinnace up` can be told. Plain data; loading it starts nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use pinnace_manifest::Manifest;
use pinnace_types::ByteSize;

/// The settings of one running system.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Debug)]
pub struct UpConfig {
    /// What is run.
    pub manifest: Manifest,
    /// The program that serves, guards, routes: this binary.
    pub binary: PathBuf,
    /// Where the gateway listens. Default: 127.0.0.1:8080; port 0 takes a free one and keeps it over starts.
    pub gateway: SocketAddr,
    /// Where the hub listens. Default: 127.0.0.1:7070; port 0 likewise.
    pub hub: SocketAddr,
    /// Where the hub answers resolvers, over UDP and TCP. Default: nowhere; port 0 takes a free one and keeps it over starts.
    pub dns: Option<SocketAddr>,
    /// Whether the hub forgets at most 15 % of Eureka's leases within a minute. Default: no.
    pub self_preservation: bool,
    /// Whether a service that does not become ready ends the whole system. Default: no.
    pub strict: bool,
    /// Whether a change of a service's files reloads it. Default: yes.
    pub watch: bool,
    /// Whether migrations are run before a service starts. Default: yes.
    pub migrate: bool,
    /// Bytes that the body of a request may have at the gateway. Default: no limit.
    pub max_body: Option<ByteSize>,
}

impl UpConfig {
    /// The defaults for a manifest.
    pub fn new(manifest: Manifest, binary: impl Into<PathBuf>) -> Self {
        Self {
            manifest,
            binary: binary.into(),
            gateway: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            hub: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            dns: None,
            self_preservation: false,
            strict: false,
            watch: true,
            migrate: true,
            max_body: None,
        }
    }
}
