//! What a process finds when it has been started by `Spawn`: its descriptors, its environment, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use pinnace_os::{Child, Exit, Output, SharedMemory, Signal, Spawn, listen};
use tokio::io::AsyncReadExt as _;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn shell(script: &str) -> Spawn {
    Spawn::new("/bin/sh").args(["-c", script]).env("PATH", "/usr/bin:/bin").output(Output::Pipe)
}

async fn output(mut child: Child) -> (String, Exit) {
    let (mut stdout, _stderr) = child.take_output().unwrap();
    let mut text = String::new();
    stdout.read_to_string(&mut text).await.unwrap();
    (text, child.wait().await.unwrap())
}

#[tokio::test]
async fn listening_sockets_arrive_from_descriptor_3_with_the_childs_own_pid() {
    let first = listen(LOOPBACK).unwrap();
    let second = listen(LOOPBACK).unwrap();
    let memory = SharedMemory::create("test", 8).unwrap();
    let child =
        shell("echo $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID - $$)) $EXTRA; readlink /proc/$$/fd/3 | cut -d: -f1")
            .listener("service", OwnedFd::from(first))
            .listener("instance", OwnedFd::from(second))
            .pass("EXTRA", memory.descriptor().unwrap())
            .spawn()
            .unwrap();
    let (text, exit) = output(child).await;
    assert_eq!(text, "2 service:instance 0 5\nsocket\n");
    assert!(exit.success());
}

#[tokio::test]
async fn no_other_descriptor_leaks() {
    let _kept_to_ourselves = listen(LOOPBACK).unwrap();
    let handed_on = listen(LOOPBACK).unwrap();
    let child = shell("ls /proc/$$/fd; true").listener("only", handed_on.into()).spawn().unwrap();
    let (text, _) = output(child).await;
    let low: Vec<&str> = text.lines().filter(|fd| fd.parse::<u32>().is_ok_and(|fd| fd < 10)).collect();
    assert_eq!(low, ["0", "1", "2", "3"], "all: {text}");
}

#[tokio::test]
async fn many_descriptors_do_not_overwrite_each_other() {
    let mut spawn = shell("for fd in $ALL; do :; done; readlink /proc/$$/fd/* | grep -c memfd:");
    for index in 0..40 {
        let memory = SharedMemory::create(&format!("n{index}"), 1).unwrap();
        spawn = spawn.pass(format!("FD{index}"), memory.descriptor().unwrap());
    }
    let (text, _) = output(spawn.spawn().unwrap()).await;
    assert_eq!(text.trim(), "40");
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_is_an_error_that_names_it() {
    let error = Spawn::new("/nowhere/at/all").spawn().unwrap_err();
    assert_eq!(error.to_string(), "cannot start `/nowhere/at/all`");
    assert_eq!(error.source.kind(), std::io::ErrorKind::NotFound);
    let folder = Spawn::new("/bin/true").folder("/nowhere").spawn().unwrap_err();
    assert_eq!(folder.source.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn an_end_by_signal_and_one_by_code_are_told_apart() {
    let (_, exit) = output(shell("exit 7").spawn().unwrap()).await;
    assert_eq!(exit, Exit::Code(7));
    let mut child = shell("exec sleep 100").spawn().unwrap();
    child.signal(Signal::SIGTERM).unwrap();
    let exit = child.wait().await.unwrap();
    assert_eq!((exit, exit.to_string().as_str(), exit.shell_status()), (Exit::Signal(15), "signal 15 (SIGTERM)", 143));
}

#[tokio::test]
async fn what_the_parent_ignores_the_child_does_not() {
    // Rust ignores SIGPIPE; a child that inherited that would hang in `yes | head`.
    let (text, _) = output(shell("grep SigIgn /proc/self/status | cut -f2").spawn().unwrap()).await;
    let ignored = u64::from_str_radix(text.trim(), 16).unwrap();
    assert_eq!(ignored & ((1 << 31) - 1), 0, "ignored: {ignored:x}");
    let (text, _) = output(shell("grep SigBlk /proc/self/status | cut -f2").spawn().unwrap()).await;
    assert_eq!(text.trim(), "0000000000000000");
}

#[tokio::test]
async fn two_processes_see_the_same_words() {
    let memory = SharedMemory::create("shared", 4).unwrap();
    let script = "import os, mmap, struct; m = mmap.mmap(int(os.environ['FD']), 32); m[8:16] = struct.pack('Q', 4711)";
    let child = Spawn::new("/usr/bin/python3").args(["-c", script]).pass("FD", memory.descriptor().unwrap());
    let exit = child.spawn().unwrap().wait().await.unwrap();
    assert!(exit.success());
    assert_eq!(memory.words()[1].load(std::sync::atomic::Ordering::Relaxed), 4711);
}

#[tokio::test]
async fn waiting_does_not_miss_an_end_that_came_first() {
    let mut child = shell("exit 0").spawn().unwrap();
    for _ in 0..200 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(child.wait().await.unwrap(), Exit::Code(0));
    assert_eq!(child.wait().await.unwrap(), Exit::Code(0));
}
