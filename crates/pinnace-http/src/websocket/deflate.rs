//! permessage-deflate (RFC 7692).
//!
//! The server forgets its own context after each message (`server_no_context_takeover`), so that all connections of a
//! thread share one compressor: it takes more memory than everything else that belongs to an idle connection. The
//! client's context is kept unless the client wants otherwise, from its first compressed message on.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::Compress;
use flate2::Compression;
use flate2::Decompress;
use flate2::FlushCompress;
use flate2::FlushDecompress;
use flate2::Status;

use super::Violation;

/// What a sync flush ends with, which is left out on the wire (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];
/// By how much a buffer grows at a time.
const STEP: usize = 16 << 10;

/// What was agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deflate {
    client_forgets: bool,
    names_server_bits: bool,
}

/// Expands a client's messages.
#[derive(Debug)]
pub(super) struct Inflater {
    state: Option<Decompress>,
    keeps_context: bool,
}

thread_local! {
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

impl Deflate {
    /// Reads one offer of a client; nothing where it cannot be met (RFC 7692 section 7.1).
    pub(super) fn from_offer(offer: &str) -> Option<Self> {
        let mut parts = offer.split(';').map(str::trim);
        if parts.next()? != "permessage-deflate" {
            return None;
        }
        let mut agreed = Self { client_forgets: false, names_server_bits: false };
        let mut seen = Vec::new();
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            let bits =
                value.map(|value| value.trim_matches('"').parse::<u8>().ok().filter(|bits| (8..=15).contains(bits)));
            match (name, bits) {
                ("server_no_context_takeover", None) | ("client_max_window_bits", None | Some(Some(_))) => {}
                ("client_no_context_takeover", None) => agreed.client_forgets = true,
                // The compressor's window cannot be made smaller.
                ("server_max_window_bits", Some(Some(15))) => agreed.names_server_bits = true,
                _ => return None,
            }
        }
        Some(agreed)
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    pub fn answer(&self) -> &'static str {
        match (self.client_forgets, self.names_server_bits) {
            (false, false) => "permessage-deflate; server_no_context_takeover",
            (true, false) => "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            (false, true) => "permessage-deflate; server_no_context_takeover; server_max_window_bits=15",
            (true, true) => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15"
            }
        }
    }

    pub(super) fn keeps_client_context(self) -> bool {
        !self.client_forgets
    }
}

impl Inflater {
    pub(super) fn new(keeps_context: bool) -> Self {
        Self { state: None, keeps_context }
    }

    /// Expands a message, up to a limit.
    pub(super) fn expand(&mut self, data: &[u8], limit: usize) -> Result<Bytes, Violation> {
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        let mut out = Vec::with_capacity((data.len() * 4).clamp(64, STEP));
        let mut ended = false;
        for mut input in [data, &TAIL] {
            while !ended {
                if out.len() == out.capacity() {
                    if out.len() > limit {
                        return Err(Violation::TooLarge { limit });
                    }
                    out.reserve(STEP);
                }
                let before = (state.total_in(), out.len());
                let status = state
                    .decompress_vec(input, &mut out, FlushDecompress::Sync)
                    .map_err(|_| Violation::Data("a compressed message cannot be expanded"))?;
                let taken = usize::try_from(state.total_in() - before.0).unwrap_or(usize::MAX);
                input = input.get(taken..).unwrap_or_default();
                ended = status == Status::StreamEnd;
                // All is expanded when the input is used up and the output has room left.
                if input.is_empty() && out.len() < out.capacity() {
                    break;
                }
                if taken == 0 && out.len() == before.1 {
                    return Err(Violation::Data("a compressed message cannot be expanded"));
                }
            }
        }
        if out.len() > limit {
            return Err(Violation::TooLarge { limit });
        }
        if ended || !self.keeps_context {
            state.reset(false);
        }
        Ok(out.into())
    }
}

/// Compresses a message by itself.
pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    COMPRESSOR.with_borrow_mut(|state| {
        state.reset();
        let mut out = Vec::with_capacity(data.len() / 2 + 64);
        let mut input = data;
        loop {
            let before = state.total_in();
            // An error is impossible here but for a lack of room, which the next round gives.
            let _ = state.compress_vec(input, &mut out, FlushCompress::Sync);
            let taken = usize::try_from(state.total_in() - before).unwrap_or(usize::MAX);
            input = input.get(taken..).unwrap_or_default();
            if input.is_empty() && out.len() < out.capacity() {
                break;
            }
            out.reserve(STEP);
        }
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_expanded_to_the_same() {
        let mut inflater = Inflater::new(true);
        for size in [0, 1, 255, 256, 16_383, 16_384, 1_000_000] {
            let text: Vec<u8> = (0..size).map(|at: usize| b"a repeated text, "[at % 17]).collect();
            let noise: Vec<u8> =
                (0..size as u64).map(|at| at.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0]).collect();
            for data in [text, noise] {
                assert_eq!(inflater.expand(&compress(&data), 2_000_000).unwrap(), data, "{size}");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_has_filled_the_memory() {
        let bomb = compress(&vec![0; 10_000_000]);
        assert!(bomb.len() < 100_000);
        assert_eq!(Inflater::new(false).expand(&bomb, 1_000_000), Err(Violation::TooLarge { limit: 1_000_000 }));
    }

    #[test]
    fn what_is_no_deflate_is_refused() {
        assert!(matches!(Inflater::new(true).expand(b"\xff\xff\xff\xff", 1000), Err(Violation::Data(_))));
    }

    #[test]
    fn offers_are_met_or_left() {
        for (offer, answer) in [
            ("permessage-deflate", Some("permessage-deflate; server_no_context_takeover")),
            ("permessage-deflate; client_max_window_bits", Some("permessage-deflate; server_no_context_takeover")),
            (
                "permessage-deflate; client_no_context_takeover; server_max_window_bits=15",
                Some(
                    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15",
                ),
            ),
            ("permessage-deflate; server_max_window_bits=10", None),
            ("permessage-deflate; client_max_window_bits=16", None),
            ("permessage-deflate; rumour", None),
            ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
            ("x-webkit-deflate-frame", None),
        ] {
            assert_eq!(Deflate::from_offer(offer).map(|agreed| agreed.answer()), answer, "{offer}");
        }
    }
}
