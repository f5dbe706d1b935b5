//! Forms: the hidden fields of a page, and the bodies that a browser sends.

use std::fmt::Write as _;

/// The value of the input field with this name, as it stands in the page.
pub(super) fn field<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    page.split("<input").skip(1).find_map(|rest| {
        let tag = rest.split('>').next().unwrap_or_default();
        (attribute(tag, "name") == Some(name)).then(|| attribute(tag, "value")).flatten()
    })
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    value.split('"').next()
}

/// `application/x-www-form-urlencoded`.
pub(super) fn encode(fields: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        push(&mut body, name);
        body.push('=');
        push(&mut body, value);
    }
    body
}

fn push(body: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => body.push(byte.into()),
            b' ' => body.push('+'),
            // Writing to a string cannot fail.
            _ => drop(write!(body, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{encode, field};

    #[test]
    fn a_field_is_found_wherever_its_attributes_stand() {
        let page = r#"<form><input type="text" name="quantity" value="1">
            <input value="t-0_k" type="hidden" name="csrf_token"></form>"#;
        assert_eq!(field(page, "csrf_token"), Some("t-0_k"));
        assert_eq!(field(page, "quantity"), Some("1"));
        assert_eq!(field(page, "order_key"), None);
    }

    #[test]
    fn a_form_is_sent_as_browsers_do() {
        let body = encode(&[("name", "Ada Lovelace"), ("address", "1 Way\nLondon & more"), ("mail", "a@b.c")]);
        assert_eq!(body, "name=Ada+Lovelace&address=1+Way%0ALondon+%26+more&mail=a%40b.c");
    }
}
