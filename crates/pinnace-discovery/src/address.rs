//! Where a registry is, as people write it.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use pinnace_types::Secret;

use crate::Endpoint;

/// The path of Eureka's API where an address names none: that of Spring's server.
const EUREKA_PATH: &str = "/eureka/";

/// Which registry, and where. Written as
///
/// | text | what it is |
/// |---|---|
/// | `consul` | Consul's API at `CONSUL_HTTP_ADDR` (default `127.0.0.1:8500`) |
/// | `consul://HOST:PORT` | Consul's API there |
/// | `eureka` | Eureka's API at `EUREKA_SERVER` (default `http://127.0.0.1:8761/eureka/`) |
/// | `eureka://[USER:PASSWORD@]HOST:PORT[/PATH/]` | Eureka's API there; the path is `/eureka/` by default |
///
/// Consul's token is always that of `CONSUL_HTTP_TOKEN`. Plain HTTP alone is spoken: an address with `https` is refused.
///
/// ```
/// use pinnace_discovery::RegistryAddress;
///
/// let address: RegistryAddress = "eureka://shop:hunter2@10.0.0.5:8761".parse()?;
/// assert_eq!(address.to_string(), "eureka://shop:***@10.0.0.5:8761/eureka/");
/// assert!("https://10.0.0.5".parse::<RegistryAddress>().is_err());
/// # Ok::<(), pinnace_discovery::InvalidRegistryAddress>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegistryAddress {
    /// Consul, or what speaks its API: the embedded registry does. Without an endpoint, where the environment says.
    Consul(Option<Endpoint>),
    /// Eureka, or what speaks its API. Without a location, where the environment says.
    Eureka(Option<EurekaLocation>),
}

/// Where Eureka's API is and how one shows who one is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EurekaLocation {
    pub(crate) endpoint: Endpoint,
    /// Begins and ends with a slash.
    pub(crate) path: String,
    /// `user:password`, decoded.
    pub(crate) user_info: Option<Secret<String>>,
}

/// Why a text is no address of a registry. Shows no password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidRegistryAddress {
    /// It names no registry that is known.
    #[error(
        "no registry is written like that: use `consul`, `consul://HOST:PORT`, `eureka` or `eureka://[USER:PASSWORD@]HOST:PORT`"
    )]
    Unknown,
    /// It asks for TLS.
    #[error("registries are spoken to over plain HTTP so far, not over TLS: give an address without `https`")]
    Tls,
    /// What follows the scheme is no place.
    #[error("the address has no valid `HOST:PORT`")]
    Place,
    /// A token or a password stands where it cannot be used.
    #[error("an address of Consul has no user: its token is taken from CONSUL_HTTP_TOKEN")]
    ConsulUser,
}

impl RegistryAddress {
    /// The value of `CONSUL_HTTP_ADDR`: `HOST:PORT`, also with `http://` before it.
    pub(crate) fn consul_endpoint(text: &str) -> Result<Endpoint, InvalidRegistryAddress> {
        let text = text.trim();
        if text.starts_with("https://") {
            return Err(InvalidRegistryAddress::Tls);
        }
        let place = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        if place.contains('@') {
            return Err(InvalidRegistryAddress::ConsulUser);
        }
        endpoint(place, 8500)
    }

    /// The value of `EUREKA_SERVER`: an address with `http://` before it or without. Of several, parted by commas, the first.
    pub(crate) fn eureka_location(text: &str) -> Result<EurekaLocation, InvalidRegistryAddress> {
        let text = text.split(',').next().unwrap_or_default().trim();
        if text.starts_with("https://") {
            return Err(InvalidRegistryAddress::Tls);
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let (user_info, place) = match authority.rsplit_once('@') {
            Some((user_info, place)) => (Some(user_info), place),
            None => (None, authority),
        };
        let path = match path.trim_matches('/') {
            "" => EUREKA_PATH.to_owned(),
            path if path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) => {
                format!("/{path}/")
            }
            _ => return Err(InvalidRegistryAddress::Place),
        };
        let user_info = user_info.map(|text| Secret::new(percent_decode_str(text).decode_utf8_lossy().into_owned()));
        Ok(EurekaLocation { endpoint: endpoint(place, 8761)?, path, user_info })
    }
}

fn endpoint(place: &str, default_port: u16) -> Result<Endpoint, InvalidRegistryAddress> {
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let text = if has_port { format!("http://{place}") } else { format!("http://{place}:{default_port}") };
    text.parse().map_err(|_| InvalidRegistryAddress::Place)
}

impl FromStr for RegistryAddress {
    type Err = InvalidRegistryAddress;

    fn from_str(text: &str) -> Result<Self, InvalidRegistryAddress> {
        match text.split_once("://") {
            None if text == "consul" => Ok(Self::Consul(None)),
            None if text == "eureka" => Ok(Self::Eureka(None)),
            Some(("consul", place)) => Self::consul_endpoint(place).map(|endpoint| Self::Consul(Some(endpoint))),
            Some(("eureka", place)) => Self::eureka_location(place).map(|location| Self::Eureka(Some(location))),
            Some(("https" | "consuls" | "eurekas" | "consul+https" | "eureka+https", _)) => {
                Err(InvalidRegistryAddress::Tls)
            }
            _ => Err(InvalidRegistryAddress::Unknown),
        }
    }
}

impl fmt::Display for RegistryAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consul(None) => formatter.write_str("consul"),
            Self::Consul(Some(endpoint)) => write!(formatter, "consul://{}", endpoint.authority()),
            Self::Eureka(None) => formatter.write_str("eureka"),
            Self::Eureka(Some(location)) => write!(formatter, "eureka://{location}"),
        }
    }
}

impl fmt::Display for EurekaLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user_info) = &self.user_info {
            match user_info.expose().split_once(':') {
                Some((user, _)) => write!(formatter, "{user}:***@")?,
                // What stands alone may be a token.
                None => formatter.write_str("***@")?,
            }
        }
        write!(formatter, "{}{}", self.endpoint.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidRegistryAddress, RegistryAddress};

    #[test]
    fn what_is_written_is_shown_without_its_password() {
        for (text, shown) in [
            ("consul", "consul"),
            ("consul://127.0.0.1:7070", "consul://127.0.0.1:7070"),
            ("consul://registry", "consul://registry:8500"),
            ("consul://[::1]:1", "consul://[::1]:1"),
            ("consul://[::1]", "consul://[::1]:8500"),
            ("eureka", "eureka"),
            ("eureka://registry:1", "eureka://registry:1/eureka/"),
            ("eureka://registry:1/", "eureka://registry:1/eureka/"),
            ("eureka://registry/a/b", "eureka://registry:8761/a/b/"),
            ("eureka://orders:a%40b/c@registry:1/eureka", "no"),
            ("eureka://orders:a%40b%2Fc@registry:1/eureka", "eureka://orders:***@registry:1/eureka/"),
            ("eureka://token@registry:1", "eureka://***@registry:1/eureka/"),
        ] {
            let parsed =
                text.parse::<RegistryAddress>().map_or_else(|_| "no".to_owned(), |address| address.to_string());
            assert_eq!(parsed, shown, "{text}");
        }
        let address: RegistryAddress = "eureka://orders:hunter2@registry:1".parse().unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
    }

    #[test]
    fn variables_are_read_as_the_clients_of_each_registry_read_them() {
        for (text, expected) in
            [("127.0.0.1:7070", "127.0.0.1:7070"), ("http://consul:1/", "consul:1"), ("a", "a:8500")]
        {
            assert_eq!(RegistryAddress::consul_endpoint(text).unwrap().authority(), expected);
        }
        let location = RegistryAddress::eureka_location("http://orders:a%40b@h:1/eureka/,http://h:2/").unwrap();
        assert_eq!(location.to_string(), "orders:***@h:1/eureka/");
        assert_eq!(location.user_info.unwrap().expose(), "orders:a@b");
    }

    #[test]
    fn what_cannot_be_spoken_to_is_refused_with_its_reason() {
        use InvalidRegistryAddress::{ConsulUser, Place, Tls, Unknown};
        for (text, reason) in [
            ("", Unknown),
            ("zookeeper", Unknown),
            ("http://a:1", Unknown),
            ("127.0.0.1:8500", Unknown),
            ("https://a:1", Tls),
            ("consul://https://a:1", Tls),
            ("eureka://https://a:1", Tls),
            ("consul://", Place),
            ("consul://a:x", Place),
            ("consul://a/b", Place),
            ("eureka://a:0", Place),
            ("eureka://a:1/eureka?x", Place),
            ("consul://token@a:1", ConsulUser),
        ] {
            assert_eq!(text.parse::<RegistryAddress>(), Err(reason), "{text}");
        }
    }
}
