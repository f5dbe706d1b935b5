//! What a service finds in its environment: the names that its libraries already know (docs/reference/environment.md).
//!
//! It is this process's own environment, less what belongs to this process alone, with what the platform gives on top,
//! then secrets, then `env` of the manifest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use pinnace_manifest::{DatabaseEngine, Discovery, Endpoint, Engine, Manifest, Service, VariableName};
use pinnace_types::{Secret, ServiceName, environment, service_token};

use super::environment::Prepared;

/// What belongs to this process and not to a service.
const OWN: [&str; 12] = [
    environment::HUB_TOKEN,
    // The manifest says with whom services register.
    environment::REGISTRY,
    environment::LIFETIME_FD,
    environment::STATUS_FD,
    environment::WORKER,
    environment::LISTEN_FDS,
    environment::LISTEN_PID,
    environment::LISTEN_FDNAMES,
    environment::VIRTUAL_ENV,
    environment::PORT,
    "PYTHONHOME",
    "PYTHONPATH",
];

/// What is known of a service once it is prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    /// Where it is reached.
    pub(crate) port: Option<u16>,
    /// Where every service is reached; the address of one outside may hold a password.
    pub(crate) urls: &'a BTreeMap<ServiceName, Secret<String>>,
    /// The folder of its `SQLite` database.
    pub(crate) data: &'a Path,
    /// Its environment, where it has one.
    pub(crate) python: Option<&'a Prepared>,
    /// The hub, where its registry can be reached.
    pub(crate) hub: Option<&'a HubAccess>,
}

/// How the hub is reached, and the token from which those of the services are made.
#[derive(Clone, Debug)]
pub(crate) struct HubAccess {
    pub(crate) address: SocketAddr,
    pub(crate) token: Secret<String>,
}

/// Secrets that a service asks for and that nobody gives.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{service}` asks for secrets that are not set: {}", .names.join(", "))]
pub struct MissingSecret {
    /// The service.
    pub service: ServiceName,
    /// Their names.
    pub names: Vec<String>,
}

/// Where secrets come from: this process's environment, else `.env` beside the manifest.
#[derive(Debug)]
struct Secrets(BTreeMap<String, Secret<String>>);

/// The whole environment of a service.
pub(crate) fn variables(
    manifest: &Manifest,
    service: &Service,
    given: &Given<'_>,
) -> Result<Vec<(OsString, OsString)>, MissingSecret> {
    let mut variables: BTreeMap<OsString, OsString> = inherited().collect();
    // What `up` shows is read by people, unless whoever starts it says otherwise.
    variables.entry(environment::LOG_FORMAT.into()).or_insert_with(|| "text".into());
    let mut set = |name: &str, value: OsString| {
        variables.insert(name.into(), value);
    };
    set("PYTHONUNBUFFERED", "1".into());
    set(environment::SERVICE, service.name.as_str().into());
    set(environment::OTEL_SERVICE_NAME, service.name.as_str().into());
    if let Some(port) = given.port {
        set(environment::PORT, port.to_string().into());
    }
    for called in &service.calls {
        if let Some(url) = given.urls.get(called) {
            set(&environment::service_url(called), url.expose().into());
        }
    }
    if let Some(url) = database_url(service, given.data) {
        set(environment::DATABASE_URL, url.into());
    }
    if let Some(Engine::External(broker)) = &manifest.engines.amqp {
        set(environment::AMQP_URL, broker.expose().into());
        set(environment::CELERY_BROKER_URL, broker.expose().into());
    }
    if let Some(kafka) = &manifest.engines.kafka {
        set(environment::KAFKA_BOOTSTRAP_SERVERS, kafka.authority().into());
    }
    for (name, value) in registry(manifest, service, given.hub) {
        set(name, value.into());
    }
    if let Some(python) = given.python {
        set(environment::VIRTUAL_ENV, python.venv.clone().into());
        set("PATH", path_with(&python.bin));
    }
    let secrets = Secrets::read(&manifest.root);
    if let Some(missing) = secrets.missing(service) {
        return Err(missing);
    }
    for name in &service.secrets {
        if let Some(secret) = secrets.find(name.as_str()) {
            set(name.as_str(), secret.expose().into());
        }
    }
    for (name, value) in &service.env {
        set(name.as_str(), value.into());
    }
    Ok(variables.into_iter().collect())
}

/// Where the gateway learns of instances: its argument, and what it finds in its environment. A password stands in the latter.
pub(crate) fn registry_of_gateway(
    manifest: &Manifest,
    hub: Option<&HubAccess>,
    gateway: &ServiceName,
) -> (String, Vec<(&'static str, Secret<String>)>) {
    match &manifest.engines.discovery {
        Some(Discovery::Consul(consul)) => (format!("consul://{}", with_port(consul.authority(), 8500)), Vec::new()),
        Some(Discovery::Eureka(eureka)) => (
            "eureka".to_owned(),
            vec![(environment::EUREKA_SERVER, Secret::new(format!("http://{}", place_of(eureka))))],
        ),
        None | Some(Discovery::Embedded | Discovery::Kubernetes) => {
            let of_hub = |hub: &HubAccess| {
                let token = service_token(&hub.token, gateway);
                let address = Secret::new(hub.address.to_string());
                vec![(environment::CONSUL_HTTP_ADDR, address), (environment::CONSUL_HTTP_TOKEN, token)]
            };
            ("consul".to_owned(), hub.map(of_hub).unwrap_or_default())
        }
    }
}

/// Where the registry is, in the words of its clients: the hub's, which speaks as both, or a real one, which services
/// register with by themselves.
fn registry(manifest: &Manifest, service: &Service, hub: Option<&HubAccess>) -> Vec<(&'static str, String)> {
    match &manifest.engines.discovery {
        Some(Discovery::Consul(consul)) => vec![
            (environment::CONSUL_HTTP_ADDR, with_port(consul.authority(), 8500)),
            (environment::REGISTRY, format!("consul://{}", with_port(consul.authority(), 8500))),
        ],
        Some(Discovery::Eureka(eureka)) => {
            let place = place_of(eureka);
            vec![
                (environment::EUREKA_SERVER, format!("http://{place}")),
                (environment::REGISTRY, format!("eureka://{place}")),
            ]
        }
        None | Some(Discovery::Embedded | Discovery::Kubernetes) => {
            let Some(hub) = hub else { return Vec::new() };
            let (address, token) = (hub.address, service_token(&hub.token, &service.name));
            let user_info = format!("{}:{}", service.name, token.expose());
            vec![
                (environment::CONSUL_HTTP_ADDR, address.to_string()),
                (environment::CONSUL_HTTP_TOKEN, token.expose().to_owned()),
                (environment::EUREKA_SERVER, format!("http://{user_info}@{address}/eureka/")),
            ]
        }
    }
}

/// What stands behind `eureka://`, with the path of Spring's server where none is given.
fn place_of(eureka: &Endpoint) -> String {
    let place = eureka.expose().split_once("://").map_or("", |(_, place)| place);
    if place.contains('/') { place.to_owned() } else { format!("{place}/eureka/") }
}

fn with_port(authority: &str, port: u16) -> String {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port { authority.to_owned() } else { format!("{authority}:{port}") }
}

/// This process's environment, less what is its own: what steps and services start from.
pub(crate) fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        // In a system the manifest alone says how services are served.
        !OWN.iter().any(|own| name == own) && !name.as_encoded_bytes().starts_with(b"PINNACE_SERVE_")
    })
}

/// The secrets of every service that nobody gives.
pub(crate) fn missing_secrets(manifest: &Manifest) -> Vec<MissingSecret> {
    let secrets = Secrets::read(&manifest.root);
    manifest.services.iter().filter_map(|service| secrets.missing(service)).collect()
}

impl Secrets {
    fn read(root: &Path) -> Self {
        let text = fs_err::read_to_string(root.join(".env")).unwrap_or_default();
        Self(text.lines().filter_map(pair).map(|(name, value)| (name, Secret::new(value))).collect())
    }

    fn find(&self, name: &str) -> Option<Secret<String>> {
        let own = std::env::vars_os().find(|(known, _)| known == name);
        let own = own.and_then(|(_, value)| value.into_string().ok());
        own.map(Secret::new).or_else(|| self.0.get(name).cloned())
    }

    fn missing(&self, service: &Service) -> Option<MissingSecret> {
        let absent = service.secrets.iter().map(VariableName::as_str).filter(|name| self.find(name).is_none());
        let names: Vec<String> = absent.map(str::to_owned).collect();
        (!names.is_empty()).then(|| MissingSecret { service: service.name.clone(), names })
    }
}

/// One line of `.env`: `NAME=value`, perhaps behind `export`, the value perhaps in quotes; `#` begins a comment line.
fn pair(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some((name.trim().to_owned(), inner.unwrap_or(value).to_owned()))
}

/// Four slashes: an absolute path, as `SQLAlchemy` and `dj-database-url` read it.
fn database_url(service: &Service, data: &Path) -> Option<String> {
    let database = service.database.as_ref()?;
    match (&database.url, database.engine) {
        (Some(url), _) => Some(url.expose().to_owned()),
        (None, DatabaseEngine::Sqlite) => Some(format!("sqlite:///{}", data.join("db.sqlite3").display())),
        (None, DatabaseEngine::Postgres | DatabaseEngine::Redis | DatabaseEngine::Mongodb) => None,
    }
}

fn path_with(bin: &Path) -> OsString {
    let mut path = bin.as_os_str().to_owned();
    if let Some((_, own)) = std::env::vars_os().find(|(name, _)| name == "PATH") {
        path.push(":");
        path.push(own);
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::{OsStr, OsString};
    use std::path::{Path, PathBuf};

    use pinnace_manifest::Manifest;
    use pinnace_types::Secret;

    use super::{Given, HubAccess, missing_secrets, variables};
    use crate::up::environment::Prepared;

    fn manifest(folder: &Path, text: &str) -> Manifest {
        fs_err::create_dir_all(folder.join("orders")).unwrap();
        fs_err::write(folder.join("pinnace.toml"), text).unwrap();
        Manifest::load(&folder.join("pinnace.toml")).unwrap()
    }

    fn value<'a>(variables: &'a [(OsString, OsString)], name: &str) -> Option<&'a str> {
        variables.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.to_str())
    }

    const SHOP: &str = "[system]\nname = \"shop\"\n[service.catalog]\nexternal = true\n\
        [service.orders]\npath = \"orders\"\ncalls = [\"catalog\"]\ndatabase = { engine = \"sqlite\" }\n\
        env = { CURRENCY = \"EUR\" }\nsecrets = [\"STRIPE_KEY_OF_THE_TEST\"]\n";

    #[test]
    fn a_service_finds_the_names_that_its_libraries_know() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = manifest(folder.path(), SHOP);
        fs_err::write(folder.path().join(".env"), "# keys\nexport STRIPE_KEY_OF_THE_TEST='sk_1=2'\n").unwrap();
        let urls = BTreeMap::from([("catalog".parse().unwrap(), Secret::new("http://127.0.0.1:4000".to_owned()))]);
        let venv = PathBuf::from("/envs/orders");
        let python = Prepared { python: venv.join("bin/python"), bin: venv.join("bin"), venv };
        let hub = HubAccess { address: ([127, 0, 0, 1], 7070).into(), token: Secret::new("of the hub".to_owned()) };
        let (data, python) = (Path::new("/data/orders"), Some(&python));
        let given = Given { port: Some(4001), urls: &urls, data, python, hub: Some(&hub) };
        let found = variables(&manifest, manifest.service("orders").unwrap(), &given).unwrap();
        let expected = [
            ("PORT", "4001"),
            ("CATALOG_URL", "http://127.0.0.1:4000"),
            ("DATABASE_URL", "sqlite:////data/orders/db.sqlite3"),
            ("OTEL_SERVICE_NAME", "orders"),
            ("PINNACE_SERVICE", "orders"),
            ("VIRTUAL_ENV", "/envs/orders"),
            ("CONSUL_HTTP_ADDR", "127.0.0.1:7070"),
            ("STRIPE_KEY_OF_THE_TEST", "sk_1=2"),
            ("CURRENCY", "EUR"),
        ];
        for (name, expected) in expected {
            assert_eq!(value(&found, name), Some(expected), "{name}");
        }
        let token = value(&found, "CONSUL_HTTP_TOKEN").unwrap();
        assert!(token.starts_with("orders.") && !token.contains("of the hub"), "{token}");
        let eureka = format!("http://orders:{token}@127.0.0.1:7070/eureka/");
        assert_eq!(value(&found, "EUREKA_SERVER"), Some(eureka.as_str()));
        assert!(value(&found, "PATH").unwrap().starts_with("/envs/orders/bin:"));
        assert!(found.iter().all(|(name, _)| name != OsStr::new("PYTHONHOME")));
    }

    #[test]
    fn a_real_registry_takes_the_place_of_the_embedded_one() {
        let folder = tempfile::tempdir().unwrap();
        let hub = HubAccess { address: ([127, 0, 0, 1], 7070).into(), token: Secret::new("of the hub".to_owned()) };
        let consul = [("CONSUL_HTTP_ADDR", "consul:8500"), ("PINNACE_REGISTRY", "consul://consul:8500")];
        let eureka = [
            ("EUREKA_SERVER", "http://shop:pw@eureka:8761/eureka/"),
            ("PINNACE_REGISTRY", "eureka://shop:pw@eureka:8761/eureka/"),
        ];
        for (address, expected, other) in [
            ("consul://consul", consul, "EUREKA_SERVER"),
            ("consul://consul:8500", consul, "EUREKA_SERVER"),
            ("eureka://shop:pw@eureka:8761", eureka, "CONSUL_HTTP_ADDR"),
            ("eureka://shop:pw@eureka:8761/eureka/", eureka, "CONSUL_HTTP_ADDR"),
        ] {
            let text = format!("[system]\nname = \"shop\"\n[engines]\ndiscovery = \"{address}\"\n[service.orders]\n");
            let manifest = manifest(folder.path(), &text);
            assert!(manifest.not_enforced().is_empty());
            let urls = BTreeMap::new();
            let given = Given { port: None, urls: &urls, data: Path::new("/data"), python: None, hub: Some(&hub) };
            let found = variables(&manifest, manifest.service("orders").unwrap(), &given).unwrap();
            for (name, expected) in expected {
                assert_eq!(value(&found, name), Some(expected), "{address} {name}");
            }
            assert_eq!(value(&found, other), None, "{address}");
        }
    }

    #[test]
    fn a_secret_that_nobody_gives_is_named_and_never_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = manifest(folder.path(), SHOP);
        let missing = missing_secrets(&manifest);
        assert_eq!(missing[0].to_string(), "`orders` asks for secrets that are not set: STRIPE_KEY_OF_THE_TEST");
        let given = Given { port: None, urls: &BTreeMap::new(), data: Path::new("/data"), python: None, hub: None };
        assert_eq!(variables(&manifest, manifest.service("orders").unwrap(), &given).unwrap_err(), missing[0]);
    }
}
