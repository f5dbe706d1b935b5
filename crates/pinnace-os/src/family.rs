//! A process and everything that it has started: found, and ended to the last one.
//!
//! A descendant cannot hide: whoever leads a family is its subreaper ([`adopt_orphans`]), so a grandchild that calls
//! `setsid` and forks twice is handed to the leader when its parent ends, and is found again as a child.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::child::KNOWN;

/// Makes this process the parent of every orphan among its descendants (`PR_SET_CHILD_SUBREAPER`).
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: a plain system call.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks the kernel to send this process a signal when its parent ends; for a process whose parent cannot ask itself.
pub fn end_with_parent(signal: Signal) -> io::Result<()> {
    // SAFETY: a plain system call.
    let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_int) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// All living descendants of a process, parents before children; those that have ended and wait to be reaped are left out.
pub fn descendants(ancestor: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in processes() {
        if process.state != 'Z' && process.state != 'X' {
            children.entry(process.parent).or_default().push(process.pid);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![ancestor];
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent).into_iter().flatten() {
            found.push(child);
            open.push(child);
        }
    }
    found
}

/// Ends every descendant of this process with `SIGKILL` and does not return while one is left, at most five seconds.
///
/// This blocks; it is the last thing that a leader does.
pub fn kill_descendants() {
    let mut empty_looks = 0;
    for round in 0..500 {
        let found = descendants(std::process::id());
        for pid in &found {
            signal(*pid, Signal::SIGKILL);
        }
        reap(|_| true);
        // A process that forks and ends while `/proc` is read may be missed by one look, but not by two.
        empty_looks = if found.is_empty() { empty_looks + 1 } else { 0 };
        if empty_looks == 2 {
            return;
        }
        if round > 0 && !found.is_empty() {
            nap(Duration::from_millis(10));
        }
    }
}

/// Takes note of the end of adopted children, which would stay as zombies otherwise. To be called on SIGCHLD.
///
/// Every child that was not started by [`crate::Spawn`] counts as adopted: a process that calls this starts none otherwise.
pub fn reap_orphans() {
    let known = KNOWN.lock();
    reap(|pid| !known.contains(&pid.cast_signed()));
}

/// Ends the adopted children of a process group, with all their descendants: what is left of a leader that has ended.
pub fn kill_orphans(group: u32) {
    let own = std::process::id();
    let known = KNOWN.lock();
    let orphans: BTreeSet<u32> = processes()
        .filter(|process| {
            process.parent == own && process.group == group && !known.contains(&process.pid.cast_signed())
        })
        .map(|process| process.pid)
        .collect();
    for orphan in &orphans {
        for pid in descendants(*orphan) {
            signal(pid, Signal::SIGKILL);
        }
        signal(*orphan, Signal::SIGKILL);
    }
    reap(|pid| orphans.contains(&pid));
}

/// Ends every child that was not started here but adopted, with all its descendants; returns how many there were.
///
/// For a supervisor, after a leader of a family was killed and its family fell to it.
pub fn reap_strays() -> usize {
    let own = std::process::id();
    let known = KNOWN.lock();
    let children: Vec<_> = processes().filter(|process| process.parent == own).collect();
    let strays: BTreeSet<u32> = children
        .iter()
        .filter(|process| !known.contains(&process.pid.cast_signed()))
        .map(|process| process.pid)
        .collect();
    let living = children.iter().filter(|process| strays.contains(&process.pid) && process.state != 'Z').count();
    for stray in &strays {
        for pid in descendants(*stray) {
            signal(pid, Signal::SIGKILL);
        }
        signal(*stray, Signal::SIGKILL);
    }
    reap(|pid| strays.contains(&pid));
    living
}

/// Sends a signal to a process by its number; the caller knows that the number still means that process.
fn signal(pid: u32, signal: Signal) {
    // One that has just ended needs no signal.
    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
}

/// Sends a signal to a whole process group.
pub fn signal_group(leader: u32, signal: Signal) {
    // A group that has just ended needs no signal.
    let _ = nix::sys::signal::killpg(Pid::from_raw(leader.cast_signed()), signal);
}

fn reap(wanted: impl Fn(u32) -> bool) {
    let own = std::process::id();
    for process in processes().filter(|process| process.parent == own && wanted(process.pid)) {
        let id = Id::Pid(Pid::from_raw(process.pid.cast_signed()));
        // One that still runs is left for the next round; one that another wait has taken needs none.
        let _ = waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
    }
}

fn nap(duration: Duration) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: duration.subsec_nanos().into() };
    // SAFETY: `time` is valid and the rest is not asked for.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

struct Process {
    pid: u32,
    parent: u32,
    group: u32,
    state: char,
}

fn processes() -> impl Iterator<Item = Process> {
    fs_err::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
}

/// Reads `/proc/PID/stat`; the command in parentheses may itself hold spaces and parentheses.
fn process(pid: u32) -> Option<Process> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Process { pid, parent, group, state })
}
