//! The `OpenAPI` 3.1 document, made from the table of routes: what is not served cannot be documented, and the other way round.

use pinnace_types::{ErrorCode, Problem, VERSION};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{Access, Route, of, routes};

/// The description of the hub's API.
pub fn openapi() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let problem = of::<Problem>(&mut generator);
    let mut paths = Map::new();
    for route in routes() {
        let path = paths.entry(route.path).or_insert_with(|| Value::Object(Map::new()));
        path[route.method.as_str().to_lowercase()] = operation(&route, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pinnace hub",
            "version": VERSION,
            "description": "What runs, what it writes, and how to change it. Errors are RFC 9457 problems.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "http://127.0.0.1:7070" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The hub's token, which `pinnace up` keeps in .pinnace/run; needed on loopback too.",
            } },
            "responses": { "problem": {
                "description": "What went wrong and how to mend it",
                "content": { Problem::MEDIA_TYPE: { "schema": problem } },
            } },
            "schemas": generator.take_definitions(true),
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let schema: Schema = (route.answer.schema)(generator);
    let mut responses = Map::from_iter([(
        "200".to_owned(),
        json!({ "description": "Done", "content": { route.answer.media_type: { "schema": schema } } }),
    )]);
    let always: &[ErrorCode] = match route.access {
        Access::Token => &[ErrorCode::Unauthenticated, ErrorCode::Forbidden],
        Access::Open => &[ErrorCode::Forbidden],
    };
    for code in always.iter().chain(route.problems) {
        responses.insert(code.http_status().to_string(), json!({ "$ref": "#/components/responses/problem" }));
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "responses": responses,
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = route.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body(generator) } } });
    }
    if route.access == Access::Open {
        operation["security"] = json!([]);
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        json!({ "name": name, "in": "path", "required": true, "description": "The service", "schema": { "type": "string" } })
    });
    let in_query = route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "description": parameter.meaning,
            "schema": { "type": parameter.kind },
        })
    });
    in_path.chain(in_query).collect()
}
