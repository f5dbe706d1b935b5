//! Which process listens on a port of this machine, as far as `/proc` tells.
//!
//! The kernel lists sockets with their inode, and a process's descriptors as links that name it. Descriptors of other
//! users' processes cannot be read, so that a port may be taken and nobody be named.

use std::path::PathBuf;

/// The state of a listening socket in the kernel's lists.
const LISTENING: &str = "0A";
/// Longest name of a process that is shown; the kernel itself keeps 15 bytes.
const LONGEST_NAME: usize = 64;

/// A process that holds a listening socket.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PortOwner {
    /// Its process id.
    pub pid: u32,
    /// Its name, as `ps -o comm` shows it; never its arguments, which may hold a secret.
    pub name: String,
}

/// The processes that listen on this TCP port, the eldest first. Empty where there is none, or none that may be seen.
pub fn port_owners(port: u16) -> Vec<PortOwner> {
    let lists = ["/proc/net/tcp", "/proc/net/tcp6"].map(|list| fs_err::read_to_string(list).unwrap_or_default());
    let sockets: Vec<PathBuf> = lists.iter().flat_map(|list| sockets(list, port)).collect();
    if sockets.is_empty() {
        return Vec::new();
    }
    let processes = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let mut owners: Vec<PortOwner> = numbers.filter(|pid| holds(*pid, &sockets)).map(named).collect();
    owners.sort();
    owners
}

/// The sockets of one of the kernel's lists that listen on a port, as links to them read.
fn sockets(list: &str, port: u16) -> impl Iterator<Item = PathBuf> {
    let is_meant = move |fields: &Vec<&str>| {
        let local = fields.get(1).and_then(|local| local.rsplit_once(':')).map(|(_, port)| port);
        fields.get(3) == Some(&LISTENING) && local.and_then(|local| u16::from_str_radix(local, 16).ok()) == Some(port)
    };
    let lines = list.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(is_meant).filter_map(|fields| Some(PathBuf::from(format!("socket:[{}]", fields.get(9)?))))
}

fn holds(pid: u32, sockets: &[PathBuf]) -> bool {
    let descriptors = fs_err::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    // The links are read and not followed: one may lead to a file system that does not answer.
    descriptors
        .into_iter()
        .any(|descriptor| fs_err::read_link(descriptor.path()).is_ok_and(|descriptor| sockets.contains(&descriptor)))
}

fn named(pid: u32) -> PortOwner {
    let name = fs_err::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let visible = name.trim().chars().filter(|character| !character.is_control());
    PortOwner { pid, name: visible.take(LONGEST_NAME).collect() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{port_owners, sockets};

    const LIST: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0\n   \
        1: 0100007F:1F90 0100007F:A3F2 01 00000000:00000000 00:00000000 00000000     0        0 4343 1 0 20 4 30 10 -1\n   \
        2: 0100007F:1B9E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4444 1 0 100 0 0 10 0\n";

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        assert_eq!(sockets(LIST, 8080).collect::<Vec<_>>(), [Path::new("socket:[4242]")]);
        assert_eq!(sockets(LIST, 7070).collect::<Vec<_>>(), [Path::new("socket:[4444]")]);
        assert_eq!(sockets(LIST, 80).count(), 0);
    }

    #[test]
    fn a_listening_process_finds_itself() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let owners = port_owners(port);
        let own = owners.iter().find(|owner| owner.pid == std::process::id()).unwrap();
        assert!(!own.name.is_empty());
    }
}
