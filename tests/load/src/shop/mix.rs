//! Which operations, and how many of each in a hundred.

use std::fmt;
use std::str::FromStr;

use crate::draw::Draw;

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
    pub(crate) fn choose(&self, draw: &mut Draw) -> Operation {
        let mut left = draw.below(self.0.iter().sum());
        for (operation, parts) in Operation::ALL.into_iter().zip(self.0) {
            if left < parts {
                return operation;
            }
            left -= parts;
        }
        Operation::Browse
    }
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
            100 => Ok(Self(mix)),
            sum => Err(format!("the parts are {sum}, and have to be 100")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mix, Operation};
    use crate::draw::Draw;

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
    fn operations_come_as_often_as_the_mix_says() {
        let mix = Mix::default();
        let drawn: Vec<_> = (0..10_000).map(|number| mix.choose(&mut Draw::new(3, number))).collect();
        for (operation, parts) in Operation::ALL.into_iter().zip([5_000, 3_000, 1_000, 1_000]) {
            let count = drawn.iter().filter(|one| **one == operation).count();
            assert!(count.abs_diff(parts) < 200, "{operation:?} came {count} times");
        }
    }
}
