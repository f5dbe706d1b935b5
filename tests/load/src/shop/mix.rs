//! Which operations, and how many of each in a hundred.

use std::fmt;
use std::str::FromStr;

use crate::draw::Draw;

/// What the parts of a mix are together.
const PARTS: u64 = 100;

/// What a shopper does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Browse,
    Product,
    Basket,
    Order,
}

/// Parts of a hundred, in the order of [`Operation::ALL`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mix([u64; 4]);

impl Operation {
    const ALL: [Self; 4] = [Self::Browse, Self::Product, Self::Basket, Self::Order];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Browse => "browse",
            Self::Product => "product",
            Self::Basket => "basket",
            Self::Order => "order",
        }
    }
}

impl Mix {
    /// The operation of this number. Every hundred have the mix exactly, in an order that is drawn: a load of a few
    /// hundred is as much as it is said to be.
    pub(crate) fn choose(&self, seed: u64, number: u64) -> Operation {
        let hundred = Operation::ALL.into_iter().zip(self.0);
        let mut deck: Vec<Operation> =
            hundred.flat_map(|(operation, parts)| (0..parts).map(move |_| operation)).collect();
        let mut draw = Draw::new(seed, u64::MAX - number / PARTS);
        for last in (1..PARTS).rev() {
            deck.swap(place(draw.below(last + 1)), place(last));
        }
        deck[place(number % PARTS)]
    }
}

fn place(below_a_hundred: u64) -> usize {
    usize::try_from(below_a_hundred).unwrap_or_default()
}

impl Default for Mix {
    fn default() -> Self {
        Self([50, 30, 10, 10])
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = Operation::ALL
            .iter()
            .zip(self.0)
            .map(|(operation, parts)| format!("{}={parts}", operation.name()))
            .collect();
        formatter.write_str(&parts.join(","))
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut mix = [0; 4];
        for part in text.split(',') {
            let (name, parts) = part.split_once('=').ok_or_else(|| format!("{part:?} is not like browse=50"))?;
            let place = Operation::ALL.iter().position(|operation| operation.name() == name);
            let place = place.ok_or_else(|| format!("{name:?} is none of browse, product, basket, order"))?;
            mix[place] = parts.parse().map_err(|_| format!("{parts:?} is no number"))?;
        }
        match mix.iter().sum() {
            PARTS => Ok(Self(mix)),
            sum => Err(format!("the parts are {sum}, and have to be 100")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mix, Operation};

    #[test]
    fn a_mix_is_read_as_it_is_written() {
        let mix = Mix::default();
        assert_eq!(mix.to_string(), "browse=50,product=30,basket=10,order=10");
        assert_eq!(mix.to_string().parse(), Ok(mix));
        for wrong in ["", "browse", "browse=x", "walk=100", "browse=99"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn every_hundred_has_the_mix_exactly_and_an_order_of_its_own() {
        let mix = Mix::default();
        let hundred =
            |seed, first: u64| (first..first + 100).map(|number| mix.choose(seed, number)).collect::<Vec<_>>();
        for first in [0, 100, 4_200] {
            for (operation, parts) in Operation::ALL.into_iter().zip([50, 30, 10, 10]) {
                assert_eq!(hundred(3, first).iter().filter(|one| **one == operation).count(), parts, "{operation:?}");
            }
        }
        assert_ne!(hundred(3, 0), hundred(3, 100));
        assert_ne!(hundred(3, 0), hundred(4, 0));
        assert_eq!(hundred(3, 0), hundred(3, 0));
    }
}
