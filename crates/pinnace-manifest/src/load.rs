//! From text to a model. Every mistake is collected; there is a model only where there is none.
//!
//! `text` reads the file and `syntax` words TOML's own complaints; `reader` takes values out of tables and knows which keys were not asked for; `service` reads `[service.NAME]`;
//! `cross` checks what one table says of another.

mod cross;
mod reader;
mod service;
mod syntax;
mod text;
mod value;

use std::path::{Path, PathBuf};

use pinnace_types::{ContextName, ServiceName, SystemName};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::Section;
use crate::model::{Context, Discovery, Endpoint, Engine, Engines, EventWire, Manifest, System};
use crate::source::Source;
use reader::{Notes, Reader};
use text::Unreadable;
use value::Value;

/// The top-level tables.
const TABLES: [&str; 4] = ["system", "engines", "context", "service"];

impl Manifest {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let source = |text| Source { path: path.to_owned(), text };
        let text = match text::read(path) {
            Ok(text) => text,
            Err(Unreadable::Io(error)) => {
                let diagnostic = Diagnostic::of_file(&source(String::new()), error.to_string());
                let hint = "name the file with --file, or write a `pinnace.toml`";
                return Err(Diagnostics(vec![diagnostic.with_hint(hint)]));
            }
            Err(Unreadable::TooLong) => {
                let message = format!("the file is longer than {}", text::LONGEST);
                let hint = "is it a manifest? one that long describes no system that one machine runs";
                return Err(Diagnostics(vec![Diagnostic::of_file(&source(String::new()), message).with_hint(hint)]));
            }
            Err(Unreadable::NotUtf8 { text, at }) => {
                let message = "this is no UTF-8, in which TOML is written";
                let diagnostic = Diagnostic::at(&source(text), &(at..at + 1), message);
                return Err(Diagnostics(vec![diagnostic.with_hint("save the file as UTF-8")]));
            }
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let root = fs_err::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        Self::read(source(text), root)
    }

    /// The file in this folder or the nearest one above it.
    pub fn find(start: &Path) -> Option<PathBuf> {
        start.ancestors().map(|folder| folder.join(crate::FILE_NAME)).find(|path| path.is_file())
    }

    fn read(source: Source, root: PathBuf) -> Result<Self, Diagnostics> {
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        if !errors.is_empty() {
            return Err(syntax::mistakes(&source, &errors));
        }
        let mut notes = Notes::new(&source);
        let parts = read_tables(document.get_ref(), &root, &mut notes);
        let Notes { mut found, places, .. } = notes;
        let Some((system, engines, contexts, services)) = parts else { return Err(Diagnostics::sorted(found)) };
        let path = source.path.clone();
        let mut manifest = Self { root, path, system, engines, contexts, services, source, places };
        found.extend(manifest.cross_check());
        if found.is_empty() { Ok(manifest) } else { Err(Diagnostics::sorted(found)) }
    }
}

type Parts = (System, Engines, Vec<Context>, Vec<crate::model::Service>);

/// Reads as much as can be read; nothing where what is left would only bring mistakes that follow from others.
fn read_tables(document: &DeTable<'_>, root: &Path, notes: &mut Notes<'_>) -> Option<Parts> {
    for (key, _) in document.iter().filter(|(key, _)| !TABLES.contains(&key.get_ref().as_ref())) {
        let message = format!("there is no table `{}`", key.get_ref());
        notes.unknown(&key.span(), key.get_ref(), message, TABLES.into_iter());
    }
    let system = document.get("system").and_then(|value| {
        let mut reader = Reader::of(notes, value, "system", Section::System)?;
        let name = reader.parsed::<SystemName>("name");
        reader.finish();
        name.map(|name| System { name })
    });
    if document.get("system").is_none() {
        notes
            .add_of_file("there is no `[system]` table")
            .hint("begin the file with `[system]` and a line below it `name = \"shop\"`");
    }
    let engines = match document.get("engines") {
        Some(value) => read_engines(notes, value),
        None => Some(Engines::default()),
    };
    let contexts = named(document, "context", notes, read_context);
    let services = named(document, "service", notes, |notes, name, value| service::read(notes, name, value, root));
    notes.found.is_empty().then_some((system?, engines?, contexts, services))
}

/// Reads `[kind.NAME]` tables in the order of the file.
fn named<N, T>(
    document: &DeTable<'_>,
    kind: &'static str,
    notes: &mut Notes<'_>,
    read: impl Fn(&mut Notes<'_>, N, &Spanned<DeValue<'_>>) -> Option<T>,
) -> Vec<T>
where
    N: Value,
{
    let Some(value) = document.get(kind) else { return Vec::new() };
    let hint = format!("write `[{kind}.NAME]`, a table for each");
    let Some(tables) = value.get_ref().as_table() else {
        notes.add(value.span(), format!("`{kind}` has named tables in it, this is {}", kind_of(value))).hint(hint);
        return Vec::new();
    };
    let mut ordered: Vec<_> = tables.iter().collect();
    ordered.sort_by_key(|(key, _)| key.span().start);
    let is_table = |(_, value): &(_, &Spanned<DeValue<'_>>)| value.get_ref().is_table();
    if let Some((key, _)) = ordered.iter().find(|entry| !is_table(entry)) {
        notes.add(key.span(), format!("`{}` stands in a {kind} that has no name", key.get_ref())).hint(hint);
        ordered.retain(is_table);
    }
    let mut values = Vec::new();
    for (key, value) in ordered {
        notes.places.put(format!("{kind}.{}", key.get_ref()), key.span());
        match key.get_ref().parse::<N>() {
            Ok(name) => values.extend(read(notes, name, value)),
            Err(error) => {
                let error: N::Err = error;
                notes.add(key.span(), error.to_string()).hint(N::way_out(key.get_ref()));
            }
        }
    }
    values
}

fn kind_of(value: &Spanned<DeValue<'_>>) -> String {
    reader::kind(value.get_ref())
}

fn read_context(notes: &mut Notes<'_>, name: ContextName, value: &Spanned<DeValue<'_>>) -> Option<Context> {
    let mut reader = Reader::of(notes, value, &format!("context.{name}"), Section::Context)?;
    let services = reader.all_parsed::<ServiceName>("services");
    reader.finish();
    Some(Context { name, services })
}

fn read_engines(notes: &mut Notes<'_>, value: &Spanned<DeValue<'_>>) -> Option<Engines> {
    let mut reader = Reader::of(notes, value, "engines", Section::Engines)?;
    let engines = Engines {
        amqp: engine(&mut reader, "amqp", &["amqp", "amqps"]),
        kafka: reader.endpoint("kafka", &["kafka"]),
        events: reader.word("events").map(|word| if word == "kafka" { EventWire::Kafka } else { EventWire::Amqp }),
        discovery: discovery(&mut reader),
        telemetry: engine(&mut reader, "telemetry", &["otlp", "http", "https"]),
        export: reader.endpoints("export", &["otlp", "http", "https"]),
        identity: engine(&mut reader, "identity", &["http", "https"]),
    };
    reader.finish();
    Some(engines)
}

fn engine(reader: &mut Reader<'_, '_, '_>, key: &'static str, schemes: &[&str]) -> Option<Engine> {
    if reader.peek(key) == Some("embedded") {
        reader.take(key);
        return Some(Engine::Embedded);
    }
    reader.endpoint_or(key, schemes, &["embedded"]).map(Engine::External)
}

/// Why an address leads to no registry that its clients could use, and the way out.
fn no_registry(endpoint: &Endpoint, consul: bool) -> Option<(&'static str, &'static str)> {
    if endpoint.authority().contains(',') {
        return Some(("services are given the address of one registry", "name one of them"));
    }
    let rest = endpoint.expose().split_once("://").map_or("", |(_, rest)| rest);
    if consul && rest.contains('@') {
        return Some(("Consul knows no user", "take it out, and give a token in CONSUL_HTTP_TOKEN"));
    }
    if consul && rest.trim_end_matches('/').contains(['/', '?', '#']) {
        return Some(("Consul's API has no path before it", "write `consul://HOST:PORT`"));
    }
    None
}

fn discovery(reader: &mut Reader<'_, '_, '_>) -> Option<Discovery> {
    match reader.peek("discovery") {
        Some("embedded") => {
            reader.take("discovery");
            Some(Discovery::Embedded)
        }
        Some("kubernetes") => {
            reader.take("discovery");
            Some(Discovery::Kubernetes)
        }
        _ => {
            let endpoint = reader.endpoint_or("discovery", &["consul", "eureka"], &["embedded", "kubernetes"])?;
            let consul = endpoint.scheme() == "consul";
            if let Some((message, hint)) = no_registry(&endpoint, consul) {
                let span = reader.notes.places.find("engines.discovery");
                reader.notes.add(span, message).hint(hint);
            }
            Some(if consul { Discovery::Consul(endpoint) } else { Discovery::Eureka(endpoint) })
        }
    }
}
