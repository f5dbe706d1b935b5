//! Numbers that look random and come again with the same seed: `SplitMix64`.

/// A row of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// The row of one operation: it does not depend on which other operations were made before.
    pub(crate) const fn new(seed: u64, number: u64) -> Self {
        Self(seed.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ number.wrapping_mul(0xA076_1D64_78BD_642F))
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        // The bias of the remainder is far below anything that a load could show.
        self.next() % limit
    }

    /// One of several things.
    pub(crate) fn choose<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        let count = things.len() as u64;
        if count == 0 { None } else { things.get(usize::try_from(self.below(count)).unwrap_or_default()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Draw;

    #[test]
    fn the_same_seed_draws_the_same_and_all_values_come() {
        let row = |seed| (0..1_000).map(|number| Draw::new(seed, number).below(10)).collect::<Vec<_>>();
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
        for value in 0..10 {
            let share = row(7).iter().filter(|drawn| **drawn == value).count();
            assert!((60..140).contains(&share), "{value} came {share} times in 1000");
        }
    }
}
