//! Request ids: drawn so that they are unique over processes and restarts, without a system call for each; taken from a
//! request, carried through what is done for it, and given back with its answer.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use http::{HeaderMap, HeaderName, HeaderValue};
use pinnace_types::RequestId;

/// The header that carries the id, in the lower case that HTTP/2 asks for.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

const NAME: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);

tokio::task_local! {
    static CURRENT: RequestId;
}

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

/// The id of a request: the caller's, where it is one that a log line can hold, else a new one, which then stands among
/// the headers.
pub fn take_request_id(headers: &mut HeaderMap) -> RequestId {
    let given = headers.get(NAME).and_then(|value| value.to_str().ok());
    let id = given.and_then(|text| RequestId::try_new(text).ok()).unwrap_or_else(new_request_id);
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(NAME, value);
    }
    id
}

/// Gives the id back with the answer, unless the answer names one itself.
pub fn answer_request_id(id: &RequestId, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.entry(NAME).or_insert(value);
    }
}

/// Does something for a request: whatever asks for [`current_request_id`] meanwhile is told its id.
pub async fn within_request<F: Future>(id: RequestId, work: F) -> F::Output {
    CURRENT.scope(id, work).await
}

/// The same for something that does not wait.
pub fn during_request<T>(id: &RequestId, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(id.clone(), work)
}

/// The id of the request that this task works for. A task that is spawned works for none.
pub fn current_request_id() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::{HeaderMap, HeaderValue};

    use super::{
        answer_request_id, current_request_id, during_request, new_request_id, take_request_id, within_request,
    };

    #[test]
    fn the_callers_id_is_kept_and_one_that_breaks_a_log_line_is_not() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("abc"));
        assert_eq!(take_request_id(&mut headers).as_str(), "abc");
        headers.insert("x-request-id", HeaderValue::from_static("a b"));
        let id = take_request_id(&mut headers);
        assert_eq!((id.as_str().len(), headers["x-request-id"].to_str().unwrap()), (32, id.as_str()));
        let mut own = HeaderMap::new();
        own.insert("x-request-id", HeaderValue::from_static("own"));
        answer_request_id(&id, &mut own);
        assert_eq!(own["x-request-id"], "own");
    }

    #[tokio::test]
    async fn what_is_done_for_a_request_knows_its_id() {
        let id = new_request_id();
        assert_eq!(within_request(id.clone(), async { current_request_id() }).await, Some(id.clone()));
        assert_eq!(during_request(&id, current_request_id), Some(id));
        assert_eq!(current_request_id(), None);
    }

    #[test]
    fn ids_of_several_threads_never_meet() {
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..10_000).map(|_| new_request_id()).collect::<Vec<_>>())).collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 40_000);
        assert!(ids.iter().all(|id| id.as_str().len() == 32));
    }
}
