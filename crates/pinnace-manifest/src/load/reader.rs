//! Takes values out of a table, one key at a time, and notes what is wrong with each.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use pinnace_types::HumanDuration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostic;
use crate::keys::{self, Section, Shape};
use crate::model::Endpoint;
use crate::places::Places;
use crate::source::Source;

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

    pub(super) fn add(&mut self, span: Range<usize>, message: impl Into<String>) -> Note<'_> {
        let index = self.found.len();
        self.found.push(Diagnostic::at(self.source, &span, message));
        Note(&mut self.found[index])
    }

    /// A name that is none of those that may stand there.
    pub(super) fn unknown(
        &mut self,
        span: &Range<usize>,
        name: &str,
        what: &str,
        known: impl Iterator<Item = &'static str>,
    ) {
        let known: Vec<_> = known.collect();
        let message = format!("there is no {what} `{name}`");
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", list(&known)),
        };
        self.add(span.clone(), message).hint(hint);
    }
}

impl Note<'_> {
    pub(super) fn hint(self, hint: impl Into<String>) {
        self.0.hint = Some(hint.into());
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
            let is = value.get_ref().type_str();
            notes.add(span, format!("`{path}` is a table, this is {}", article(is))).hint(format!("write `[{path}]`"));
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
                let message = format!("`[{}]` has no `{key}`", self.path);
                let span = self.notes.places.find(&self.path);
                self.notes.add(span, message).hint(format!("add `{key} = {}`", example(self.section, key)));
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

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let (text, span) = self.text(key)?;
        self.parse(text, span)
    }

    pub(super) fn all_parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Vec<T> {
        let texts = self.texts(key);
        self.parse_all(key, texts)
    }

    pub(super) fn parse_all<T: FromStr<Err: Display>>(
        &mut self,
        key: &str,
        texts: Vec<(&'table str, Range<usize>)>,
    ) -> Vec<T> {
        let mut values = Vec::with_capacity(texts.len());
        for (index, (text, span)) in texts.into_iter().enumerate() {
            self.notes.places.put(format!("{}.{key}.{index}", self.path), span.clone());
            values.extend(self.parse(text, span));
        }
        values
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, text: &str, span: Range<usize>) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let error: T::Err = error;
                self.notes.add(span, error.to_string());
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
        self.notes.unknown(&span, text, &format!("`{key}`"), words.iter().copied());
        None
    }

    pub(super) fn endpoint(&mut self, key: &'static str, schemes: &[&str]) -> Option<Endpoint> {
        let (text, span) = self.text(key)?;
        self.as_endpoint(text, span, schemes)
    }

    pub(super) fn endpoints(&mut self, key: &'static str, schemes: &[&str]) -> Vec<Endpoint> {
        let texts = self.texts(key);
        texts.into_iter().filter_map(|(text, span)| self.as_endpoint(text, span, schemes)).collect()
    }

    /// Notes every key that was not asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table.iter().filter(|(key, _)| !self.taken.contains(key.get_ref().as_ref())) {
            let what = format!("key in `[{}]` that is called", self.path);
            self.notes.unknown(&key.span(), key.get_ref(), &what, keys::names(self.section));
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) const fn span(&self) -> &Range<usize> {
        &self.span
    }

    fn as_endpoint(&mut self, text: &str, span: Range<usize>, schemes: &[&str]) -> Option<Endpoint> {
        let endpoint: Endpoint = self.parse(text, span.clone())?;
        if schemes.contains(&endpoint.scheme()) {
            return Some(endpoint);
        }
        let message = format!("`{}://` is no scheme that can stand here", endpoint.scheme());
        let schemes: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        let schemes: Vec<&str> = schemes.iter().map(String::as_str).collect();
        self.notes.add(span, message).hint(format!("there are {}", list(&schemes)));
        None
    }

    fn as_text(&mut self, value: &'table Spanned<DeValue<'table>>, key: &str) -> Option<(&'table str, Range<usize>)> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(value, key, "a text in quotes");
        }
        text.map(|text| (text, value.span()))
    }

    fn wrong(&mut self, value: &Spanned<DeValue<'_>>, key: &str, wanted: &str) {
        let is = article(value.get_ref().type_str());
        let hint = format!("write `{key} = {}`", example(self.section, key));
        self.notes.add(value.span(), format!("`{key}` is {wanted}, this is {is}")).hint(hint);
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

fn shape(section: Section, name: &str) -> Option<Shape> {
    keys::table().iter().find(|key| key.section == section && key.name == name).map(|key| key.shape)
}

fn is_required(section: Section, name: &str) -> bool {
    keys::table().iter().any(|key| key.section == section && key.name == name && key.required)
}

fn example(section: Section, name: &str) -> String {
    match shape(section, name) {
        Some(Shape::Texts | Shape::TextOrTexts) => "[\"…\"]".to_owned(),
        Some(Shape::Number(_)) => "2".to_owned(),
        Some(Shape::Flag) => "false".to_owned(),
        Some(Shape::TextTable | Shape::Table(_)) => "{ … }".to_owned(),
        Some(Shape::Tables(_)) => "[{ … }]".to_owned(),
        Some(Shape::Word(words)) => format!("\"{}\"", words.first().copied().unwrap_or_default()),
        Some(Shape::Duration) => "\"10s\"".to_owned(),
        Some(Shape::Text) | None => "\"…\"".to_owned(),
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
