//! The last answers of reads: a change wakes all who wait for it, and most of them asked the same.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Answers that are kept, and their bytes; beyond that all are forgotten.
const MAX_ANSWERS: usize = 64;
const MAX_BYTES: usize = 4 << 20;

/// Answers by what was asked, each good for one index; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<String, (u64, Bytes)>,
    bytes: usize,
}

impl Answers {
    pub(super) fn find(&self, key: &str, index: u64) -> Option<Bytes> {
        let kept = self.0.lock();
        kept.answers.get(key).filter(|(of, _)| *of == index).map(|(_, body)| body.clone())
    }

    pub(super) fn keep(&self, key: String, index: u64, body: Bytes) {
        let mut kept = self.0.lock();
        if kept.answers.len() >= MAX_ANSWERS || kept.bytes + body.len() > MAX_BYTES {
            *kept = Kept::default();
        }
        if body.len() <= MAX_BYTES {
            kept.bytes += body.len();
            if let Some((_, before)) = kept.answers.insert(key, (index, body)) {
                kept.bytes -= before.len();
            }
        }
    }
}
