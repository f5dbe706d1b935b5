//! One shopper's browser: cookies, the token of the forms, and what was put in the basket.

use std::collections::BTreeMap;

use http::{Method, header};

use super::form;
use crate::caller::{Answer, Call};
use crate::tally::Failure;

/// Products of a basket after which a shopper does not come again.
const MOST_PRODUCTS: usize = 8;

/// A shopper between two requests. It is worth nothing after a failure: nobody knows whether the answer that got lost
/// would have changed it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    cookies: BTreeMap<String, String>,
    token: String,
    /// Which shopper it is, for the address of the order.
    pub(super) number: u64,
    /// How many of which product should be in the basket.
    pub(super) basket: BTreeMap<u64, u64>,
}

impl Session {
    /// A shopper who sees the first page with a form.
    pub(super) fn begin(answer: &Answer, number: u64) -> Result<Self, Box<Failure>> {
        let token = form::field(answer.text()?, "csrf_token");
        let token = token.ok_or_else(|| answer.wrong("a page without a form"))?.to_owned();
        let mut session = Self { cookies: BTreeMap::new(), token, number, basket: BTreeMap::new() };
        session.keep_cookies(answer);
        if session.cookies.is_empty() { Err(answer.wrong("a form without a cookie")) } else { Ok(session) }
    }

    pub(super) fn get(&self, path: &str) -> Call {
        Call::get(path).with_header(header::COOKIE, &self.cookie())
    }

    /// A form with the token that shows where it came from.
    pub(super) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Call {
        let mut all = vec![("csrf_token", self.token.as_str())];
        all.extend_from_slice(fields);
        let mut call = self.get(path).with_body(form::encode(&all));
        call.method = Method::POST;
        call.with_header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    pub(super) fn keep_cookies(&mut self, answer: &Answer) {
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let pair = line.to_str().ok().and_then(|line| line.split(';').next()?.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.insert(name.trim().to_owned(), value.to_owned());
            }
        }
    }

    pub(super) fn is_old(&self) -> bool {
        self.basket.len() >= MOST_PRODUCTS
    }

    fn cookie(&self) -> String {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}
