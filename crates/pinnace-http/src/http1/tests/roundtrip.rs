//! What is written is read back, wherever it is cut.

use http::Version;
use proptest::prelude::*;

use super::LIMITS;
use super::reader::{End, Pieces, messages, read};
use crate::http1::head::Limits;

const WIDE: Limits = Limits { max_bytes: 64 << 10, max_fields: 100 };

/// A request and how it is written.
#[derive(Clone, Debug)]
struct Written {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    /// Chunks with their extensions; nothing for a body that is counted.
    chunks: Option<Vec<(Vec<u8>, String)>>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

impl Written {
    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: a\r\n", self.method, self.target).into_bytes();
        append(&mut text, &self.fields);
        let Some(chunks) = &self.chunks else {
            text.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
            text.extend_from_slice(&self.body);
            return text;
        };
        text.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        for (chunk, extension) in chunks {
            text.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n");
        append(&mut text, &self.trailers);
        text.extend_from_slice(b"\r\n");
        text
    }

    fn whole_body(&self) -> Vec<u8> {
        match &self.chunks {
            Some(chunks) => chunks.iter().flat_map(|(chunk, _)| chunk.clone()).collect(),
            None => self.body.clone(),
        }
    }
}

fn append(text: &mut Vec<u8>, fields: &[(String, String)]) {
    for (name, value) in fields {
        text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
}

fn fields(prefix: &'static str) -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "[a-z0-9!#$%&'*+.^_`|~-]{0,8}".prop_map(move |name| format!("{prefix}{name}"));
    let value = "([!-~]([ \t!-~]{0,12}[!-~])?)?";
    prop::collection::vec((name, value), 0..6)
}

fn written() -> impl Strategy<Value = Written> {
    let chunk = (prop::collection::vec(any::<u8>(), 1..40), "(;[a-z]{1,4}(=([a-z]{1,4}|\"[ a-z;]{0,4}\"))?){0,2}");
    (
        "[A-Z][A-Z-]{1,8}[A-Z]",
        "/[a-zA-Z0-9%_.~/-]{0,12}(\\?[a-z=&]{0,8})?",
        fields("x-"),
        prop::option::of(prop::collection::vec(chunk, 0..5)),
        prop::collection::vec(any::<u8>(), 0..40),
        fields("y-"),
    )
        .prop_filter("these have no body", |(method, ..)| method != "CONNECT" && method != "TRACE")
        .prop_map(|(method, target, fields, chunks, body, trailers)| Written {
            method,
            target,
            fields,
            chunks,
            body,
            trailers,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_read_back_wherever_it_is_cut(requests in prop::collection::vec(written(), 1..3)) {
        let bytes: Vec<u8> = requests.iter().flat_map(Written::bytes).collect();
        let each: Vec<_> = (1..bytes.len()).collect();
        let cuts = each.iter().map(|border| vec![*border]).chain([Vec::new(), each.clone()]);
        for cut in cuts {
            let (messages, end) = messages(&Pieces::cut(&bytes, &cut), WIDE);
            prop_assert_eq!(end, End::Clean);
            prop_assert_eq!(messages.len(), requests.len());
            for (message, request) in messages.iter().zip(&requests) {
                prop_assert_eq!(message.head.method.as_str(), &request.method);
                prop_assert_eq!(message.head.uri.to_string(), request.target.clone());
                prop_assert_eq!(message.head.version, Version::HTTP_11);
                prop_assert_eq!(&message.body, &request.whole_body());
                for (name, value) in &request.fields {
                    let has = message.head.headers.get_all(name.as_str()).iter().any(|told| told == value.as_str());
                    prop_assert!(has, "{} is lost", name);
                }
                let trailers = message.trailers.as_ref().map_or(0, http::HeaderMap::len);
                prop_assert_eq!(trailers, if request.chunks.is_some() { request.trailers.len() } else { 0 });
            }
        }
    }

    #[test]
    fn no_bytes_are_read_in_two_ways(bytes in prop::collection::vec(any::<u8>(), 0..200), border in 0_usize..200) {
        let border = border.min(bytes.len());
        let whole = read(&Pieces::whole(&bytes), LIMITS);
        let cut = read(&Pieces::cut(&bytes, &[border]), LIMITS);
        prop_assert_eq!(whole, cut);
    }
}
