//! Takes values out of a table, one key at a time, and notes what is wrong with each.

use std::collections::BTreeSet;
use std::ops::Range;

use pinnace_types::{ByteSize, HumanDuration};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostic;
use crate::keys::{self, Section, Shape};
use crate::mask;
use crate::model::Endpoint;
use crate::places::Places;
use crate::source::Source;

use super::value::Value;

/// What was found so far.
pub(super) struct Notes<'source> {
    source: &'source Source,
    pub(super) found: Vec<Diagnostic>,
    pub(super) places: Places,
}

/// A note that may still get its hint.
pub(super) struct Note<'notes>(&'notes mut Diagnostic);

/// One table being read.
pub(super) struct Reader<'notes, 'source, 'table> {
    pub(super) notes: &'notes mut Notes<'source>,
    table: &'table DeTable<'table>,
    span: Range<usize>,
    path: String,
    section: Section,
    taken: BTreeSet<&'static str>,
}

impl<'source> Notes<'source> {
    pub(super) fn new(source: &'source Source) -> Self {
        Self { source, found: Vec::new(), places: Places::default() }
    }

    pub(super) fn add(&mut self, span: Range<usize>, message: impl AsRef<str>) -> Note<'_> {
        let index = self.found.len();
        self.found.push(Diagnostic::at(self.source, &span, message));
        Note(&mut self.found[index])
    }

    /// What is no matter of a line.
    pub(super) fn add_of_file(&mut self, message: &str) -> Note<'_> {
        let index = self.found.len();
        self.found.push(Diagnostic::of_file(self.source, message));
        Note(&mut self.found[index])
    }

    /// A name that is none of those that may stand there.
    pub(super) fn unknown(
        &mut self,
        span: &Range<usize>,
        name: &str,
        message: impl AsRef<str>,
        known: impl Iterator<Item = &'static str>,
    ) {
        let known: Vec<_> = known.collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => one_of(&known),
        };
        self.add(span.clone(), message).hint(hint);
    }
}

impl Note<'_> {
    pub(super) fn hint(self, hint: impl AsRef<str>) {
        let Self(diagnostic) = self;
        diagnostic.hint = Some(mask::sentence(hint.as_ref()));
    }
}

impl<'notes, 'source, 'table> Reader<'notes, 'source, 'table> {
    /// Begins to read a table; nothing where the value is none.
    pub(super) fn of(
        notes: &'notes mut Notes<'source>,
        value: &'table Spanned<DeValue<'table>>,
        path: &str,
        section: Section,
    ) -> Option<Self> {
        let span = value.span();
        let Some(table) = value.get_ref().as_table() else {
            let name = path.rsplit('.').next().unwrap_or(path);
            let required = keys::table().iter().find(|key| key.section == section && key.required);
            let inside = required
                .map_or_else(|| "…".to_owned(), |key| format!("{} = {}", key.name, pattern(Some(key.shape), key.name)));
            let message = format!("`{name}` is a table, this is {}", kind(value.get_ref()));
            notes.add(span, message).hint(format!("write `{name} = {{ {inside} }}`"));
            return None;
        };
        if !notes.places.contains(path) {
            notes.places.put(path.to_owned(), span.clone());
        }
        Some(Self { notes, table, span, path: path.to_owned(), section, taken: BTreeSet::new() })
    }

    /// Takes a value as it is.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'table Spanned<DeValue<'table>>> {
        self.taken.insert(key);
        let value = self.table.get(key);
        match value {
            Some(value) => self.notes.places.put(format!("{}.{key}", self.path), value.span()),
            None if is_required(self.section, key) => {
                let message = format!("{} has no `{key}`", shown(&self.path));
                let span = self.notes.places.find(&self.path);
                self.notes.add(span, message).hint(format!("add `{key} = {}`", pattern(shape(self.section, key), key)));
            }
            None => {}
        }
        value
    }

    /// A text, without taking it.
    pub(super) fn peek(&self, key: &str) -> Option<&'table str> {
        self.table.get(key)?.get_ref().as_str()
    }

    /// Whether a key is there, without taking it.
    pub(super) fn peek_present(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<(&'table str, Range<usize>)> {
        let value = self.take(key)?;
        self.as_text(value, key)
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Vec<(&'table str, Range<usize>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(value, key, "a list of texts");
            return Vec::new();
        };
        array.iter().filter_map(|item| self.as_text(item, key)).collect()
    }

    pub(super) fn text_or_texts(&mut self, key: &'static str) -> Vec<(&'table str, Range<usize>)> {
        match self.peek(key) {
            Some(_) => self.text(key).into_iter().collect(),
            None => self.texts(key),
        }
    }

    pub(super) fn parsed<T: Value>(&mut self, key: &'static str) -> Option<T> {
        let (text, span) = self.text(key)?;
        self.parse(text, span)
    }

    pub(super) fn all_parsed<T: Value>(&mut self, key: &'static str) -> Vec<T> {
        let texts = self.texts(key);
        self.parse_all(key, texts)
    }

    pub(super) fn parse_all<T: Value>(&mut self, key: &str, texts: Vec<(&'table str, Range<usize>)>) -> Vec<T> {
        let mut values = Vec::with_capacity(texts.len());
        for (index, (text, span)) in texts.into_iter().enumerate() {
            self.notes.places.put(format!("{}.{key}.{index}", self.path), span.clone());
            values.extend(self.parse(text, span));
        }
        values
    }

    pub(super) fn parse<T: Value>(&mut self, text: &str, span: Range<usize>) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let error: T::Err = error;
                self.notes.add(span, error.to_string()).hint(T::way_out(text));
                None
            }
        }
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong(value, key, "`true` or `false`");
        }
        flag
    }

    pub(super) fn number(&mut self, key: &'static str) -> Option<u32> {
        let value = self.take(key)?;
        let most = match shape(self.section, key) {
            Some(Shape::Number(most)) => most,
            _ => u32::MAX,
        };
        let number =
            value.get_ref().as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        match number {
            Some(number) if (1..=most).contains(&number) => Some(number),
            _ => {
                self.wrong(value, key, &format!("a whole number from 1 to {most}"));
                None
            }
        }
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<HumanDuration> {
        self.parsed(key)
    }

    pub(super) fn word(&mut self, key: &'static str) -> Option<&'table str> {
        let (text, span) = self.text(key)?;
        let Some(Shape::Word(words)) = shape(self.section, key) else { return Some(text) };
        if words.contains(&text) {
            return Some(text);
        }
        self.notes.unknown(&span, text, format!("`{text}` is no value of `{key}`"), words.iter().copied());
        None
    }

    pub(super) fn endpoint(&mut self, key: &'static str, schemes: &[&str]) -> Option<Endpoint> {
        self.endpoint_or(key, schemes, &[])
    }

    /// An address, where one of these words could stand too; they were looked for already.
    pub(super) fn endpoint_or(&mut self, key: &'static str, schemes: &[&str], words: &[&str]) -> Option<Endpoint> {
        let (text, span) = self.text(key)?;
        if let Some(near) = nearest(text, words.iter().copied()) {
            let message = format!("`{text}` is no value of `{key}`");
            self.notes.add(span, message).hint(format!("did you mean `{near}`?"));
            return None;
        }
        self.as_endpoint(text, span, schemes, words)
    }

    pub(super) fn endpoints(&mut self, key: &'static str, schemes: &[&str]) -> Vec<Endpoint> {
        let texts = self.texts(key);
        texts.into_iter().filter_map(|(text, span)| self.as_endpoint(text, span, schemes, &[])).collect()
    }

    /// Every key of the section that is there, as texts, by the shape that the table of keys gives each.
    pub(super) fn texts_of_all(&mut self) -> Vec<(&'static str, Vec<String>)> {
        let mut found = Vec::new();
        let section = self.section;
        for key in keys::table().iter().filter(|key| key.section == section) {
            if !self.peek_present(key.name) {
                continue;
            }
            let texts: Vec<String> = match key.shape {
                Shape::Number(_) => self.number(key.name).map(|number| number.to_string()).into_iter().collect(),
                Shape::Flag => self.flag(key.name).map(|flag| flag.to_string()).into_iter().collect(),
                Shape::Duration => self.duration(key.name).map(|duration| duration.to_string()).into_iter().collect(),
                Shape::Size => self.parsed::<ByteSize>(key.name).map(|size| size.to_string()).into_iter().collect(),
                Shape::Word(_) => self.word(key.name).map(str::to_owned).into_iter().collect(),
                Shape::Texts | Shape::TextOrTexts => {
                    self.text_or_texts(key.name).into_iter().map(|(text, _)| text.to_owned()).collect()
                }
                Shape::Text | Shape::TextTable | Shape::Table(_) | Shape::Tables(_) => {
                    self.text(key.name).map(|(text, _)| text.to_owned()).into_iter().collect()
                }
            };
            found.push((key.name, texts));
        }
        found
    }

    /// Notes every key that was not asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table.iter().filter(|(key, _)| !self.taken.contains(key.get_ref().as_ref())) {
            let name = key.get_ref().as_ref();
            let message = format!("there is no key in {} that is called `{name}`", shown(&self.path));
            let known = || keys::names(self.section);
            match keys::table().iter().find(|key| key.name == name) {
                Some(elsewhere) if nearest(name, known()).is_none() => {
                    let title = elsewhere.section.title();
                    let title = if title.starts_with('[') { format!("`{title}`") } else { title.to_owned() };
                    self.notes.add(key.span(), message).hint(format!("it belongs to {title}"));
                }
                _ => self.notes.unknown(&key.span(), name, message, known()),
            }
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) const fn span(&self) -> &Range<usize> {
        &self.span
    }

    fn as_endpoint(&mut self, text: &str, span: Range<usize>, schemes: &[&str], words: &[&str]) -> Option<Endpoint> {
        match text.parse::<Endpoint>() {
            Ok(endpoint) if schemes.contains(&endpoint.scheme()) => return Some(endpoint),
            Ok(endpoint) => {
                let message = format!("`{}://` is no scheme that can stand here", endpoint.scheme());
                let schemes = schemes.iter().map(|scheme| format!("{scheme}://"));
                let known: Vec<String> = words.iter().map(|word| (*word).to_owned()).chain(schemes).collect();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                self.notes.add(span, message).hint(one_of(&known));
            }
            Err(error) => {
                let scheme = schemes.first().copied().unwrap_or("scheme");
                let hint = if text.contains('@') {
                    "in a password, `/` is written `%2F`, `#` `%23` and `?` `%3F`".to_owned()
                } else {
                    format!("write `{scheme}://host:port`")
                };
                self.notes.add(span, error.to_string()).hint(hint);
            }
        }
        None
    }

    fn as_text(&mut self, value: &'table Spanned<DeValue<'table>>, key: &str) -> Option<(&'table str, Range<usize>)> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            let wanted = match shape(self.section, key) {
                Some(Shape::Texts | Shape::TextOrTexts) => "a list of texts in quotes",
                Some(Shape::Duration) => "a duration in quotes",
                Some(Shape::Size) => "a size in quotes",
                _ => "a text in quotes",
            };
            self.wrong(value, key, wanted);
        }
        text.map(|text| (text, value.span()))
    }

    fn wrong(&mut self, value: &Spanned<DeValue<'_>>, key: &str, wanted: &str) {
        let hint = match (self.section, key, value.get_ref()) {
            (Section::Service, "port", DeValue::Integer(_)) => {
                "take it out: Pinnace chooses the port, and the service finds it in `PORT`".to_owned()
            }
            _ => format!("write `{key} = {}`", example(self.section, key, value.get_ref())),
        };
        let message = format!("`{key}` is {wanted}, this is {}", kind(value.get_ref()));
        self.notes.add(value.span(), message).hint(hint);
    }
}

/// The known name that a wrong one was most likely meant to be.
pub(super) fn nearest<'known>(name: &str, known: impl Iterator<Item = &'known str>) -> Option<&'known str> {
    let scored = known.map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate));
    scored.min().filter(|(distance, _)| *distance <= 1 + name.len() / 4).map(|(_, candidate)| candidate)
}

/// Names in backticks, with commas.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A table as TOML writes it; of a list of tables the number is left out, which nobody has counted.
fn shown(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((list, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("`[[{list}]]`"),
        _ => format!("`[{path}]`"),
    }
}

/// What may stand there, where there is not one that is near.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [only] => format!("there is only `{only}`"),
        names => format!("there are {}", list(names)),
    }
}

fn shape(section: Section, name: &str) -> Option<Shape> {
    keys::table().iter().find(|key| key.section == section && key.name == name).map(|key| key.shape)
}

fn is_required(section: Section, name: &str) -> bool {
    keys::table().iter().any(|key| key.section == section && key.name == name && key.required)
}

/// How a value is written, with what was given where that fits.
fn example(section: Section, name: &str, given: &DeValue<'_>) -> String {
    match (shape(section, name), given) {
        (Some(Shape::Texts), DeValue::String(text)) => format!("[\"{text}\"]"),
        (Some(Shape::Duration), DeValue::Integer(number)) => format!("\"{}s\"", number.as_str()),
        (Some(Shape::Number(most)), DeValue::Integer(number)) => {
            let is_less = number.as_str().starts_with('-') || number.as_str() == "0";
            if is_less { "1".to_owned() } else { most.to_string() }
        }
        (shape, _) => pattern(shape, name),
    }
}

fn pattern(shape: Option<Shape>, name: &str) -> String {
    match shape {
        Some(Shape::Texts | Shape::TextOrTexts) if matches!(name, "services" | "calls") => "[\"orders\"]".to_owned(),
        Some(Shape::Texts | Shape::TextOrTexts) => "[\"…\"]".to_owned(),
        Some(Shape::Number(_)) => "2".to_owned(),
        Some(Shape::Flag) => "false".to_owned(),
        Some(Shape::TextTable | Shape::Table(_)) => "{ … }".to_owned(),
        Some(Shape::Tables(_)) => "[{ … }]".to_owned(),
        Some(Shape::Word(words)) => format!("\"{}\"", words.first().copied().unwrap_or_default()),
        Some(Shape::Duration) => "\"10s\"".to_owned(),
        Some(Shape::Size) => "\"64MiB\"".to_owned(),
        Some(Shape::Text) if name == "python" => "\">=3.11\"".to_owned(),
        Some(Shape::Text) if name == "name" => "\"shop\"".to_owned(),
        Some(Shape::Text) if name == "path" => "\"/orders/**\"".to_owned(),
        Some(Shape::Text) | None => "\"…\"".to_owned(),
    }
}

/// What a value is, in the words of someone who writes the file; a number as it is written.
pub(super) fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        DeValue::Datetime(_) => "a date or a time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
