//! Which paths are refused, and what a path means for routing.
//!
//! A service may decode a path in its own way, so a path that could mean another prefix there than it means here is
//! refused: whoever guards `/admin` at its border must not be passed by `/shop/..%2Fadmin`.

use percent_encoding::percent_decode_str;

/// The paths of a service that are Pinnace's own; they are never routed.
const MANAGEMENT: [&str; 4] = ["/-/health/live", "/-/health/ready", "/-/metrics", "/-/info"];

/// A path in its two readings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reading {
    /// Decoded, but an encoded slash or backslash stays within its segment.
    pub(crate) strict: String,
    /// Decoded with every slash and backslash as a border.
    pub(crate) loose: String,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PathRefusal {
    /// `OPTIONS *`, or no path at all.
    #[error("the path does not begin with a slash")]
    NotRooted,
    /// `//`, also encoded.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`, also encoded, also twice.
    #[error("the path has a dot segment")]
    DotSegment,
    /// A control character, encoded.
    #[error("the path has a control character")]
    Control,
    /// An encoded slash or backslash after which it would belong to another route.
    #[error("the path has an encoded separator that changes its meaning")]
    Separator,
}

/// Reads a path, or refuses it.
pub(crate) fn read(path: &str) -> Result<Reading, PathRefusal> {
    if !path.starts_with('/') {
        return Err(PathRefusal::NotRooted);
    }
    let loose = decode(path).replace('\\', "/");
    if loose.chars().any(char::is_control) {
        return Err(PathRefusal::Control);
    }
    if loose.contains("//") {
        return Err(PathRefusal::EmptySegment);
    }
    let twice = decode(&loose).replace('\\', "/");
    if [&loose, &twice].into_iter().any(|text| text.split('/').any(is_dots)) {
        return Err(PathRefusal::DotSegment);
    }
    // A separator that is encoded becomes a character that no route can hold.
    let strict = path.split('/').map(|segment| decode(segment).replace(['/', '\\'], "\u{1}")).collect::<Vec<_>>();
    Ok(Reading { strict: strict.join("/"), loose })
}

/// Whether a path lies below a prefix, on a segment's border.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    prefix == "/" || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path below this prefix is one of a service's own paths that stay inside.
pub(crate) fn is_management(path: &str, prefix: &str) -> bool {
    let inside = |path: &str| MANAGEMENT.contains(&path.trim_end_matches('/'));
    inside(path) || path.strip_prefix(prefix).is_some_and(inside)
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Some servers take `..;x` for `..` (path parameters of RFC 2396).
fn is_dots(segment: &str) -> bool {
    matches!(segment.split(';').next(), Some("." | ".."))
}

#[cfg(test)]
mod tests {
    use super::{PathRefusal, is_below, is_management, read};

    #[test]
    fn a_path_that_could_leave_its_prefix_is_refused() {
        for (path, refusal) in [
            ("*", PathRefusal::NotRooted),
            ("/a/../b", PathRefusal::DotSegment),
            ("/a/./b", PathRefusal::DotSegment),
            ("/a/%2e%2E/b", PathRefusal::DotSegment),
            ("/a/..%2fb", PathRefusal::DotSegment),
            ("/a/..%5Cb", PathRefusal::DotSegment),
            ("/a/%252e%252e/b", PathRefusal::DotSegment),
            ("/a/..;x/b", PathRefusal::DotSegment),
            ("//a", PathRefusal::EmptySegment),
            ("/a/%2Fb", PathRefusal::EmptySegment),
            ("/a%00b", PathRefusal::Control),
        ] {
            assert_eq!(read(path), Err(refusal), "{path}");
        }
    }

    #[test]
    fn an_encoded_letter_reads_as_itself_and_an_encoded_slash_does_not() {
        let reading = read("/orders/%61dmin").unwrap();
        assert_eq!((reading.strict.as_str(), reading.loose.as_str()), ("/orders/admin", "/orders/admin"));
        let reading = read("/orders%2Fadmin").unwrap();
        assert!(is_below(&reading.loose, "/orders") && !is_below(&reading.strict, "/orders"));
    }

    #[test]
    fn a_prefix_ends_at_a_border() {
        assert!(is_below("/orders", "/orders") && is_below("/orders/1", "/orders") && is_below("/x", "/"));
        assert!(!is_below("/ordersx", "/orders"));
    }

    #[test]
    fn the_paths_of_management_stay_inside_and_their_neighbours_do_not() {
        assert!(is_management("/-/metrics", "/") && is_management("/orders/-/health/live", "/orders"));
        assert!(!is_management("/orders/-/mine", "/orders") && !is_management("/-/health", "/"));
    }
}
