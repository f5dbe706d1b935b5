//! The order in which a request's fields came, where a map of them loses it.
//!
//! `HeaderMap` keeps the fields of one name together. Where others stood between them, the request has this among its
//! extensions; no other request has.

use std::sync::Arc;

use http::header::ValueIter;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The names of the fields of an HTTP/1 request as they came, one for each field; an extension of the request where its map
/// tells another order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldOrder(Arc<[HeaderName]>);

impl FieldOrder {
    pub(crate) fn new(names: Vec<HeaderName>) -> Self {
        Self(names.into())
    }

    /// The request's fields as they came. What was added since stands at the end, what was taken out is left out.
    pub fn fields<'fields>(
        &'fields self,
        headers: &'fields HeaderMap,
    ) -> Vec<(&'fields HeaderName, &'fields HeaderValue)> {
        let mut rest: HeaderMap<ValueIter<'_, HeaderValue>> = HeaderMap::with_capacity(headers.keys_len());
        for name in headers.keys() {
            rest.insert(name, headers.get_all(name).iter());
        }
        let mut fields = Vec::with_capacity(headers.len());
        for name in &*self.0 {
            let next = rest.get_mut(name).and_then(Iterator::next);
            fields.extend(next.map(|value| (name, value)));
        }
        for name in headers.keys() {
            fields.extend(rest.get_mut(name).into_iter().flatten().map(|value| (name, value)));
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn fields_stand_as_they_came_whatever_was_changed_since() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(HeaderName::from_static);
        let order = FieldOrder::new(vec![a.clone(), b.clone(), a.clone(), c.clone(), b.clone()]);
        let mut map = HeaderMap::new();
        for (name, value) in [(&a, "1"), (&b, "2"), (&a, "3"), (&c, "4"), (&b, "5"), (&d, "6"), (&a, "7")] {
            map.append(name, HeaderValue::from_static(value));
        }
        map.remove(&c);
        let told: Vec<_> =
            order.fields(&map).into_iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(told, [("a", "1"), ("b", "2"), ("a", "3"), ("b", "5"), ("a", "7"), ("d", "6")]);
    }
}
