//! Draws request ids: unique over processes and restarts, without a system call for each.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use pinnace_types::RequestId;

/// The header that carries the id, in the lower case that HTTP/2 asks for.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

thread_local! {
    static DRAWER: (RandomState, Cell<u64>) = (RandomState::new(), const { Cell::new(0) });
}

/// A new id of 128 bits that look random.
///
/// They are a counter under a keyed hash whose 128-bit key the thread got from the operating system: two threads, or two
/// processes, share ids as seldom as two random numbers do. They are no secret.
pub fn new_request_id() -> RequestId {
    let (high, low) = DRAWER.with(|(keyed, counter)| {
        let count = counter.get();
        counter.set(count.wrapping_add(1));
        (keyed.hash_one((count, 0_u8)), keyed.hash_one((count, 1_u8)))
    });
    RequestId::from_random(u128::from(high) << 64 | u128::from(low))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::new_request_id;

    #[test]
    fn ids_of_several_threads_never_meet() {
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..10_000).map(|_| new_request_id()).collect::<Vec<_>>())).collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 40_000);
        assert!(ids.iter().all(|id| id.as_str().len() == 32));
    }
}
