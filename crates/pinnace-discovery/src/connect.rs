//! From an address to the registry behind it.

use std::sync::Arc;

use pinnace_types::{Secret, environment};

use crate::consul::InvalidToken;
use crate::{
    ConsulRegistry, Endpoint, EurekaConfig, EurekaLocation, EurekaRegistry, InvalidRegistryAddress, Registry,
    RegistryAddress,
};

/// Where a Consul agent is by default, as Consul's own tools have it.
const CONSUL: &str = "127.0.0.1:8500";
/// Where Eureka is by default, as Spring's client has it.
const EUREKA: &str = "http://127.0.0.1:8761/eureka/";

/// Why an address leads to no registry.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A variable that the address refers to holds no address.
    #[error("{variable}: {source}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What is wrong with it.
        source: InvalidRegistryAddress,
    },
    /// Consul's token cannot be sent.
    #[error("CONSUL_HTTP_TOKEN: {0}")]
    Token(InvalidToken),
}

/// The registry at an address. Variables are looked up by the given function, which is `std::env::var` in a program and a
/// table in a test: `CONSUL_HTTP_ADDR` and `EUREKA_SERVER` where the address names no place, and `CONSUL_HTTP_TOKEN`.
///
/// Nothing is asked yet, so a registry that is away is no error: it is found as soon as it is there.
pub fn connect(
    address: &RegistryAddress,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Arc<dyn Registry>, ConnectError> {
    match address {
        RegistryAddress::Consul(agent) => {
            let token = given(&lookup, environment::CONSUL_HTTP_TOKEN).map(Secret::new);
            let agent = consul(agent.as_ref(), lookup)?;
            let registry = ConsulRegistry::try_new(agent, token.as_ref()).map_err(ConnectError::Token)?;
            Ok(Arc::new(registry))
        }
        RegistryAddress::Eureka(location) => {
            let location = eureka(location.as_ref(), lookup)?;
            Ok(Arc::new(EurekaRegistry::new(&location, EurekaConfig::default())))
        }
    }
}

impl RegistryAddress {
    /// Where the registry is; an address that names no place is looked up as [`connect()`] does it.
    pub fn place(&self, lookup: impl Fn(&str) -> Option<String>) -> Result<Endpoint, ConnectError> {
        match self {
            Self::Consul(agent) => consul(agent.as_ref(), lookup),
            Self::Eureka(location) => Ok(eureka(location.as_ref(), lookup)?.endpoint),
        }
    }
}

fn consul(agent: Option<&Endpoint>, lookup: impl Fn(&str) -> Option<String>) -> Result<Endpoint, ConnectError> {
    if let Some(agent) = agent {
        return Ok(agent.clone());
    }
    let text = given(lookup, environment::CONSUL_HTTP_ADDR).unwrap_or_else(|| CONSUL.to_owned());
    RegistryAddress::consul_endpoint(&text)
        .map_err(|source| ConnectError::Variable { variable: environment::CONSUL_HTTP_ADDR, source })
}

fn eureka(
    location: Option<&EurekaLocation>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<EurekaLocation, ConnectError> {
    if let Some(location) = location {
        return Ok(location.clone());
    }
    let text = given(lookup, environment::EUREKA_SERVER).unwrap_or_else(|| EUREKA.to_owned());
    RegistryAddress::eureka_location(&text)
        .map_err(|source| ConnectError::Variable { variable: environment::EUREKA_SERVER, source })
}

/// The value of a variable; an empty one is none.
fn given(lookup: impl Fn(&str) -> Option<String>, variable: &str) -> Option<String> {
    lookup(variable).filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::connect;
    use crate::RegistryAddress;

    fn connected(address: &str, variables: &[(&str, &str)]) -> String {
        let address: RegistryAddress = address.parse().unwrap();
        let found = connect(&address, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        found.map_or_else(|error| error.to_string(), |registry| format!("{registry:?}"))
    }

    #[test]
    fn an_address_without_a_place_is_that_of_the_environment_or_the_usual_one() {
        let consul = [("CONSUL_HTTP_ADDR", "127.0.0.1:7070"), ("CONSUL_HTTP_TOKEN", "x")];
        assert_eq!(connected("consul", &consul), "ConsulRegistry(127.0.0.1:7070)");
        assert_eq!(connected("consul", &[("CONSUL_HTTP_ADDR", "")]), "ConsulRegistry(127.0.0.1:8500)");
        assert_eq!(connected("consul://a:1", &consul), "ConsulRegistry(a:1)");
        let eureka = [("EUREKA_SERVER", "http://orders:token@127.0.0.1:7070/eureka/")];
        assert_eq!(connected("eureka", &eureka), "EurekaRegistry(127.0.0.1:7070)");
        assert_eq!(connected("eureka", &[]), "EurekaRegistry(127.0.0.1:8761)");
        assert_eq!(connected("eureka://a:1", &eureka), "EurekaRegistry(a:1)");
        let place = RegistryAddress::Eureka(None).place(|_| Some("http://x:y@h:1/eureka/".to_owned())).unwrap();
        assert_eq!(place.authority(), "h:1");
    }

    #[test]
    fn a_variable_that_leads_nowhere_is_named_and_its_secrets_are_not() {
        for (address, variable, value, problem) in [
            ("consul", "CONSUL_HTTP_ADDR", "https://consul:8501", "TLS"),
            ("consul", "CONSUL_HTTP_ADDR", "a b", "no valid"),
            ("eureka", "EUREKA_SERVER", "https://a:hunter2@b", "TLS"),
            ("consul", "CONSUL_HTTP_TOKEN", "hunter2\n", "header"),
        ] {
            let message = connected(address, &[(variable, value)]);
            assert!(message.starts_with(variable) && message.contains(problem), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
