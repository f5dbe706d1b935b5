//! Serves, or brings the tables up to date:
//!
//! ```text
//! shop-shipping migrate
//! shop-shipping
//! ```

#![forbid(unsafe_code)]

use std::process::ExitCode;

use pinnace::BoxError;
use shop_shipping::{Store, service};

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let url = std::env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite://shipping.sqlite3".to_owned());
    let store = Store::open(&url).await?;
    match std::env::args().nth(1).as_deref() {
        None => Ok(service(store).run().await),
        Some("migrate") => {
            store.migrate().await?;
            Ok(ExitCode::SUCCESS)
        }
        Some(word) => Err(format!("`{word}` is no word of mine; there is `migrate`, or nothing to serve").into()),
    }
}
