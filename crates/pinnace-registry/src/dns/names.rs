//! What a name asks for: `[TAG.]NAME.service[.dc1].consul`, `_NAME._TAG.service.consul` (RFC 2782), `NAME.node.consul`, and the
//! names that stand for addresses in answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const DOMAIN: &str = "consul";
const DATACENTER: &str = "dc1";

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    Service {
        name: String,
        tag: Option<String>,
    },
    Node(String),
    Address(IpAddr),
    /// The domain is ours, and there is nothing of that name.
    Nothing,
}

/// Reads a name; nothing for one outside the domain.
pub(super) fn parse(name: &str) -> Option<Asked> {
    let name = name.to_lowercase();
    let mut labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    if labels.pop() != Some(DOMAIN) {
        return None;
    }
    if labels.last() == Some(&DATACENTER) {
        labels.pop();
    }
    Some(match labels.as_slice() {
        [name, proto, "service"] if name.starts_with('_') && proto.starts_with('_') => {
            let tag = Some(proto[1..].to_owned()).filter(|tag| tag != "tcp");
            Asked::Service { name: name[1..].to_owned(), tag }
        }
        [name, "service"] => Asked::Service { name: (*name).to_owned(), tag: None },
        [tag @ .., name, "service"] if !tag.is_empty() => {
            Asked::Service { name: (*name).to_owned(), tag: Some(tag.join(".")) }
        }
        [name @ .., "node"] if !name.is_empty() => Asked::Node(name.join(".")),
        [digits, "addr"] => from_digits(digits).map_or(Asked::Nothing, Asked::Address),
        _ => Asked::Nothing,
    })
}

/// The name that stands for an address: its bytes in hexadecimal digits.
pub(super) fn of_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:08x}.addr.{DATACENTER}.{DOMAIN}", u32::from(address)),
        IpAddr::V6(address) => format!("{:032x}.addr.{DATACENTER}.{DOMAIN}", u128::from(address)),
    }
}

fn from_digits(digits: &str) -> Option<IpAddr> {
    match digits.len() {
        8 => u32::from_str_radix(digits, 16).ok().map(|number| Ipv4Addr::from(number).into()),
        32 => u128::from_str_radix(digits, 16).ok().map(|number| Ipv6Addr::from(number).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, of_address, parse};

    #[test]
    fn names_are_consul_s() {
        let service =
            |name: &str, tag: Option<&str>| Asked::Service { name: name.to_owned(), tag: tag.map(str::to_owned) };
        for (name, expected) in [
            ("web.service.consul.", service("web", None)),
            ("Web.Service.DC1.Consul", service("web", None)),
            ("v1.web.service.consul", service("web", Some("v1"))),
            ("v1.2.web.service.consul", service("web", Some("v1.2"))),
            ("_web._tcp.service.consul", service("web", None)),
            ("_web._v1.service.consul", service("web", Some("v1"))),
            ("pinnace.node.consul", Asked::Node("pinnace".to_owned())),
            ("7f000001.addr.dc1.consul", Asked::Address("127.0.0.1".parse().unwrap())),
            ("web.query.consul", Asked::Nothing),
            ("zz.addr.consul", Asked::Nothing),
            ("consul", Asked::Nothing),
        ] {
            assert_eq!(parse(name), Some(expected), "{name}");
        }
        assert_eq!(parse("example.com"), None);
        for address in ["127.0.0.1", "::1"] {
            let address = address.parse().unwrap();
            assert_eq!(parse(&of_address(address)), Some(Asked::Address(address)));
        }
    }
}
