//! Ports that stay the same over starts, so that bookmarks, tools and open connections of the last run still fit.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use pinnace_os::NameSockets;

/// What is remembered, by key: `orders` for a service, `orders-1` for an instance, `command:orders` for a program, `resolvers:hub`.
#[derive(Debug)]
pub(crate) struct Ports {
    file: PathBuf,
    known: BTreeMap<String, u16>,
}

impl Ports {
    /// Reads what is remembered in this folder. What cannot be read is put aside, and ports are chosen anew.
    pub(crate) fn load(run: &Path) -> Self {
        let file = run.join("ports.json");
        let known = match fs_err::read(&file) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), %error, "remembered ports cannot be read and are chosen anew");
                // Where it cannot be put aside it is written over.
                let _ = fs_err::rename(&file, file.with_extension("broken"));
                BTreeMap::new()
            }),
            Err(_) => BTreeMap::new(),
        };
        Self { file, known }
    }

    /// The port that a key had last.
    pub(crate) fn known(&self, key: &str) -> Option<u16> {
        self.known.get(key).copied()
    }

    /// Listens on the remembered port, or on a free one where that is taken or there is none.
    pub(crate) fn listen(&mut self, key: &str) -> io::Result<TcpListener> {
        let address = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let remembered = self.known.get(key).and_then(|port| pinnace_os::listen(address(*port)).ok());
        let listener = remembered.map_or_else(|| pinnace_os::listen(address(0)), Ok)?;
        self.remember(key, listener.local_addr()?.port())?;
        Ok(listener)
    }

    /// The sockets for resolvers, likewise.
    pub(crate) fn listen_for_names(&mut self, key: &str) -> io::Result<NameSockets> {
        let address = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let remembered = self.known.get(key).and_then(|port| pinnace_os::listen_for_names(address(*port)).ok());
        let sockets = remembered.map_or_else(|| pinnace_os::listen_for_names(address(0)), Ok)?;
        self.remember(key, sockets.connections.local_addr()?.port())?;
        Ok(sockets)
    }

    /// A port for a program that binds it by itself: the remembered one while nobody has it, else a free one.
    pub(crate) fn reserve(&mut self, key: &str) -> io::Result<u16> {
        let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        let port = self.known.get(key).copied().filter(is_free);
        let port = port.map_or_else(pinnace_os::free_port, Ok)?;
        self.remember(key, port)?;
        Ok(port)
    }

    fn remember(&mut self, key: &str, port: u16) -> io::Result<()> {
        if self.known.insert(key.to_owned(), port) == Some(port) {
            return Ok(());
        }
        let beside = self.file.with_extension("new");
        fs_err::write(&beside, serde_json::to_vec_pretty(&self.known)?)?;
        fs_err::rename(&beside, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::Ports;

    #[test]
    fn a_port_stays_the_same_over_starts_unless_another_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut ports = Ports::load(folder.path());
        let listener = ports.listen("orders").unwrap();
        let first = listener.local_addr().unwrap().port();
        let reserved = ports.reserve("command:worker").unwrap();
        drop(listener);

        let mut again = Ports::load(folder.path());
        let listener = again.listen("orders").unwrap();
        assert_eq!(listener.local_addr().unwrap().port(), first);
        assert_eq!(again.reserve("command:worker").unwrap(), reserved);

        let mut third = Ports::load(folder.path());
        let other = third.listen("orders").unwrap();
        assert_ne!(other.local_addr().unwrap().port(), first);
    }

    #[test]
    fn what_cannot_be_read_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("ports.json"), "{ \"orders\": \"x\" }").unwrap();
        Ports::load(folder.path()).listen("orders").unwrap();
        assert!(folder.path().join("ports.broken").exists());
    }
}
