//! HTTP/1 of our own: what can be read in two ways is refused.
//!
//! Behind another proxy, a request that two servers read differently is a request that can be smuggled. So this codec
//! takes what RFC 9110 and RFC 9112 define and nothing else: no bare line feeds, no folded fields, no length that is told
//! twice. A refusal is an answer with the reason, after which the connection ends.
//!
//! The codec knows bytes only: [`scan`] finds lines, [`head`] (with `target` and `fields`) reads requests, [`body`] their
//! bodies, [`encode`] writes responses. `driver` and the modules that it names do what needs a socket.

pub(crate) mod body;
pub(crate) mod chunked;
mod date;
pub(crate) mod driver;
pub(crate) mod encode;
pub(crate) mod exchange;
pub(crate) mod feed;
mod fields;
pub(crate) mod head;
pub(crate) mod output;
pub(crate) mod refusal;
mod respond;
pub(crate) mod scan;
mod target;
pub(crate) mod wire;

#[cfg(test)]
mod tests;
