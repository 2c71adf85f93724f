//! Time and randomness as parameters.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use uuid::{Builder, Uuid};

use crate::Instant;

/// Where instants come from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::from_fn(|| {
            #[expect(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
            let now = jiff::Timestamp::now();
            now.into()
        })
    }

    /// Always this instant.
    pub fn fixed(instant: Instant) -> Self {
        Self::from_fn(move || instant)
    }

    /// Whatever the function says.
    pub fn from_fn(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// This instant.
    pub fn now(&self) -> Instant {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// Where randomness comes from.
#[derive(Clone)]
pub struct Random(Arc<Fill>);

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

impl Random {
    /// The operating system's generator. The process is aborted if there is none: no secret and no id may be made
    /// without it.
    pub fn system() -> Self {
        Self::from_fn(|bytes| {
            if let Err(error) = getrandom::fill(bytes) {
                tracing::error!(%error, "the operating system gives no randomness");
                std::process::abort();
            }
        })
    }

    /// Whatever the function fills in.
    pub fn from_fn(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// So many random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Puts random bytes there.
    pub fn fill(&self, bytes: &mut [u8]) {
        (self.0)(bytes);
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(..)")
    }
}

/// Gives UUIDv7s (RFC 9562 section 5.7) that ascend within the process. The twelve bits after the milliseconds are the
/// fraction of the millisecond (section 6.2, method 3), the rest is random.
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    random: Random,
    last: Arc<AtomicI64>,
}

impl Ids {
    /// Ids from this clock and this randomness.
    pub fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random, last: Arc::new(AtomicI64::new(0)) }
    }

    /// The next id.
    pub fn next(&self) -> Uuid {
        let now = self.clock.now().as_micros().max(1);
        let micros = match self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)))
        {
            Ok(last) | Err(last) => now.max(last + 1),
        };
        let millis = u64::try_from(micros / 1000).unwrap_or_default();
        let fraction = u16::try_from(micros % 1000 * 4096 / 1000).unwrap_or_default();
        let mut random: [u8; 10] = self.random.bytes();
        random[..2].copy_from_slice(&fraction.to_be_bytes());
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_carry_the_clock_and_ascend_even_when_it_stands() {
        let ids = Ids::new(Clock::fixed(Instant::from_micros(1_760_000_000_123_456)), Random::system());
        let made: Vec<Uuid> = (0..10_000).map(|_| ids.next()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        let first = made[0];
        assert_eq!(first.get_version_num(), 7);
        assert_eq!(first.get_timestamp().expect("time").to_unix(), (1_760_000_000, 123_000_000));
        assert_eq!(u16::from_be_bytes([first.as_bytes()[6], first.as_bytes()[7]]) & 0xfff, 1867, "0.456 of 4096");
    }

    #[test]
    fn ids_of_two_processes_at_the_same_instant_differ() {
        let clock = Clock::fixed(Instant::from_micros(1_760_000_000_000_000));
        let one = Ids::new(clock.clone(), Random::system()).next();
        let other = Ids::new(clock, Random::system()).next();
        assert_ne!(one, other);
        assert_eq!(one.as_bytes()[..8], other.as_bytes()[..8]);
    }
}
