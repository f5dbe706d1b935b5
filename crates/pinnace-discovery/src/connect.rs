//! From an address to the registry behind it.

use std::sync::Arc;

use pinnace_types::{Secret, environment};

use crate::consul::InvalidToken;
use crate::{
    ConsulRegistry, Endpoint, EurekaConfig, EurekaRegistry, InvalidRegistryAddress, Registry, RegistryAddress,
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
    let given = |variable: &str| lookup(variable).filter(|value| !value.trim().is_empty());
    match address {
        RegistryAddress::Consul(place) => {
            let agent = match place {
                Some(agent) => agent.clone(),
                None => consul_agent(given(environment::CONSUL_HTTP_ADDR))?,
            };
            let token = given(environment::CONSUL_HTTP_TOKEN).map(Secret::new);
            let registry = ConsulRegistry::try_new(agent, token.as_ref()).map_err(ConnectError::Token)?;
            Ok(Arc::new(registry))
        }
        RegistryAddress::Eureka(place) => {
            let location = if let Some(location) = place {
                location.clone()
            } else {
                let text = given(environment::EUREKA_SERVER).unwrap_or_else(|| EUREKA.to_owned());
                RegistryAddress::eureka_location(&text)
                    .map_err(|source| ConnectError::Variable { variable: environment::EUREKA_SERVER, source })?
            };
            Ok(Arc::new(EurekaRegistry::new(&location, EurekaConfig::default())))
        }
    }
}

fn consul_agent(given: Option<String>) -> Result<Endpoint, ConnectError> {
    RegistryAddress::consul_endpoint(&given.unwrap_or_else(|| CONSUL.to_owned()))
        .map_err(|source| ConnectError::Variable { variable: environment::CONSUL_HTTP_ADDR, source })
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
