//! Whatever is sent to the faces gets an answer: no panic, no growth, nothing registered by accident.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use http::{Request, StatusCode};
use jiff::Timestamp;
use pinnace_registry::{Caller, Registry, RegistryConfig, Store, StoreConfig};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::{collection, proptest};

const LIMIT: usize = 1_000;
const MIB: usize = 1 << 20;

struct Faces {
    registry: Registry,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Faces {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig { max_instances: LIMIT };
        let store = Store::open(folder.path(), config, Timestamp::now).unwrap().store;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { registry: Registry::new(store, RegistryConfig::default()), runtime, _folder: folder }
    }

    fn send(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> Option<StatusCode> {
        let request = Request::builder().method(method).uri(path).header("content-type", media_type).body(());
        // What is no request never gets as far as the faces.
        let (head, ()) = request.ok()?.into_parts();
        let body = Bytes::copy_from_slice(body);
        let answer = self.runtime.block_on(async {
            // Whoever waits here would wait for the whole test.
            self.registry.release();
            if path.starts_with("/v1") {
                self.registry.consul().answer(&Caller::Operator, &head, body).await
            } else {
                self.registry.eureka().answer(&Caller::Operator, &head, body).await
            }
        });
        Some(answer.status())
    }
}

/// JSON in which things are nearly right.
fn document() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("\"web\"".to_owned()),
        Just("\"10s\"".to_owned()),
        Just("\"http://127.0.0.1:1/\"".to_owned()),
        Just("\"127.0.0.1:1\"".to_owned()),
        Just("\"UP\"".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        "[\\PC]{0,40}".prop_map(|text| format!("{text:?}")),
        "\\PC{0,12}",
    ];
    let name = prop_oneof![
        Just("Name"),
        Just("ID"),
        Just("Check"),
        Just("Checks"),
        Just("TTL"),
        Just("HTTP"),
        Just("Interval"),
        Just("Tags"),
        Just("Meta"),
        Just("Port"),
        Just("Node"),
        Just("Address"),
        Just("Service"),
        Just("Weights"),
        Just("instance"),
        Just("app"),
        Just("hostName"),
        Just("dataCenterInfo"),
        Just("port"),
        Just("$"),
        Just("@enabled"),
        Just("name"),
        Just("leaseInfo"),
        Just("metadata"),
        Just("TaggedAddresses"),
        Just("ServiceID"),
        Just("Status"),
    ];
    word.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            collection::vec((name.clone(), inner.clone()), 0..8).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
            collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            (name.clone(), inner).prop_map(|(name, value)| format!("<{name} class='{name}'>{value}</{name}>")),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        Just("/v1/agent/service/register"),
        Just("/v1/agent/check/register"),
        Just("/v1/catalog/register"),
        Just("/v1/catalog/deregister"),
        Just("/v1/agent/check/update/service:web"),
        Just("/v1/agent/check/pass/service:web"),
        Just("/v1/agent/service/maintenance/web"),
        Just("/v1/health/service/web"),
        Just("/v1/catalog/services"),
        Just("/v1/agent/service/web"),
        Just("/v1/health/state/any"),
        Just("/eureka/apps"),
        Just("/eureka/apps/delta"),
        Just("/eureka/apps/WEB"),
        Just("/eureka/apps/WEB/web"),
        Just("/eureka/apps/WEB/web/status"),
        Just("/eureka/apps/WEB/web/metadata"),
        Just("/eureka/vips/web"),
        Just("/v1/"),
        Just("/eureka/"),
    ];
    let query = "(\\?((index|wait|filter|tag|passing|enable|value|hash|dc|note)=[a-z0-9%+.\"()=!-]{0,24}&?){0,4})?";
    (known, query).prop_map(|(known, query)| format!("{known}{query}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_sent_takes_the_faces_down(
        requests in collection::vec((prop_oneof![Just("GET"), Just("PUT"), Just("POST"), Just("DELETE"), Just("X")], path(),
            prop_oneof![Just("application/json"), Just("application/xml")], document()), 1..12),
    ) {
        thread_local! {
            static FACES: Faces = Faces::new();
        }
        FACES.with(|faces| {
            for (method, path, media_type, body) in &requests {
                faces.send(method, path, media_type, body.as_bytes());
            }
            let status = faces.send("GET", "/v1/catalog/services", "", b"");
            assert_eq!(status, Some(StatusCode::OK));
            let node = br#"{"Node":"pinnace","Address":"127.0.0.1"}"#;
            let status = faces.send("PUT", "/v1/catalog/register", "application/json", node);
            assert_eq!(status, Some(StatusCode::OK), "whoever writes goes on too");
        });
    }
}

#[test]
fn no_more_is_registered_than_there_is_room_for() {
    let faces = Faces::new();
    for number in 0..LIMIT * 2 {
        let body = format!(r#"{{"Name":"web","ID":"web-{number}"}}"#);
        let status = faces.send("PUT", "/v1/agent/service/register", "application/json", body.as_bytes());
        let expected = if number < LIMIT { StatusCode::OK } else { StatusCode::INSUFFICIENT_STORAGE };
        assert_eq!(status, Some(expected), "{number}");
    }
}

#[test]
fn no_more_bytes_are_registered_than_there_is_room_for() {
    let faces = Faces::new();
    // Each is within the bounds of one registration.
    let meta: Vec<_> = (0..64).map(|number| format!("\"k{number}\":\"{}\"", "x".repeat(1_000))).collect();
    let put = |number: usize| {
        let check = r#"{"TTL":"10s","Status":"passing"}"#;
        let body =
            format!(r#"{{"Name":"web","ID":"web-{number}","Port":1,"Check":{check},"Meta":{{{}}}}}"#, meta.join(","));
        faces.send("PUT", "/v1/agent/service/register", "application/json", body.as_bytes()).unwrap()
    };
    let fitted = (0..LIMIT).take_while(|number| put(*number) == StatusCode::OK).count();
    let bytes = fitted * 64 * 1_000;
    assert!(bytes > 8 * MIB && bytes < 16 * MIB, "{fitted} fitted");
    assert_eq!(put(fitted), StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(put(0), StatusCode::OK, "who is there already may say so again");
    let fail = format!("/v1/agent/check/fail/service:web-0?note={}", "y".repeat(4_000));
    for number in 1..=20 {
        assert_eq!(faces.send("PUT", &fail.replace("web-0", &format!("web-{number}")), "", b""), Some(StatusCode::OK));
    }
    let (head, ()) = Request::get("/v1/health/state/critical").body(()).unwrap().into_parts();
    let answer = faces.runtime.block_on(faces.registry.consul().answer(&Caller::Operator, &head, Bytes::new()));
    let critical: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(critical.as_array().unwrap().len(), 20, "how checks stand is told without room for their output");
    for number in 0..fitted {
        let path = format!("/v1/agent/service/deregister/web-{number}");
        assert_eq!(faces.send("PUT", &path, "", b""), Some(StatusCode::OK));
    }
    assert_eq!((0..LIMIT).take_while(|number| put(*number) == StatusCode::OK).count(), fitted, "room is given back");
}
