//! Memory that a parent and its children share: an anonymous file of 64-bit words, mapped by each of them.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

const WORD: usize = size_of::<AtomicU64>();

/// A mapping of shared words. Words are atomics, so any number of processes may read and write them.
#[derive(Debug)]
pub struct SharedMemory {
    base: NonNull<AtomicU64>,
    words: usize,
    descriptor: OwnedFd,
}

// SAFETY: the mapping belongs to this value until it is dropped, and all access to it is atomic.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Makes a mapping of so many words, all zero. The name is only shown in `/proc/PID/maps`.
    pub fn create(name: &str, words: usize) -> io::Result<Self> {
        let descriptor = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
        let length = i64::try_from(words * WORD).map_err(|_| io::ErrorKind::InvalidInput)?;
        nix::unistd::ftruncate(&descriptor, length)?;
        Self::map(descriptor, words)
    }

    /// Maps what a parent has made and handed on.
    pub fn attach(descriptor: OwnedFd) -> io::Result<Self> {
        let length = nix::sys::stat::fstat(&descriptor)?.st_size;
        let words = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidData)? / WORD;
        Self::map(descriptor, words)
    }

    /// Takes a mapping by the number of its inherited descriptor. To be asked once.
    pub fn inherit(descriptor: i32) -> io::Result<Self> {
        Self::attach(crate::lifetime::own_inherited(descriptor).ok_or(io::ErrorKind::NotFound)?)
    }

    /// A descriptor to hand on.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.descriptor.try_clone()
    }

    /// The words.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has that many words, lives as long as `self`, and an atomic has no invalid value.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }

    fn map(descriptor: OwnedFd, words: usize) -> io::Result<Self> {
        let length = std::num::NonZeroUsize::new(words * WORD).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice, of a file that nobody truncates.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, &descriptor, 0) }?;
        Ok(Self { base: base.cast(), words, descriptor })
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and no borrow of the words outlives `self`.
        let _ = unsafe { munmap(self.base.cast(), self.words * WORD) };
    }
}
