//! What is different about gRPC calls (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>): HTTP/2 to the
//! service as well, deadlines that the caller sets, and statuses in trailers.

use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, Version, request};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pinnace_http::Body;
use pinnace_types::Problem;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// What a message may not hold as it is: controls, `%`, and what is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Whether a request is a call.
pub(crate) fn is_call(version: Version, headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = kind.get(..16).filter(|start| start.eq_ignore_ascii_case(b"application/grpc")).map(|_| &kind[16..]);
    version == Version::HTTP_2 && rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Says again what every call says of its connection and a gateway otherwise takes out.
pub(crate) fn prepare(headers: &mut HeaderMap) {
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
}

/// The deadline that the caller sets; nothing where there is none, or none that can be read.
pub(crate) fn timeout(head: &request::Parts) -> Option<Duration> {
    let text = head.headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A problem as a caller understands it: an answer of trailers alone.
pub(crate) fn refuse(problem: &Problem) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, HeaderValue::from(u16::from(problem.code.grpc_code().number())));
    let message = utf8_percent_encode(&problem.detail, ENCODED).to_string();
    if let Ok(message) = HeaderValue::from_str(&message) {
        headers.insert(MESSAGE, message);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue, Request, Version};
    use pinnace_types::{ErrorCode, Problem};

    use super::{is_call, refuse, timeout};

    #[test]
    fn calls_are_told_by_their_type_and_version() {
        for (kind, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC;x=y", true),
            ("application/grpc-web", false),
            ("application/json", false),
            ("application/grp", false),
        ] {
            let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(is_call(Version::HTTP_2, &headers), is, "{kind}");
            assert!(!is_call(Version::HTTP_11, &headers));
        }
    }

    #[test]
    fn deadlines_are_read_in_all_units() {
        for (text, expected) in [
            ("2H", Some(Duration::from_hours(2))),
            ("90M", Some(Duration::from_mins(90))),
            ("10S", Some(Duration::from_secs(10))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("9n", Some(Duration::from_nanos(9))),
            ("S", None),
            ("-1S", None),
            ("123456789S", None),
            ("1", None),
            ("1\u{e4}", None),
            ("", None),
        ] {
            let request = Request::builder().header("grpc-timeout", text).body(()).unwrap();
            assert_eq!(timeout(&request.into_parts().0), expected, "{text}");
        }
    }

    #[test]
    fn a_refusal_is_an_answer_of_trailers_alone() {
        let response =
            refuse(&Problem::new(ErrorCode::Unavailable, "service `orders` is 100 % away, dürfte wiederkommen"));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(response.headers()["grpc-message"], "service `orders` is 100 %25 away, d%C3%BCrfte wiederkommen");
    }
}
