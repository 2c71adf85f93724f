//! How much work a guess at a password is.

use crate::{Error, Result};

/// Parameters of Argon2id, stored beside each record of OPAQUE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stretching {
    /// In KiB.
    pub memory_kib: u32,
    /// How often the memory is gone over.
    pub passes: u32,
    /// How many parts it has.
    pub lanes: u32,
}

impl Stretching {
    /// What new records get.
    pub const RECOMMENDED: Self = Self { memory_kib: 65_536, passes: 3, lanes: 1 };

    /// The least that a client computes: below, whoever sends the parameters wants guesses to be cheap.
    pub const FLOOR: Self = Self { memory_kib: 19_456, passes: 2, lanes: 1 };

    /// The most: above, whoever sends the parameters wants the client to stand still.
    pub const CEILING: Self = Self { memory_kib: 1_048_576, passes: 16, lanes: 4 };

    /// # Errors
    /// [`Error::Stretching`]: beyond the floor or the ceiling.
    pub fn check(&self) -> Result<()> {
        let Self { memory_kib, passes, lanes } = *self;
        let (low, high) = (Self::FLOOR, Self::CEILING);
        let within = (low.memory_kib..=high.memory_kib).contains(&memory_kib)
            && (low.passes..=high.passes).contains(&passes)
            && (low.lanes..=high.lanes).contains(&lanes);
        within.then_some(()).ok_or(Error::Stretching { memory_kib, passes, lanes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_has_both_bounds() {
        let Stretching { memory_kib, passes, lanes } = Stretching::RECOMMENDED;
        for good in [Stretching::RECOMMENDED, Stretching::FLOOR, Stretching::CEILING] {
            assert_eq!(good.check(), Ok(()));
        }
        for (memory_kib, passes, lanes) in [
            (19_455, passes, lanes),
            (1_048_577, passes, lanes),
            (memory_kib, 1, lanes),
            (memory_kib, 17, lanes),
            (memory_kib, passes, 0),
            (memory_kib, passes, 5),
        ] {
            let beyond = Stretching { memory_kib, passes, lanes };
            assert_eq!(beyond.check(), Err(Error::Stretching { memory_kib, passes, lanes }));
        }
    }
}
