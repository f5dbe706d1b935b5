//! Where to listen, as gunicorn writes it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use pinnace_supervisor::serve::Bind;

/// The port where none is said.
pub(super) const PORT: u16 = 8000;

/// `HOST:PORT`, `HOST`, `:PORT`, `[IPV6]:PORT`, `unix:PATH` or `fd://N`.
pub(super) fn parse(text: &str) -> Result<Bind, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() {
            Err("write `unix:` and the path".to_owned())
        } else {
            Ok(Bind::File(path.into()))
        };
    }
    if let Some(number) = text.strip_prefix("fd://") {
        let number = number.parse::<i32>().ok().filter(|number| (3..=1024).contains(number));
        return number.map(Bind::Descriptor).ok_or_else(|| "write `fd://` and a number from 3 on".to_owned());
    }
    let text = text.strip_prefix("tcp://").unwrap_or(text);
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Bind::Tcp(address));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(Bind::Tcp(SocketAddr::new(address, PORT)));
    }
    let (name, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let port = if port.is_empty() { Ok(PORT) } else { port.parse::<u16>() };
    let port =
        port.map_err(|_| format!("`{text}` is no place to listen: write `HOST:PORT`, `unix:PATH` or `fd://N`"))?;
    // Who writes `:8000` says that it is to be reached from everywhere.
    let address = if name.is_empty() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { host(name)? };
    Ok(Bind::Tcp(SocketAddr::new(address, port)))
}

/// An address of this machine. No name is looked up but `localhost`: what it leads to depends on who is asked.
pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| {
        format!("`{text}` is no address: write `127.0.0.1`, `::1`, `0.0.0.0` for all addresses, or `localhost`")
    })
}

/// Permissions, as `chmod` writes them in octal.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| format!("`{text}` is no mode: write three octal digits, such as `660`"))
}

#[cfg(test)]
mod tests {
    use super::{mode, parse};

    #[test]
    fn every_form_of_gunicorns_is_read() {
        let cases = [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("tcp://10.0.0.1:80", "10.0.0.1:80"),
            ("localhost:8001", "127.0.0.1:8001"),
            ("localhost", "127.0.0.1:8000"),
            (":9000", "0.0.0.0:9000"),
            ("0.0.0.0", "0.0.0.0:8000"),
            ("[::1]:9000", "[::1]:9000"),
            ("[::1]", "[::1]:8000"),
            ("::1", "[::1]:8000"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("unix:a.sock", "unix:a.sock"),
            ("fd://3", "fd://3"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_a_way_out() {
        for bad in ["unix:", "fd://", "fd://2", "fd://x", "example.org:80", "127.0.0.1:x", "127.0.0.1:70000", "1:2:3"] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains("write"), "{bad}: {error}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("660"), Ok(0o660));
        assert_eq!(mode("0o600"), Ok(0o600));
        for bad in ["", "888", "7777", "rw"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }
}
