//! What shoppers do at examples/shop: browse, look at a product, fill a basket, order; half of the reading as a browser
//! reads pages, half as a program reads the catalogue's API, everything else with a cookie and forms as a browser sends.
//!
//! | operation | requests |
//! |---|---|
//! | browse | one list: the first page, a category, a search |
//! | product | one product |
//! | basket | a form that puts a product in the basket of a shopper who has been here before; the basket |
//! | order | the same form; the form of the checkout; the order |
//!
//! Every answer is looked at: a page that ends too early, or shows another product, is a failure like a status of 500.

mod basket;
mod form;
mod mix;
mod session;

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

pub(crate) use mix::{Mix, Operation};
use session::Session;

use crate::caller::{Answer, Call, Caller};
use crate::draw::Draw;
use crate::tally::{Failure, Outcome};

/// Words that shoppers search for.
const SEARCHES: [&str; 5] = ["mug", "linen", "oak", "lamp", "wool"];
/// Of a product that is bought; others may be sold out before the load is over.
const ENOUGH: u64 = 10;
/// Shoppers who wait to come again.
const MOST_SESSIONS: usize = 256;

/// The shop as the generator knows it.
#[derive(Debug)]
pub(crate) struct Shop {
    caller: Caller,
    mix: Mix,
    seed: u64,
    categories: Vec<String>,
    products: Vec<u64>,
    sessions: Mutex<Vec<Session>>,
    /// Orders whose answer never came.
    unsettled: Mutex<Vec<basket::Unsettled>>,
}

/// One operation on its way: its number, what it draws, how many requests it has made.
#[derive(Debug)]
struct Visit {
    number: u64,
    draw: Draw,
    requests: u64,
}

impl Shop {
    /// Asks the shop what it sells.
    pub(crate) async fn open(caller: Caller, mix: Mix, seed: u64) -> Result<Arc<Self>, String> {
        let categories = read(&caller, "/api/products/categories", "categories").await?;
        let categories = categories.as_array().into_iter().flatten();
        let categories = categories.filter_map(|one| one["slug"].as_str().map(str::to_owned)).collect();
        let mut products = Vec::new();
        let mut path = "/api/products?limit=100".to_owned();
        loop {
            let page = read(&caller, &path, "products").await?;
            let items = page["items"].as_array().into_iter().flatten();
            products
                .extend(items.filter(|one| one["stock"].as_u64() >= Some(ENOUGH)).filter_map(|one| one["id"].as_u64()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/products?limit=100&cursor={next}");
        }
        if products.is_empty() {
            return Err("the shop has not enough of anything in stock".to_owned());
        }
        let (sessions, unsettled) = (Mutex::default(), Mutex::default());
        Ok(Arc::new(Self { caller, mix, seed, categories, products, sessions, unsettled }))
    }

    /// The operation of this number; which one it is and what it wants depends on the seed and the number alone.
    pub(crate) async fn operation(&self, number: u64) -> Outcome {
        let mut visit = Visit { number, draw: Draw::new(self.seed, number), requests: 0 };
        let operation = self.mix.choose(self.seed, number);
        let result = match operation {
            Operation::Browse => self.browse(&mut visit).await,
            Operation::Product => self.product(&mut visit).await,
            Operation::Basket => self.basket(&mut visit).await,
            Operation::Order => self.order(&mut visit).await,
        };
        Outcome { operation: operation.name(), requests: visit.requests, result }
    }

    async fn browse(&self, visit: &mut Visit) -> Result<Option<Value>, Box<Failure>> {
        let what = match visit.draw.below(3) {
            0 => String::new(),
            1 => visit.draw.choose(&self.categories).map_or_else(String::new, |slug| format!("category={slug}")),
            _ => visit.draw.choose(&SEARCHES).map_or_else(String::new, |word| format!("search={word}")),
        };
        if visit.draw.below(2) == 0 {
            let answer = self.get(visit, format!("/api/products?limit=24&{what}")).await?;
            return match answer.json()?["items"].as_array() {
                Some(items) if !items.is_empty() => Ok(None),
                _ => Err(answer.wrong("a list without products")),
            };
        }
        let path = if what.is_empty() { "/".to_owned() } else { format!("/products?{what}") };
        let answer = self.get(visit, path).await?;
        whole_page(&answer, "/products/").map(|()| None)
    }

    async fn product(&self, visit: &mut Visit) -> Result<Option<Value>, Box<Failure>> {
        let product = self.draw_product(visit);
        if visit.draw.below(2) == 0 {
            let answer = self.get(visit, format!("/api/products/{product}")).await?;
            return match answer.json()?["id"].as_u64() {
                Some(id) if id == product => Ok(None),
                other => Err(answer.wrong(format!("product {other:?} instead of {product}"))),
            };
        }
        let answer = self.get(visit, format!("/products/{product}")).await?;
        whole_page(&answer, &format!("value=\"{product}\"")).map(|()| None)
    }

    fn draw_product(&self, visit: &mut Visit) -> u64 {
        visit.draw.choose(&self.products).copied().unwrap_or_default()
    }

    async fn get(&self, visit: &mut Visit, path: String) -> Result<Answer, Box<Failure>> {
        self.send(visit, Call::get(path)).await?.success()
    }

    async fn send(&self, visit: &mut Visit, call: Call) -> Result<Answer, Box<Failure>> {
        visit.requests += 1;
        self.caller.send(call, &format!("{}.{}", visit.number, visit.requests)).await
    }

    /// A shopper who has been here before, or one who comes in now, by the page of a product.
    async fn shopper(&self, visit: &mut Visit, product: u64) -> Result<Session, Box<Failure>> {
        let known = self.sessions.lock().pop();
        if let Some(session) = known {
            return Ok(session);
        }
        let answer = self.get(visit, format!("/products/{product}")).await?;
        Session::begin(&answer, visit.number)
    }

    fn comes_again(&self, session: Session) {
        let mut sessions = self.sessions.lock();
        if sessions.len() < MOST_SESSIONS && !session.is_old() {
            sessions.push(session);
        }
    }
}

async fn read(caller: &Caller, path: &str, what: &str) -> Result<Value, String> {
    let answer = caller.send(Call::get(path), &format!("begin-{what}")).await.and_then(Answer::success);
    answer.and_then(|answer| answer.json()).map_err(|failure| format!("GET {path}: {}", failure.error))
}

/// Whether a page came to its end and has what it must have.
fn whole_page(answer: &Answer, mark: &str) -> Result<(), Box<Failure>> {
    let text = answer.text()?;
    if !text.trim_end().ends_with("</html>") {
        return Err(answer.wrong("a page without its end"));
    }
    if text.contains(mark) { Ok(()) } else { Err(answer.wrong(format!("a page without {mark:?}"))) }
}
