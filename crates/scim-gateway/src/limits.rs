//! What one organization may take of this server: requests a second, and places for requests at work. Taking access away
//! has a budget and places of its own. The places keep one organization's flood out of the queues further in (calls to the
//! services, connections of their pools, SQLite's writer), where all organizations stand in one line.
//!
//! Which request belongs to which lane is decided in [`crate::auth`] and `routes::users`.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use moka::future::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Which budget a request draws on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// All ordinary work.
    Main,
    /// What takes access away: never refused because of other work.
    Deprovisioning,
}

/// The deprovisioning lane of an organization with a low limit.
const DEPROVISIONING_FLOOR: u32 = 100;
/// Requests of one organization and lane at work at once. A pool has about as many connections.
const PLACES: usize = 8;
/// How long a request waits for a place.
const PATIENCE: Duration = Duration::from_secs(2);
/// An organization that was silent for this long has its whole budget back.
const IDLE: Duration = Duration::from_secs(600);

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

struct Buckets<C: Clock> {
    rate: NonZeroU32,
    main: (Bucket<C>, Arc<Semaphore>),
    deprovisioning: (Bucket<C>, Arc<Semaphore>),
}

/// A place for one request at work, until it is dropped; `None`: there is no limit.
#[must_use]
#[derive(Debug)]
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The budget is spent; there is some of it again after so many whole seconds.
    Spent(u64),
    /// No place became free.
    Crowded,
}

/// The budgets of all organizations seen lately.
pub(crate) struct Limiter<C: Clock = DefaultClock> {
    organizations: Cache<Arc<str>, Arc<Buckets<C>>>,
    default_rate: u32,
    clock: C,
}

impl Limiter {
    /// `default_rate` a second for an organization without a limit of its own; 0: unlimited.
    pub(crate) fn new(default_rate: u32) -> Self {
        Self::with_clock(default_rate, DefaultClock::default())
    }
}

impl<C> Limiter<C>
where
    C: Clock + Clone + Send + Sync + 'static,
    C::Instant: Send + Sync,
{
    fn with_clock(default_rate: u32, clock: C) -> Self {
        let organizations = Cache::builder().max_capacity(100_000).time_to_idle(IDLE).build();
        Self { organizations, default_rate, clock }
    }

    /// Takes one request from the budget and waits for a place. A changed rate starts a new, full budget.
    pub(crate) async fn admit(&self, organization: &Arc<str>, rate: Option<u32>, lane: Lane) -> Result<Place, Refused> {
        let Some(buckets) = self.of(organization, rate).await else { return Ok(Place { _permit: None }) };
        let (bucket, places) = buckets.lane(lane);
        bucket.check().map_err(|refused| {
            let wait = refused.wait_time_from(self.clock.now());
            Refused::Spent((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
        })?;
        place(places, PATIENCE).await
    }

    /// Waits for a place for the rest of a request that was admitted and gave its place back.
    pub(crate) async fn resume(
        &self,
        organization: &Arc<str>,
        rate: Option<u32>,
        patience: Duration,
    ) -> Result<Place, Refused> {
        match self.of(organization, rate).await {
            Some(buckets) => place(&buckets.main.1, patience).await,
            None => Ok(Place { _permit: None }),
        }
    }

    async fn of(&self, organization: &Arc<str>, rate: Option<u32>) -> Option<Arc<Buckets<C>>> {
        let rate = NonZeroU32::new(rate.unwrap_or(self.default_rate))?;
        let buckets = self.organizations.get_with_by_ref(organization, async { self.buckets(rate) }).await;
        if buckets.rate == rate {
            return Some(buckets);
        }
        let buckets = self.buckets(rate);
        self.organizations.insert(Arc::clone(organization), Arc::clone(&buckets)).await;
        Some(buckets)
    }

    fn buckets(&self, rate: NonZeroU32) -> Arc<Buckets<C>> {
        let lane = |rate: NonZeroU32| {
            (RateLimiter::direct_with_clock(quota(rate), self.clock.clone()), Arc::new(Semaphore::new(PLACES)))
        };
        let floor = NonZeroU32::new(DEPROVISIONING_FLOOR).unwrap_or(rate);
        Arc::new(Buckets { rate, main: lane(rate), deprovisioning: lane(rate.max(floor)) })
    }
}

impl<C: Clock> Buckets<C> {
    fn lane(&self, lane: Lane) -> &(Bucket<C>, Arc<Semaphore>) {
        match lane {
            Lane::Main => &self.main,
            Lane::Deprovisioning => &self.deprovisioning,
        }
    }
}

async fn place(places: &Arc<Semaphore>, patience: Duration) -> Result<Place, Refused> {
    let permit = tokio::time::timeout(patience, Arc::clone(places).acquire_owned()).await;
    permit.ok().and_then(Result::ok).map(|permit| Place { _permit: Some(permit) }).ok_or(Refused::Crowded)
}

/// Ten seconds' worth at once, at least 100: a sync arrives in bursts.
fn quota(rate: NonZeroU32) -> Quota {
    let burst = NonZeroU32::new(rate.get().saturating_mul(10).max(100)).unwrap_or(rate);
    Quota::per_second(rate).allow_burst(burst)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(default_rate: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock, Arc<str>) {
        let clock = FakeRelativeClock::default();
        (Limiter::with_clock(default_rate, clock.clone()), clock, Arc::from("org"))
    }

    async fn admitted(limiter: &Limiter<FakeRelativeClock>, org: &Arc<str>, rate: Option<u32>, lane: Lane) -> u32 {
        let mut n = 0;
        while n < 100_000 && limiter.admit(org, rate, lane).await.is_ok() {
            n += 1;
        }
        n
    }

    #[tokio::test]
    async fn the_burst_is_ten_seconds_or_a_hundred() {
        let (limiter, clock, org) = limiter(50);
        assert_eq!(admitted(&limiter, &org, None, Lane::Main).await, 500);
        clock.advance(Duration::from_secs(2));
        assert_eq!(admitted(&limiter, &org, None, Lane::Main).await, 100);
        let other: Arc<str> = Arc::from("other");
        assert_eq!(admitted(&limiter, &other, Some(1), Lane::Main).await, 100);
        assert_eq!(limiter.admit(&other, Some(1), Lane::Main).await.err(), Some(Refused::Spent(1)));
    }

    #[tokio::test]
    async fn zero_is_unlimited_and_a_new_rate_counts_at_once() {
        let (limiter, _, org) = limiter(0);
        assert_eq!(admitted(&limiter, &org, None, Lane::Main).await, 100_000);
        assert_eq!(admitted(&limiter, &org, Some(1), Lane::Main).await, 100);
        assert_eq!(admitted(&limiter, &org, Some(20), Lane::Main).await, 200);
        assert_eq!(admitted(&limiter, &org, Some(0), Lane::Main).await, 100_000);
    }

    #[tokio::test]
    async fn deprovisioning_has_its_own_budget() {
        let (limiter, _, org) = limiter(1);
        admitted(&limiter, &org, None, Lane::Main).await;
        assert!(limiter.admit(&org, None, Lane::Main).await.is_err());
        assert_eq!(admitted(&limiter, &org, None, Lane::Deprovisioning).await, 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn an_organization_has_so_many_places_and_leavers_have_others() {
        let (limiter, _, org) = limiter(100);
        let mut places = Vec::new();
        for _ in 0..PLACES {
            places.push(limiter.admit(&org, None, Lane::Main).await.expect("a place"));
        }
        assert_eq!(limiter.admit(&org, None, Lane::Main).await.err(), Some(Refused::Crowded));
        // Nobody else is kept waiting, and no leaver.
        let before = tokio::time::Instant::now();
        assert!(limiter.admit(&org, None, Lane::Deprovisioning).await.is_ok());
        assert!(limiter.admit(&Arc::from("other"), None, Lane::Main).await.is_ok());
        assert!(limiter.admit(&org, Some(0), Lane::Main).await.is_ok(), "0 switches every limit off");
        assert_eq!(before.elapsed(), Duration::ZERO);
        // Who waits gets the place that becomes free.
        let (waiting, _) = tokio::join!(limiter.admit(&org, None, Lane::Main), async { drop(places.pop()) });
        drop(waiting.expect("a place"));
        assert!(limiter.resume(&org, None, PATIENCE).await.is_ok());
    }
}
