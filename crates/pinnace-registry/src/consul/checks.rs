//! Definitions of checks: which are served, and whom they may reach.
//!
//! A registration must not be a way to make the hub run a program or call elsewhere. So scripts and containers are refused,
//! and whatever is asked is asked at the instance's own address, which has to be on this machine.

use std::net::IpAddr;
use std::time::Duration;

use super::fields::Fields;
use crate::entry::{Check, CheckKind, Health, Probe, Target, shortened};
use crate::probe::address_of;
use crate::query::Refused;

/// The shortest interval, as Consul has it.
const SHORTEST: Duration = Duration::from_secs(1);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_mins(1);
/// A critical entry is kept for at least this long, as Consul does.
const SHORTEST_PATIENCE: Duration = Duration::from_mins(1);
/// Beyond this a term says nothing.
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// What is refused, with the reason. A member that is absent or empty is none of them.
const NOT_SERVED: [(&str, &str); 14] = [
    ("args", "script checks are not served: nothing that registers may run a program"),
    ("script", "script checks are not served: nothing that registers may run a program"),
    ("scriptargs", "script checks are not served: nothing that registers may run a program"),
    ("shell", "script checks are not served: nothing that registers may run a program"),
    ("dockercontainerid", "docker checks are not served: nothing that registers may run a program"),
    ("osservice", "checks of the operating system's services are not served"),
    ("udp", "UDP checks are not served"),
    ("h2ping", "HTTP/2 pings are not served; a TCP or gRPC check does the same"),
    ("aliasservice", "alias checks are not served"),
    ("aliasnode", "alias checks are not served"),
    ("body", "a check sends no body"),
    ("grpcusetls", "checks over TLS are not served"),
    ("tcpusetls", "checks over TLS are not served"),
    ("proxyhttp", "checks go directly to the instance"),
];

/// Reads a definition. `own` is the address of the instance, empty for the node's.
pub(super) fn read(fields: &mut Fields, id: &str, name: String, own: &str) -> Result<Check, Refused> {
    let invalid = |problem: &str| Refused::bad(format!("Invalid check: {problem}"));
    if let Some((_, reason)) = NOT_SERVED.iter().find(|(member, _)| fields.says(member)) {
        return Err(invalid(reason));
    }
    let status = match fields.text("status")? {
        None => Health::Critical,
        Some(word) => Health::parse(&word).ok_or_else(|| invalid("the status is passing, warning or critical"))?,
    };
    let (interval, timeout) = (fields.duration("interval")?, fields.duration("timeout")?);
    let ttl = fields.duration("ttl")?;
    let target = target(fields, own)?;
    let kind = match (ttl, target) {
        (Some(_), Some(_)) => return Err(invalid("it has a TTL, or something to ask, and not both")),
        (Some(ttl), None) => CheckKind::Ttl(ttl.min(LONGEST)),
        (None, Some(target)) => {
            let interval = interval.ok_or_else(|| invalid("an interval is needed"))?;
            CheckKind::Probe(Probe {
                target,
                interval: interval.clamp(SHORTEST, LONGEST),
                timeout: timeout.unwrap_or(DEFAULT_TIMEOUT).clamp(Duration::from_millis(10), LONGEST_TIMEOUT),
            })
        }
        (None, None) => return Err(invalid("one of TTL, HTTP, TCP and GRPC has to be there")),
    };
    let mut count = |name: &str| -> Result<u32, Refused> {
        Ok(u32::try_from(fields.number(name)?.unwrap_or(0)).unwrap_or(u32::MAX).min(1_000))
    };
    let (successes, failures) = (count("successbeforepassing")?, count("failuresbeforecritical")?);
    let notes = fields.text("notes")?.unwrap_or_default();
    let patience = fields.duration("deregistercriticalserviceafter")?;
    Ok(Check {
        name,
        notes: shortened(&notes, crate::entry::MAX_VALUE),
        kind,
        deregister_after: patience.map(|patience| patience.clamp(SHORTEST_PATIENCE, LONGEST)),
        successes_before_passing: successes,
        failures_before_critical: failures,
        ..Check::told(id, status)
    })
}

fn target(fields: &mut Fields, own: &str) -> Result<Option<Target>, Refused> {
    let (http, tcp, grpc) = (fields.text("http")?, fields.text("tcp")?, fields.text("grpc")?);
    let (method, headers) = (fields.text("method")?, fields.texts_map("header")?);
    let target = match (http, tcp, grpc) {
        (None, None, None) => return Ok(None),
        (Some(url), None, None) => {
            let method = method.map_or_else(|| "GET".to_owned(), |method| method.to_uppercase());
            let head = match method.as_str() {
                "GET" => false,
                "HEAD" => true,
                _ => return Err(Refused::bad("Invalid check: a check asks with GET or HEAD")),
            };
            check_headers(&headers)?;
            let (host, port, path) = split_url(&url)?;
            Target::Http { host, port, path, head, headers }
        }
        (None, Some(address), None) => {
            let (host, port) = split_address(&address)?;
            Target::Tcp { host, port }
        }
        (None, None, Some(address)) => {
            let (address, service) = address.split_once('/').unwrap_or((&address, ""));
            let (host, port) = split_address(address)?;
            Target::Grpc { host, port, service: shortened(service, crate::entry::MAX_TEXT) }
        }
        _ => return Err(Refused::bad("Invalid check: it asks in one way, not in several")),
    };
    let (Target::Http { host, .. } | Target::Tcp { host, .. } | Target::Grpc { host, .. }) = &target;
    check_host(host, own)?;
    Ok(Some(target))
}

/// Only the instance's own address, and only on this machine.
fn check_host(host: &str, own: &str) -> Result<(), Refused> {
    let own = if own.is_empty() { "127.0.0.1" } else { own };
    let refused = |problem: String| Err(Refused::bad(format!("Invalid check: {problem}")));
    let Some(asked) = address_of(host) else {
        return refused(format!("`{host}` is a name; a check asks the instance's own address, as a number"));
    };
    let same = address_of(own).is_some_and(|own| own == asked || is_local(own) && is_local(asked));
    if !same {
        return refused(format!("it asks `{host}`, but the instance's own address is `{own}`"));
    }
    if !is_local(asked) {
        return refused(format!("`{host}` is not on this machine; use a TTL check"));
    }
    Ok(())
}

fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn check_headers(headers: &std::collections::BTreeMap<String, Vec<String>>) -> Result<(), Refused> {
    let bytes: usize =
        headers.iter().flat_map(|(name, values)| values.iter().map(|value| name.len() + value.len())).sum();
    let valid = headers.iter().all(|(name, values)| {
        http::HeaderName::try_from(name).is_ok()
            && values.iter().all(|value| http::HeaderValue::try_from(value).is_ok())
            && !["connection", "content-length", "transfer-encoding", "upgrade"].contains(&name.to_lowercase().as_str())
    });
    if !valid || bytes > 4096 {
        return Err(Refused::bad("Invalid check: its header fields cannot be sent"));
    }
    Ok(())
}

fn split_url(url: &str) -> Result<(String, u16, String), Refused> {
    let invalid = |problem: &str| Refused::bad(format!("Invalid check: the URL {problem}"));
    if url.len() > 2048 {
        return Err(invalid("is too long"));
    }
    let uri: http::Uri = url.parse().map_err(|_| invalid("is not understood"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(Refused::bad("Invalid check: checks over TLS are not served")),
        _ => return Err(invalid("has to begin with http://")),
    }
    let authority = uri.authority().ok_or_else(|| invalid("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(invalid("may not hold credentials; use Header"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Ok((host.to_owned(), authority.port_u16().unwrap_or(80), path.to_owned()))
}

fn split_address(address: &str) -> Result<(String, u16), Refused> {
    let invalid = || Refused::bad("Invalid check: the address has to be host:port");
    let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(invalid)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::{Fields, read};

    fn verdict(definition: &str, own: &str) -> Result<(), String> {
        let mut fields = Fields::parse(definition.as_bytes()).unwrap();
        read(&mut fields, "c", "c".to_owned(), own).map(|_| ()).map_err(|refused| refused.text)
    }

    #[test]
    fn the_instances_own_address_on_this_machine_is_asked_and_no_other() {
        for good in [
            r#"{"http":"http://127.0.0.1:8000/h?x=1","interval":"10s"}"#,
            r#"{"http":"http://localhost:8000","interval":"10s","header":{"x-a":["b"]}}"#,
            r#"{"TCP":"[::1]:8000","Interval":"1s"}"#,
            r#"{"grpc":"127.0.0.1:50051/orders","interval":"1s","grpc_use_tls":false}"#,
            r#"{"ttl":"10s"}"#,
        ] {
            assert_eq!(verdict(good, "127.0.0.1"), Ok(()), "{good}");
        }
        for bad in [
            r#"{"http":"http://169.254.169.254/latest/meta-data","interval":"10s"}"#,
            r#"{"http":"http://127.0.0.1@evil.example/","interval":"10s"}"#,
            r#"{"http":"http://evil.example/","interval":"10s"}"#,
            r#"{"http":"http://0.0.0.0:8000/","interval":"10s"}"#,
            r#"{"http":"https://127.0.0.1/","interval":"10s"}"#,
            r#"{"http":"file:///etc/passwd","interval":"10s"}"#,
            r#"{"http":"http://127.0.0.1:8000/","interval":"10s","method":"POST"}"#,
            r#"{"http":"http://127.0.0.1:8000/","interval":"10s","body":"x"}"#,
            r#"{"http":"http://127.0.0.1:8000/","interval":"10s","header":{"a\nb":["c"]}}"#,
            r#"{"http":"http://127.0.0.1:8000/"}"#,
            r#"{"tcp":"10.0.0.1:22","interval":"10s"}"#,
            r#"{"tcp":"127.0.0.1","interval":"10s"}"#,
            r#"{"args":["true"],"interval":"10s"}"#,
            r#"{"docker_container_id":"x","shell":"sh","script":"y","interval":"10s"}"#,
            r#"{"ttl":"10s","tcp":"127.0.0.1:1","interval":"10s"}"#,
            r#"{"interval":"10s"}"#,
        ] {
            assert!(verdict(bad, "127.0.0.1").is_err(), "{bad}");
        }
        let elsewhere = r#"{"tcp":"10.0.0.1:22","interval":"10s"}"#;
        assert!(verdict(elsewhere, "10.0.0.1").unwrap_err().contains("not on this machine"));
    }
}
