//! What clients send, in JSON or XML, as one small tree.
//!
//! The XML reader knows elements, attributes, text and the five entities that XML itself has. It refuses document types, so
//! that there is nothing to expand; processing instructions but the first line are refused too.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::query::Refused;

const MAX_DEPTH: usize = 16;
const MAX_NODES: usize = 1_000;

/// An element, or a member of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Node {
    pub(super) text: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) children: Vec<(String, Self)>,
}

struct Reader<'a> {
    rest: &'a str,
    nodes: usize,
}

impl Node {
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// The text of a child, where it says something.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|node| node.text.trim()).filter(|text| !text.is_empty())
    }

    /// The document of a JSON object; members with `@` are attributes, `$` is the text.
    pub(super) fn from_json(body: &[u8]) -> Result<(String, Self), Refused> {
        let value: Value = serde_json::from_slice(body).map_err(|error| refused(&error.to_string()))?;
        let Value::Object(members) = value else { return Err(refused("an object is expected")) };
        let (name, inner) = members.into_iter().next().ok_or_else(|| refused("`instance` is missing"))?;
        let mut nodes = 0;
        Ok((name, Self::of_value(inner, 0, &mut nodes)?))
    }

    /// The document of an XML text.
    pub(super) fn from_xml(body: &[u8]) -> Result<(String, Self), Refused> {
        let text = std::str::from_utf8(body).map_err(|_| refused("it is no UTF-8"))?;
        let mut reader = Reader { rest: text.trim_start_matches('\u{feff}').trim_start(), nodes: 0 };
        if reader.rest.starts_with("<?xml") {
            reader.after("?>")?;
        }
        reader.skip_comments()?;
        let document = reader.element(0)?;
        reader.skip_comments()?;
        if reader.rest.is_empty() { Ok(document) } else { Err(refused("something follows the document")) }
    }

    fn of_value(value: Value, depth: usize, nodes: &mut usize) -> Result<Self, Refused> {
        count(depth, nodes)?;
        let mut node = Self::default();
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    if let Some(attribute) = name.strip_prefix('@') {
                        node.attributes.insert(attribute.to_owned(), plain(&value));
                    } else if name == "$" {
                        node.text = plain(&value);
                    } else {
                        node.children.push((name, Self::of_value(value, depth + 1, nodes)?));
                    }
                }
            }
            Value::Array(values) => {
                // Nothing that is registered holds a list; its first item says what there is to say.
                if let Some(first) = values.into_iter().next() {
                    return Self::of_value(first, depth + 1, nodes);
                }
            }
            other => node.text = plain(&other),
        }
        Ok(node)
    }
}

impl Reader<'_> {
    fn element(&mut self, depth: usize) -> Result<(String, Node), Refused> {
        count(depth, &mut self.nodes)?;
        self.expect("<")?;
        let name = self.name()?;
        let mut node = Node::default();
        loop {
            self.rest = self.rest.trim_start();
            if self.take("/>") {
                return Ok((name, node));
            }
            if self.take(">") {
                break;
            }
            let attribute = self.name()?;
            self.rest = self.rest.trim_start();
            self.expect("=")?;
            self.rest = self.rest.trim_start();
            let quote = if self.take("\"") { "\"" } else { self.expect("'").map(|()| "'")? };
            let value = unescaped(self.after(quote)?)?;
            count(depth, &mut self.nodes)?;
            node.attributes.insert(attribute, value);
        }
        loop {
            let at = self.rest.find('<').ok_or_else(|| refused("an element is not closed"))?;
            node.text.push_str(&unescaped(&self.rest[..at])?);
            self.rest = &self.rest[at..];
            if self.take("<![CDATA[") {
                let text = self.after("]]>")?;
                node.text.push_str(text);
            } else if self.take("<!--") {
                self.after("-->")?;
            } else if self.take("</") {
                if self.name()? != name {
                    return Err(refused("elements are not closed in their order"));
                }
                self.rest = self.rest.trim_start();
                self.expect(">")?;
                return Ok((name, node));
            } else {
                let child = self.element(depth + 1)?;
                node.children.push(child);
            }
        }
    }

    fn skip_comments(&mut self) -> Result<(), Refused> {
        self.rest = self.rest.trim_start();
        while self.take("<!--") {
            self.after("-->")?;
            self.rest = self.rest.trim_start();
        }
        Ok(())
    }

    fn name(&mut self) -> Result<String, Refused> {
        let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | ':' | '$');
        let end = self.rest.find(|character| !is_part(character)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(refused("a name is missing; document types are not read"));
        }
        let name = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        Ok(name)
    }

    fn take(&mut self, wanted: &str) -> bool {
        self.rest.strip_prefix(wanted).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    fn expect(&mut self, wanted: &str) -> Result<(), Refused> {
        if self.take(wanted) { Ok(()) } else { Err(refused(&format!("`{wanted}` is missing"))) }
    }

    /// What stands before a mark; goes on after it.
    fn after(&mut self, mark: &str) -> Result<&str, Refused> {
        let (before, rest) = self.rest.split_once(mark).ok_or_else(|| refused(&format!("`{mark}` is missing")))?;
        self.rest = rest;
        Ok(before)
    }
}

fn count(depth: usize, nodes: &mut usize) -> Result<(), Refused> {
    *nodes += 1;
    if depth > MAX_DEPTH || *nodes > MAX_NODES {
        return Err(refused("it is too large"));
    }
    Ok(())
}

fn unescaped(text: &str) -> Result<String, Refused> {
    if !text.contains('&') {
        return Ok(text.to_owned());
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, after) = after.split_once(';').ok_or_else(|| refused("`&` begins no entity"))?;
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let character = match entity {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => match entity.strip_prefix("#x").or_else(|| entity.strip_prefix("#X")) {
                Some(digits) => number(digits, 16),
                None => entity.strip_prefix('#').and_then(|digits| number(digits, 10)),
            },
        };
        plain.push(character.ok_or_else(|| refused("there is an entity that XML itself does not have"))?);
        rest = after;
    }
    plain.push_str(rest);
    Ok(plain)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn refused(problem: &str) -> Refused {
    Refused::bad(format!("The body is not understood: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn json_and_xml_say_the_same() {
        let json = Node::from_json(br#"{"instance":{"app":"A&B","port":{"$":80,"@enabled":"true"},"metadata":{}}}"#);
        let xml = Node::from_xml(
            b"<?xml version=\"1.0\"?>\n<!-- x --><instance><app>A&#38;<![CDATA[B]]></app>\
              <port enabled='true'>80</port><metadata/></instance>\n",
        );
        let (json, xml) = (json.unwrap(), xml.unwrap());
        assert_eq!(json.0, "instance");
        assert_eq!(json.1.text_of("app"), Some("A&B"));
        for name in ["app", "port", "metadata"] {
            assert!(json.1.child(name).is_some() && json.1.child(name) == xml.1.child(name), "{name}");
        }
    }

    #[test]
    fn entities_depth_and_breadth_are_bounded() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><instance>&b;</instance>";
        let deep = "<a>".repeat(100_000);
        let wide = format!("<a>{}</a>", "<b/>".repeat(2_000));
        for bad in
            [bomb, &deep, &wide, "", "<a>", "<a></b>", "<a>&b;</a>", "<a b=c/>", "<a/><a/>", "<?xml", "x", "<a>&"]
        {
            assert!(Node::from_xml(bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(40)]);
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
        for bad in ["", "[]", "{}", "1", &deep] {
            assert!(Node::from_json(bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(40)]);
        }
    }
}
