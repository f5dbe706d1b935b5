//! Filling a basket and ordering what is in it; and what becomes of an order whose answer got lost.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header;
use serde_json::{Value, json};

use super::session::Session;
use super::{Shop, Visit, form, whole_page};
use crate::caller::{Answer, Call};
use crate::tally::Failure;

/// How often, and after which pause, a form is sent again whose answer got lost.
const ATTEMPTS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// An order that may have been made or not: a shopper would send the same form again, and so does the generator, when
/// the load is over. The key in the form makes it one order.
#[derive(Debug)]
pub(super) struct Unsettled {
    number: u64,
    form: Call,
    key: String,
    basket: BTreeMap<u64, u64>,
}

impl Shop {
    pub(super) async fn basket(&self, visit: &mut Visit) -> Result<Option<Value>, Box<Failure>> {
        let (mut session, product) = self.put_into_basket(visit).await?;
        let answer = self.send(visit, session.get("/basket")).await?.success()?;
        whole_page(&answer, &format!("quantity-{product}"))?;
        session.keep_cookies(&answer);
        self.comes_again(session);
        Ok(None)
    }

    pub(super) async fn order(&self, visit: &mut Visit) -> Result<Option<Value>, Box<Failure>> {
        let (mut session, _) = self.put_into_basket(visit).await?;
        let answer = self.send(visit, session.get("/checkout")).await?;
        if answer.status == 303 {
            // Meanwhile others have bought what this shopper wants.
            return Ok(Some(json!({ "short": session.basket })));
        }
        let answer = answer.success()?;
        session.keep_cookies(&answer);
        let page = answer.text()?;
        let (Some(key), Some(total)) = (form::field(page, "order_key"), form::field(page, "total_cents")) else {
            return Err(answer.wrong("a checkout without its form"));
        };
        let email = format!("shopper-{}@example.org", session.number);
        let fields = [
            ("order_key", key),
            ("total_cents", total),
            ("name", "Ada Lovelace"),
            ("email", &email),
            ("address", "1 Analytical Way\nLondon"),
        ];
        let form = session.post("/checkout", &fields);
        let ordered = self.send(visit, form.clone()).await;
        match ordered.and_then(|answer| ordered_as(&answer, key, &session.basket)) {
            // A shopper who has ordered does not come again.
            Ok(fact) => Ok(Some(fact)),
            Err(mut failure) => {
                failure.wanted = Some(json!({ "key": key, "basket": session.basket }));
                let (number, key, basket) = (visit.number, key.to_owned(), session.basket);
                self.unsettled.lock().push(Unsettled { number, form, key, basket });
                Err(failure)
            }
        }
    }

    /// Sends again the orders whose answers got lost, until each is known to stand or not.
    pub(crate) async fn settle(&self) -> Vec<Value> {
        let unsettled = std::mem::take(&mut *self.unsettled.lock());
        let mut facts = Vec::with_capacity(unsettled.len());
        for order in unsettled {
            facts.push(self.send_again(&order).await);
        }
        facts
    }

    async fn send_again(&self, order: &Unsettled) -> Value {
        let mut last = String::new();
        for attempt in 1..=ATTEMPTS {
            let number = format!("{}.again{attempt}", order.number);
            let answer = self.caller.send(order.form.clone(), &number).await;
            match answer.and_then(|answer| ordered_as(&answer, &order.key, &order.basket)) {
                Ok(mut fact) => {
                    fact["settled_after"] = attempt.into();
                    return fact;
                }
                Err(failure) => last = failure.error,
            }
            tokio::time::sleep(PAUSE).await;
        }
        json!({ "unsettled": order.key, "basket": order.basket, "error": last })
    }

    async fn put_into_basket(&self, visit: &mut Visit) -> Result<(Session, u64), Box<Failure>> {
        let product = self.draw_product(visit);
        let mut session = self.shopper(visit, product).await?;
        let fields = [("product", &*product.to_string()), ("quantity", "1")];
        let answer = self.send(visit, session.post("/basket/add", &fields)).await?;
        let answer = answer.with_status(|status| status == 303)?;
        session.keep_cookies(&answer);
        *session.basket.entry(product).or_default() += 1;
        Ok((session, product))
    }
}

/// The order that an answer tells of: its id and what is in it, or that it was rejected.
fn ordered_as(answer: &Answer, key: &str, basket: &BTreeMap<u64, u64>) -> Result<Value, Box<Failure>> {
    if answer.status != 303 {
        return Err(answer.unexpected());
    }
    let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match location.rsplit_once("/my/orders/") {
        Some((_, id)) => Ok(json!({ "order": id, "key": key, "basket": basket })),
        None if location.ends_with("/basket") => Ok(json!({ "rejected": key, "basket": basket })),
        None => Err(answer.wrong(format!("sent on to {location:?}"))),
    }
}
