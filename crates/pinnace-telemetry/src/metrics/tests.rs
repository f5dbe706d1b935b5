//! What a reader sees while workers count, in one process; tests/workers.rs does it with real processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pinnace_types::{GrpcCode, RequestId};

use super::{MetricsError, ServiceMetrics, WorkerMetrics};

fn service(workers: u32) -> ServiceMetrics {
    ServiceMetrics::create(workers, Timestamp::from_millisecond(1_500).unwrap()).unwrap().0
}

fn id(text: &str) -> RequestId {
    RequestId::try_new(text).unwrap()
}

#[test]
fn threads_of_several_workers_lose_no_request() {
    let service = service(3);
    std::thread::scope(|scope| {
        for worker in [0, 1, 2, 0, 1, 2] {
            let metrics = service.worker(worker).unwrap();
            scope.spawn(move || {
                for count in 0..5_000_u16 {
                    let request = metrics.begin(&crate::new_request_id());
                    request.finish("GET", 200 + count % 5, Duration::from_millis(u64::from(count % 50)));
                }
            });
        }
    });
    assert_eq!((service.answered(), service.active(), service.lost()), (30_000, 0, 0));
}

#[test]
fn a_dead_workers_requests_are_named_once_and_its_counters_stay() {
    let service = service(2);
    let (dying, living) = (service.worker(0).unwrap(), service.worker(1).unwrap());
    dying.begin(&id("answered")).finish("GET", 200, Duration::ZERO);
    let _alive = living.begin(&id("alive"));
    let _connection = dying.connection();
    // The guards of a killed process never run; dropping these comes after all that is asserted.
    let _unfinished = [dying.begin(&id("lost-1")), dying.begin(&id(&"x".repeat(64)))];
    assert_eq!(service.lost_requests(0), [id("lost-1"), id(&"x".repeat(64))]);
    service.reset(0);
    assert_eq!(service.lost_requests(0), []);
    assert_eq!((service.answered(), service.active(), service.lost()), (1, 1, 2));
    let text = service.render_prometheus("orders");
    assert!(text.contains("\npinnace_connections{service_name=\"orders\"} 0\n"), "{text}");
}

#[test]
fn requests_beyond_the_slots_are_counted_without_a_name() {
    let service = service(1);
    let metrics = service.worker(0).unwrap();
    let requests: Vec<_> = (0..super::SLOTS + 3).map(|count| metrics.begin(&id(&count.to_string()))).collect();
    assert_eq!(service.lost_requests(0).len(), 1_024);
    assert_eq!(service.active(), 1_027);
    assert!(service.render_prometheus("a").contains("pinnace_requests_unnamed_total{service_name=\"a\"} 3\n"));
    drop(requests);
    assert_eq!(service.active(), 0);
    assert_eq!(service.lost_requests(0), []);
    let _unfinished: Vec<_> = (0..super::SLOTS + 2).map(|_| metrics.begin(&id("a"))).collect();
    service.reset(0);
    assert_eq!(service.lost(), 1_026);
}

#[test]
fn a_reader_never_sees_a_torn_id() {
    let service = service(1);
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (metrics, running) = (service.worker(0).unwrap(), Arc::clone(&stop));
        scope.spawn(move || {
            let mut length = 0;
            while !running.load(Ordering::Relaxed) {
                length = length % 64 + 1;
                let digit = char::from_digit(u32::try_from(length % 10).unwrap(), 10).unwrap();
                let _request = metrics.begin(&id(&digit.to_string().repeat(length)));
            }
        });
        let mut seen = 0;
        while seen < 2_000 {
            for id in service.lost_requests(0) {
                let text = id.as_str();
                let digit = char::from_digit(u32::try_from(text.len() % 10).unwrap(), 10).unwrap();
                assert!(text.chars().all(|character| character == digit), "torn: {text}");
                seen += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_dropped_request_is_abandoned_and_not_answered() {
    let service = service(1);
    drop(service.worker(0).unwrap().begin(&id("a")));
    service.worker(0).unwrap().reject();
    service.worker(0).unwrap().shed();
    assert_eq!((service.answered(), service.active()), (0, 0));
    let text = service.render_prometheus("a");
    assert!(text.contains("pinnace_requests_abandoned_total{service_name=\"a\"} 1\n"));
    assert!(text.contains("pinnace_requests_rejected_total{service_name=\"a\"} 1\n"));
    assert!(text.contains("pinnace_requests_shed_total{service_name=\"a\"} 1\n"));
}

#[test]
fn the_text_form_has_cumulative_buckets_and_exact_sums() {
    let service = service(2);
    let finish = |worker, method, status, micros| {
        service.worker(worker).unwrap().begin(&id("a")).finish(method, status, Duration::from_micros(micros));
    };
    finish(0, "GET", 200, 5_000);
    finish(1, "GET", 200, 5_001);
    finish(1, "GET", 200, 11_000_000);
    finish(0, "BREW", 999, 0);
    let text = service.render_prometheus("a\"b");
    let labels = "service_name=\"a\\\"b\",http_request_method=\"GET\",http_response_status_code=\"200\"";
    for line in [
        format!("http_server_request_duration_seconds_bucket{{{labels},le=\"0.005\"}} 1"),
        format!("http_server_request_duration_seconds_bucket{{{labels},le=\"0.01\"}} 2"),
        format!("http_server_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 3"),
        format!("http_server_request_duration_seconds_sum{{{labels}}} 11.010001000"),
        format!("http_server_request_duration_seconds_count{{{labels}}} 3"),
        "process_start_time_seconds{service_name=\"a\\\"b\"} 1.500".to_owned(),
    ] {
        assert!(text.lines().any(|candidate| candidate == line), "{line} is not in {text}");
    }
    assert!(text.contains("http_request_method=\"_OTHER\",http_response_status_code=\"599\""));
}

#[test]
fn memory_of_another_build_and_a_worker_too_many_are_refused() {
    let (_, descriptor) = ServiceMetrics::create(1, Timestamp::UNIX_EPOCH).unwrap();
    assert!(matches!(WorkerMetrics::attach(descriptor, 1), Err(MetricsError::NoWorker { worker: 1, workers: 1 })));
    let (descriptor, _foreign) = pinnace_os::SharedMemory::create("foreign", 4_096)
        .map(|memory| (memory.descriptor().unwrap(), memory))
        .unwrap();
    assert!(matches!(WorkerMetrics::attach(descriptor, 0), Err(MetricsError::Foreign)));
}

#[test]
fn grpc_calls_are_counted_by_their_status_over_all_workers() {
    let service = service(2);
    for (worker, code) in [(0, GrpcCode::Ok), (1, GrpcCode::Ok), (1, GrpcCode::NotFound)] {
        let call = service.worker(worker).unwrap().begin(&id("a"));
        call.count_grpc(code);
        call.finish("POST", 200, Duration::ZERO);
    }
    let text = service.render_prometheus("a");
    for line in ["{service_name=\"a\",grpc_code=\"OK\"} 2\n", "{service_name=\"a\",grpc_code=\"NOT_FOUND\"} 1\n"] {
        assert!(text.contains(&format!("\ngrpc_server_handled_total{line}")), "{text}");
    }
    assert_eq!(text.matches("grpc_server_handled_total{").count(), 2, "only what happened");
    assert!(!self::service(1).render_prometheus("a").contains("grpc"), "nor where there is no gRPC");
}
