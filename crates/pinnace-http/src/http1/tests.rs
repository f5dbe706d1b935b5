//! The codec without a socket: bytes in, verdict out, however the bytes are cut.

mod cases;
mod encoding;
mod hyper_verdicts;
mod nonsense;
mod reader;
mod roundtrip;

use super::head::Limits;
use cases::{CASES, Case};
use reader::{Pieces, read};

pub(super) const LIMITS: Limits = Limits { max_bytes: 2048, max_fields: 12 };

#[test]
fn every_case_has_its_verdict() {
    let mut wrong = Vec::new();
    for Case(name, input, verdict) in CASES {
        let said = read(&Pieces::whole(input.as_bytes()), LIMITS);
        if said != *verdict {
            wrong.push(format!("{name}\n   wanted {verdict}\n   said   {said}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_case_depends_on_where_its_bytes_are_cut() {
    for Case(name, input, verdict) in CASES {
        for border in 1..input.len() {
            let said = read(&Pieces::cut(input.as_bytes(), &[border]), LIMITS);
            assert_eq!(said, *verdict, "{name}, cut at {border}");
        }
        let each: Vec<_> = (1..input.len()).collect();
        assert_eq!(read(&Pieces::cut(input.as_bytes(), &each), LIMITS), *verdict, "{name}, byte by byte");
    }
}

#[test]
fn there_are_many_cases_and_each_has_its_name() {
    let mut names: Vec<_> = CASES.iter().map(|case| case.0).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CASES.len());
    assert!(CASES.len() >= 120, "{}", CASES.len());
}
