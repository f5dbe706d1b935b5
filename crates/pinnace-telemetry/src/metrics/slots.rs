//! The ids of the requests in flight, in shared memory, such that no reader ever sees a torn one.
//!
//! Each slot has a state word and eight words of id; a map with a bit for each slot says which are taken. A reader in the parent takes an id only when the state word was `active` with the same generation
//! before and after it read the bytes (a sequence lock).

use std::sync::atomic::{AtomicU64, Ordering, fence};

use pinnace_types::RequestId;

use super::layout::Block;

/// Requests that one worker can name at the same time; more are counted without a name.
pub(super) const SLOTS: u32 = 1_024;
/// The state and 64 bytes of id.
pub(super) const WORDS: usize = 9;

const FREE: u64 = 0;
const WRITING: u64 = 1;
const ACTIVE: u64 = 2;
const PHASE_MASK: u64 = 0b11;
const LENGTH_SHIFT: u32 = 2;
const LENGTH_MASK: u64 = 0x7f;
const GENERATION: u64 = 1 << 16;

/// Writes the id into a free slot, if there is one.
pub(super) fn claim(block: Block<'_>, id: &RequestId) -> Option<u32> {
    let slot = take(block.taken())?;
    let words = block.slot(slot);
    let bytes = id.as_str().as_bytes();
    let generation = (words[0].load(Ordering::Relaxed) & !(GENERATION - 1)).wrapping_add(GENERATION);
    words[0].store(generation | WRITING, Ordering::Relaxed);
    // A reader that sees one of the new bytes also sees that they are being written.
    fence(Ordering::Release);
    for (word, chunk) in words[1..].iter().zip(bytes.chunks(8)) {
        let mut padded = [0; 8];
        padded[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
    }
    words[0].store(generation | (bytes.len() as u64) << LENGTH_SHIFT | ACTIVE, Ordering::Release);
    Some(slot)
}

/// Frees a slot; its generation stays.
pub(super) fn free(block: Block<'_>, slot: u32) {
    release(&block.slot(slot)[0]);
    // Whoever takes the slot next has to see the generation that this one had.
    block.taken()[slot as usize / 64].fetch_and(!(1 << (slot % 64)), Ordering::Release);
}

/// The ids of all active slots.
pub(super) fn active_ids(block: Block<'_>) -> Vec<RequestId> {
    taken(block).filter_map(|slot| read(block.slot(slot))).collect()
}

/// Frees every slot of a worker that is dead, and says how many were active.
pub(super) fn free_all(block: Block<'_>) -> u64 {
    let mut active = 0;
    for slot in taken(block) {
        active += u64::from(release(&block.slot(slot)[0]) & PHASE_MASK == ACTIVE);
        block.taken()[slot as usize / 64].fetch_and(!(1 << (slot % 64)), Ordering::Release);
    }
    active
}

fn take(map: &[AtomicU64]) -> Option<u32> {
    for (index, word) in (0_u32..).zip(map) {
        let mut seen = word.load(Ordering::Relaxed);
        while seen != u64::MAX {
            let bit = seen.trailing_ones();
            match word.compare_exchange_weak(seen, seen | 1 << bit, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(index * 64 + bit),
                Err(now) => seen = now,
            }
        }
    }
    None
}

fn taken(block: Block<'_>) -> impl Iterator<Item = u32> {
    (0_u32..).zip(block.taken()).flat_map(|(word, bits)| {
        let bits = bits.load(Ordering::Acquire);
        (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit)
    })
}

/// Makes a state word free and says what it was.
fn release(state: &AtomicU64) -> u64 {
    let was = state.load(Ordering::Acquire);
    state.store(was & !(GENERATION - 1) | FREE, Ordering::Release);
    was
}

fn read(words: &[AtomicU64]) -> Option<RequestId> {
    let before = words[0].load(Ordering::Acquire);
    if before & PHASE_MASK != ACTIVE {
        return None;
    }
    let mut bytes = [0; (WORDS - 1) * 8];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(&words[1..]) {
        chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
    fence(Ordering::Acquire);
    if words[0].load(Ordering::Relaxed) != before {
        return None;
    }
    let length = usize::try_from(before >> LENGTH_SHIFT & LENGTH_MASK).ok()?;
    RequestId::try_new(std::str::from_utf8(bytes.get(..length)?).ok()?).ok()
}
