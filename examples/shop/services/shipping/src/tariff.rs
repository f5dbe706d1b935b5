//! What sending costs. Prices are in cents, as everywhere in the shop.

/// Things that fit into one parcel.
const THINGS_IN_A_PARCEL: u32 = 8;
/// The first parcel of a shipment, and each more.
const FIRST_CENTS: u32 = 490;
const MORE_CENTS: u32 = 150;
/// From the dispatch to the door.
pub(crate) const DAYS: u32 = 2;
pub(crate) const CURRENCY: &str = "EUR";
/// Things that one shipment may have.
pub(crate) const MOST_THINGS: u32 = 100_000;

/// How many parcels so many things make.
pub(crate) const fn parcels(things: u32) -> u32 {
    things.div_ceil(THINGS_IN_A_PARCEL)
}

/// What they cost together.
pub(crate) const fn price_cents(parcels: u32) -> u32 {
    match parcels {
        0 => 0,
        parcels => FIRST_CENTS + (parcels - 1) * MORE_CENTS,
    }
}

#[cfg(test)]
mod tests {
    use super::{parcels, price_cents};

    #[test]
    fn a_parcel_takes_eight_things_and_more_parcels_cost_less() {
        let quoted: Vec<_> = [0, 1, 8, 9, 17].into_iter().map(|things| price_cents(parcels(things))).collect();
        assert_eq!(quoted, [0, 490, 490, 640, 790]);
    }
}
