//! Where in the file each key and value stands, for findings that come after reading.

use std::collections::BTreeMap;
use std::ops::Range;

/// Spans by dotted path, such as `service.orders.calls.1`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(BTreeMap<String, Range<usize>>);

impl Places {
    pub(crate) fn put(&mut self, path: String, span: Range<usize>) {
        self.0.insert(path, span);
    }

    /// The place of a path, or of the nearest table around it.
    pub(crate) fn find(&self, path: &str) -> Range<usize> {
        let mut path = path;
        loop {
            if let Some(span) = self.0.get(path) {
                return span.clone();
            }
            match path.rsplit_once('.') {
                Some((around, _)) => path = around,
                None => return 0..0,
            }
        }
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }
}
