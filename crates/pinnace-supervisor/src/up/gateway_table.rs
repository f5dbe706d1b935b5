//! The file that tells the gateway where to send what: written atomically, and only when it differs.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use pinnace_types::gateway::{GatewayConfig, GatewayRoute};
use pinnace_types::{ByteSize, SystemName};

use super::UpConfig;
use super::error::UpError;
use super::member::Member;

/// The file and what stands in it.
#[derive(Debug)]
pub(super) struct GatewayTable {
    path: PathBuf,
    system: SystemName,
    max_body: Option<ByteSize>,
    written: Option<GatewayConfig>,
}

impl GatewayTable {
    pub(super) fn new(path: &Path, config: &UpConfig) -> Self {
        let system = config.manifest.system.name.clone();
        Self { path: path.to_owned(), system, max_body: config.max_body, written: None }
    }

    /// Writes it where it differs; tells whether it did.
    pub(super) fn write(&mut self, members: &[Member]) -> Result<bool, UpError> {
        let config = GatewayConfig {
            system: self.system.clone(),
            max_body: self.max_body,
            routes: members.iter().flat_map(routes).collect(),
        };
        if self.written.as_ref() == Some(&config) {
            return Ok(false);
        }
        replace(&self.path, &config).map_err(|source| UpError::Storage { path: self.path.clone(), source })?;
        self.written = Some(config);
        Ok(true)
    }
}

fn routes(member: &Member) -> Vec<GatewayRoute> {
    let (Some(service), Some(upstream)) = (member.service(), member.address) else { return Vec::new() };
    // The registry hears of it as well, but later than whoever waits for a restart.
    let leaving: Vec<SocketAddr> = member
        .instances
        .iter()
        .filter(|instance| !instance.counts())
        .filter_map(|instance| instance.identity.port)
        .map(|port| (Ipv4Addr::LOCALHOST, port).into())
        .collect();
    let route = |route: &pinnace_manifest::Route| GatewayRoute {
        host: route.host().map(str::to_owned),
        path: route.path().to_owned(),
        service: member.name.clone(),
        upstream,
        tags: service.route_tags.clone(),
        leaving: leaving.clone(),
        available: member.takes_requests(),
        timeout_ms: 30_000,
    };
    service.routes.iter().map(route).collect()
}

/// Writes beside the file and renames, so that a reader sees the old one or the new one.
fn replace(path: &Path, config: &GatewayConfig) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs_err::File::create(&beside)?;
    // The type always serialises.
    file.write_all(&serde_json::to_vec_pretty(config)?)?;
    file.write_all(b"\n")?;
    drop(file);
    fs_err::rename(beside, path)
}
