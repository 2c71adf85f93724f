//! What an address may cost that shows credentials which nobody has: so many look-ups and refusals at once, then so many a
//! second. Beyond that its credentials are looked up together (`lookups`), or a few at once, and those that are nobody's wait
//! for their refusal. None is refused for its address, and a valid one waits for no refusal.
//!
//! Not here: what a credential is, and which ones are known already (`auth`).

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use moka::future::Cache;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::Instant,
};

const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(499);
const PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
/// As many wait for a turn as have theirs within [`PATIENCE`].
const WAITING: usize = 500;
const PATIENCE: Duration = Duration::from_secs(10);
/// Credentials that are not known and are being looked up, each by a call of its own.
const PLACES: usize = 32;
/// The same from addresses that have spent their budget, which so keep nobody else waiting.
const PLACES_OF_SPENT: usize = 8;
/// Look-ups take milliseconds.
const PATIENCE_FOR_A_PLACE: Duration = Duration::from_secs(2);
/// For so long after it has spent its budget an address counts as one that has: between two refusals there is always some.
const CALM: Duration = Duration::from_secs(1);
/// Whoever was silent for this long has the whole budget back.
const IDLE: Duration = Duration::from_secs(60);

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

struct Address {
    bucket: Bucket,
    /// When there is budget again; in the past: there is some, and when there was none.
    spent: Mutex<Option<Instant>>,
    /// One refusal at a time once the budget is spent, in the order they came.
    turn: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// The addresses that showed unknown credentials lately.
pub struct Refusals {
    addresses: Cache<IpAddr, Arc<Address>>,
    clock: DefaultClock,
    places: Semaphore,
    places_of_spent: Semaphore,
}

/// The right to look one credential up that is not known; held until the answer is there.
#[must_use]
#[derive(Debug)]
pub struct LookUp<'a> {
    _held: SemaphorePermit<'a>,
}

/// The right to one refusal; held until it is charged.
#[must_use]
#[derive(Debug)]
pub struct Turn {
    _held: Option<[OwnedSemaphorePermit; 2]>,
}

/// Too many wait already.
#[derive(Debug, PartialEq, Eq)]
pub struct Crowded;

impl Default for Refusals {
    fn default() -> Self {
        Self::new()
    }
}

impl Refusals {
    /// Of no address yet.
    pub fn new() -> Self {
        let addresses = Cache::builder().max_capacity(100_000).time_to_idle(IDLE).build();
        let (places, places_of_spent) = (Semaphore::new(PLACES), Semaphore::new(PLACES_OF_SPENT));
        Self { addresses, clock: DefaultClock::default(), places, places_of_spent }
    }

    /// Whether the address has shown so many unknown credentials, now or a moment ago, that another one is not looked up
    /// alone.
    pub async fn is_spent(&self, address: IpAddr) -> bool {
        match self.addresses.get(&network(address)).await {
            Some(address) => address.spent().is_some_and(|until| until + CALM > Instant::now()),
            None => false,
        }
    }

    /// Waits, if need be, until a credential from the address may be looked up by a call of its own.
    ///
    /// # Errors
    /// If it takes two seconds.
    pub async fn place(&self, address: IpAddr) -> Result<LookUp<'_>, Crowded> {
        let places = if self.is_spent(address).await { &self.places_of_spent } else { &self.places };
        let place = tokio::time::timeout(PATIENCE_FOR_A_PLACE, places.acquire()).await.map_err(|_| Crowded)?;
        Ok(LookUp { _held: place.map_err(|_| Crowded)? })
    }

    /// Waits, if need be, until a credential from the address may be refused.
    ///
    /// # Errors
    /// If hundreds wait already, or if it takes ten seconds.
    pub async fn turn(&self, address: IpAddr) -> Result<Turn, Crowded> {
        let Some(address) = self.addresses.get(&network(address)).await else { return Ok(Turn { _held: None }) };
        if address.wait().is_none() {
            return Ok(Turn { _held: None });
        }
        let waiting = Arc::clone(&address.waiting).try_acquire_owned().map_err(|_| Crowded)?;
        let in_turn = async {
            let turn = Arc::clone(&address.turn).acquire_owned().await.map_err(|_| Crowded)?;
            while let Some(until) = address.wait() {
                tokio::time::sleep_until(until).await;
            }
            Ok(Turn { _held: Some([waiting, turn]) })
        };
        tokio::time::timeout(PATIENCE, in_turn).await.map_err(|_| Crowded)?
    }

    /// A credential from the address was looked up, and nobody has it.
    pub async fn charge(&self, address: IpAddr) {
        let address = self.addresses.get_with(network(address), async { Arc::new(Address::new()) }).await;
        let wait = match address.bucket.check() {
            Ok(left) if left.remaining_burst_capacity() > 0 => return,
            Ok(_) => Duration::from_secs(1) / PER_SECOND.get(),
            // Look-ups that were under way together.
            Err(refused) => refused.wait_time_from(self.clock.now()),
        };
        *address.spent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait);
    }
}

impl Address {
    fn new() -> Self {
        Self {
            bucket: RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(BURST)).with_middleware(),
            spent: Mutex::new(None),
            turn: Arc::new(Semaphore::new(1)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    fn spent(&self) -> Option<Instant> {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> Option<Instant> {
        self.spent().filter(|until| *until > Instant::now())
    }
}

/// Who has one IPv6 address has the 64 bits behind it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    async fn spend(refusals: &Refusals, address: IpAddr) -> u32 {
        let mut n = 0;
        while !refusals.is_spent(address).await {
            refusals.charge(address).await;
            n += 1;
        }
        n
    }

    #[tokio::test]
    async fn five_hundred_at_once_then_fifty_a_second_and_one_at_a_time() {
        let (refusals, bad) = (Arc::new(Refusals::new()), address("203.0.113.7"));
        let spent = spend(&refusals, bad).await;
        assert!((500..600).contains(&spent), "{spent}");
        let begun = Instant::now();
        let turns = (0..20).map(|_| {
            let refusals = Arc::clone(&refusals);
            tokio::spawn(async move {
                let _turn = refusals.turn(bad).await.expect("a turn");
                refusals.charge(bad).await;
            })
        });
        for turn in turns.collect::<Vec<_>>() {
            turn.await.expect("done");
        }
        assert!(begun.elapsed() > Duration::from_millis(350), "{:?}", begun.elapsed());
        // Others are not kept waiting.
        let begun = Instant::now();
        for other in ["203.0.113.8", "2001:db8::7"] {
            let _turn = refusals.turn(address(other)).await.expect("a turn");
        }
        assert!(begun.elapsed() < Duration::from_millis(15), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn valid_credentials_cost_nothing() {
        let (refusals, shared) = (Refusals::new(), address("203.0.113.7"));
        spend(&refusals, shared).await;
        let begun = Instant::now();
        for _ in 0..100 {
            // Looked up and found: no charge.
            let _turn = refusals.turn(shared).await.expect("a turn");
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn the_queue_has_an_end() {
        let (refusals, bad) = (Arc::new(Refusals::new()), address("203.0.113.7"));
        spend(&refusals, bad).await;
        let turns: Vec<_> = (0..2 * WAITING)
            .map(|_| {
                let refusals = Arc::clone(&refusals);
                tokio::spawn(async move {
                    let turn = refusals.turn(bad).await;
                    if turn.is_ok() {
                        refusals.charge(bad).await;
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    turn.is_ok()
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let refused = turns.iter().filter(|turn| turn.is_finished()).count();
        assert!((WAITING - 50..=WAITING).contains(&refused), "{refused}");
        turns.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_spent_the_budget_takes_no_place_of_others() {
        let (refusals, bad) = (Refusals::new(), address("203.0.113.7"));
        spend(&refusals, bad).await;
        let held = futures::future::join_all((0..=PLACES_OF_SPENT).map(|_| refusals.place(bad))).await;
        assert_eq!(held.iter().filter(|place| place.is_ok()).count(), PLACES_OF_SPENT);
        let begun = Instant::now();
        let others = (0..PLACES).map(|_| refusals.place(address("203.0.113.8")));
        assert!(futures::future::join_all(others).await.iter().all(Result::is_ok));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[test]
    fn a_subnet_of_ipv6_is_one_address() {
        assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::2:0:0:1")));
        assert_ne!(network(address("2001:db8::1")), network(address("2001:db8:0:1::1")));
        assert_ne!(network(address("203.0.113.7")), network(address("203.0.113.8")));
    }
}
