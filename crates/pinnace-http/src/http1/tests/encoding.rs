//! Responses: how a body's end is told, and what a head says.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use http_body::SizeHint;
use hyper::ext::ReasonPhrase;

use crate::http1::encode::{self, Asked, Framing, Persistence, Unsendable};

fn fields(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name, HeaderValue::from_static(value));
    }
    map
}

fn framing(method: &Method, version: Version, status: u16, headers: &HeaderMap, hint: &SizeHint) -> String {
    let status = StatusCode::from_u16(status).unwrap();
    match encode::framing(Asked::new(method, version), status, headers, hint) {
        Ok(framing) => format!("{framing:?}"),
        Err(Unsendable(reason)) => reason.to_owned(),
    }
}

#[test]
fn the_end_of_a_body_is_told_in_the_way_that_the_client_understands() {
    let (unknown, five) = (SizeHint::default(), SizeHint::with_exact(5));
    let none = HeaderMap::new();
    let declared = fields(&[(header::CONTENT_LENGTH, "7")]);
    let chunked = fields(&[(header::CONTENT_LENGTH, "7"), (header::TRANSFER_ENCODING, "chunked")]);
    let twice = fields(&[(header::CONTENT_LENGTH, "7"), (header::CONTENT_LENGTH, "7")]);
    let nonsense = fields(&[(header::CONTENT_LENGTH, "+7")]);
    let (get, head, connect) = (Method::GET, Method::HEAD, Method::CONNECT);
    let (old, new) = (Version::HTTP_10, Version::HTTP_11);
    for (method, version, status, headers, hint, wanted) in [
        (&get, new, 200, &none, &five, "Exactly(5)"),
        (&get, new, 200, &none, &unknown, "Chunked"),
        (&get, old, 200, &none, &unknown, "UntilClose"),
        (&get, old, 200, &none, &five, "Exactly(5)"),
        (&get, new, 200, &declared, &unknown, "Exactly(7)"),
        (&get, new, 200, &chunked, &unknown, "Chunked"),
        (&get, new, 204, &declared, &five, "Nothing(None)"),
        (&get, new, 304, &declared, &five, "Nothing(Some(7))"),
        (&get, new, 304, &none, &five, "Nothing(None)"),
        (&head, new, 200, &none, &five, "Nothing(Some(5))"),
        (&head, new, 200, &declared, &unknown, "Nothing(Some(7))"),
        (&head, new, 200, &none, &unknown, "Nothing(None)"),
        (&get, new, 200, &twice, &five, "the answer's Content-Length is not one number"),
        (&get, new, 200, &nonsense, &five, "the answer's Content-Length is not one number"),
        (&get, new, 101, &none, &five, "nobody asked for an upgrade"),
        (&connect, new, 200, &none, &five, "nobody asked for an upgrade"),
        (&get, new, 103, &none, &five, "an interim status is no answer"),
    ] {
        let said = framing(method, version, status, headers, hint);
        assert_eq!(said, wanted, "{method} {version:?} {status} {headers:?} {hint:?}");
    }
}

#[test]
fn a_head_says_what_the_handler_said_and_what_is_ours() {
    let headers = fields(&[
        (HeaderName::from_static("x-a"), "1"),
        (header::CONTENT_LENGTH, "9"),
        (header::TRANSFER_ENCODING, "chunked"),
        (header::CONNECTION, "keep-alive"),
        (header::DATE, "now"),
    ]);
    let mut text = Vec::new();
    encode::head(&mut text, (StatusCode::NOT_FOUND, None), &headers, Framing::Exactly(0), Some(Persistence::Close));
    let wanted = "HTTP/1.1 404 Not Found\r\nx-a: 1\r\ndate: now\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(String::from_utf8(text).unwrap(), wanted);
}

#[test]
fn a_reason_of_the_handlers_own_is_sent() {
    let reason = ReasonPhrase::try_from(&b"Gone Fishing"[..]).unwrap();
    for (status, wanted) in
        [(StatusCode::OK, "200"), (StatusCode::GONE, "410"), (StatusCode::from_u16(799).unwrap(), "799")]
    {
        let mut text = Vec::new();
        encode::head(&mut text, (status, Some(&reason)), &HeaderMap::new(), Framing::Exactly(0), None);
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {wanted} Gone Fishing\r\n")), "{text}");
    }
    // What would end the line cannot be a reason.
    assert!(ReasonPhrase::try_from(&b"a\r\nb"[..]).is_err());
}

#[test]
fn a_date_is_added_as_rfc_9110_writes_it() {
    let mut text = Vec::new();
    encode::head(&mut text, (StatusCode::OK, None), &HeaderMap::new(), Framing::Exactly(u64::MAX), None);
    let text = String::from_utf8(text).unwrap();
    let (start, date) = text.split_once("date: ").unwrap();
    assert_eq!(start, "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n");
    assert!(httpdate::parse_http_date(date.trim_end()).is_ok(), "{date}");
}

#[test]
fn chunks_are_written_as_they_are_read() {
    let mut text = Vec::new();
    for length in [1, 15, 16, 255, 4096, usize::MAX] {
        encode::chunk_start(&mut text, length);
    }
    let trailers = fields(&[(HeaderName::from_static("x-sum"), "1"), (header::CONTENT_LENGTH, "1")]);
    encode::chunked_end(&mut text, Some(&trailers));
    let wanted = format!("1\r\nf\r\n10\r\nff\r\n1000\r\n{:x}\r\n0\r\nx-sum: 1\r\n\r\n", usize::MAX);
    assert_eq!(String::from_utf8(text).unwrap(), wanted);
}
