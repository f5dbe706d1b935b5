//! The line that one answered request leaves in a log, in both formats, written by one function.
//!
//! The path is logged without its query: tokens and e-mail addresses live there.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use pinnace_types::worker::LogFormat;
use pinnace_types::{GrpcCode, RequestId};

use crate::logging::push_json_string;

/// One answered request.
#[derive(Clone, Copy, Debug)]
pub struct AccessLog<'a> {
    /// `GET`.
    pub method: &'a str,
    /// The path without its query; everything behind a `?` is left out.
    pub path: &'a str,
    /// The status that was sent.
    pub status: u16,
    /// The status of a gRPC call, which has 200 as its HTTP status whatever happens.
    pub grpc: Option<GrpcCode>,
    /// From the request's head to the response's end.
    pub duration: Duration,
    /// The id that the request carries everywhere.
    pub request_id: &'a RequestId,
    /// Who asked, such as `127.0.0.1:51234`.
    pub peer: &'a str,
    /// The bytes of the response's body.
    pub bytes: u64,
}

impl AccessLog<'_> {
    /// Appends the line, with its end, to a buffer that the caller uses again and again.
    pub fn render(&self, format: LogFormat, time: Timestamp, service: &str, line: &mut String) {
        let path = self.path.split('?').next().unwrap_or_default();
        let millis = self.duration.as_secs_f64() * 1_000.0;
        // Writing to a string cannot fail.
        let _ = match format {
            LogFormat::Text => {
                let _ = write!(line, "{time:.3} {service}: {} ", self.method);
                push_visible(line, path);
                let _ = write!(line, " {}", self.status);
                if let Some(grpc) = self.grpc {
                    let _ = write!(line, " {grpc}");
                }
                writeln!(line, " {millis:.1}ms {}B peer={} request_id={}", self.bytes, self.peer, self.request_id)
            }
            LogFormat::Json => {
                let _ = write!(line, r#"{{"time":"{time:.6}","level":"info","message":"request","service":"#);
                push_json_string(line, service);
                line.push_str(r#","method":"#);
                push_json_string(line, self.method);
                line.push_str(r#","path":"#);
                push_json_string(line, path);
                let _ = write!(line, r#","status":{}"#, self.status);
                if let Some(grpc) = self.grpc {
                    let _ = write!(line, r#","grpc_status":"{grpc}""#);
                }
                let _ = write!(line, r#","duration_ms":{millis:.3},"peer":"#);
                push_json_string(line, self.peer);
                writeln!(line, r#","bytes":{},"request_id":"{}"}}"#, self.bytes, self.request_id)
            }
        };
    }
}

/// What a caller sends must not forge a line or paint a terminal.
fn push_visible(line: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_control() || character == ' ' {
            line.extend(character.escape_unicode());
        } else {
            line.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use pinnace_types::worker::LogFormat;
    use pinnace_types::{GrpcCode, RequestId};

    use super::AccessLog;

    fn render(format: LogFormat, path: &str) -> String {
        let request_id = RequestId::try_new("abc").unwrap();
        let record = AccessLog {
            method: "GET",
            path,
            status: 200,
            grpc: path.ends_with("/Find").then_some(GrpcCode::NotFound),
            duration: Duration::from_micros(1_250),
            request_id: &request_id,
            peer: "127.0.0.1:9",
            bytes: 12,
        };
        let mut line = String::new();
        record.render(format, Timestamp::UNIX_EPOCH, "orders", &mut line);
        line
    }

    #[test]
    fn a_person_reads_one_line() {
        assert_eq!(
            render(LogFormat::Text, "/orders/1?token=secret"),
            "1970-01-01T00:00:00.000Z orders: GET /orders/1 200 1.2ms 12B peer=127.0.0.1:9 request_id=abc\n"
        );
    }

    #[test]
    fn a_program_reads_one_json_object() {
        let line = render(LogFormat::Json, "/a\"b\n?token=secret");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["path"], "/a\"b\n");
        assert_eq!(value["status"], 200);
        assert_eq!(value["request_id"], "abc");
        assert!(line.ends_with("}\n") && !line.contains("secret"));
    }

    #[test]
    fn a_grpc_call_has_its_own_status_beside_that_of_http() {
        let line = render(LogFormat::Text, "/harbour.v1.Desk/Find");
        assert!(line.contains(" GET /harbour.v1.Desk/Find 200 NOT_FOUND 1.2ms "), "{line}");
        let value: serde_json::Value = serde_json::from_str(&render(LogFormat::Json, "/harbour.v1.Desk/Find")).unwrap();
        assert_eq!((&value["status"], &value["grpc_status"]), (&200.into(), &"NOT_FOUND".into()));
    }

    #[test]
    fn a_path_cannot_forge_a_second_line() {
        let line = render(LogFormat::Text, "/a\nb\u{1b}[31m");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains('\u{1b}'));
    }
}
