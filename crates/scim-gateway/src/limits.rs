//! Rate limits: one budget for each organization, and one of its own for taking access away.
//! Which request belongs to which lane is decided in [`crate::auth`] and `routes::users`.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use moka::future::Cache;

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
/// An organization that was silent for this long has its whole budget back.
const IDLE: Duration = Duration::from_secs(600);

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

struct Buckets<C: Clock> {
    rate: NonZeroU32,
    main: Bucket<C>,
    deprovisioning: Bucket<C>,
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

    /// Takes one request from the budget, or says after how many whole seconds to come back. A changed rate starts a
    /// new, full budget.
    pub(crate) async fn admit(&self, organization: &Arc<str>, rate: Option<u32>, lane: Lane) -> Result<(), u64> {
        let Some(rate) = NonZeroU32::new(rate.unwrap_or(self.default_rate)) else { return Ok(()) };
        let mut buckets = self.organizations.get_with_by_ref(organization, async { self.buckets(rate) }).await;
        if buckets.rate != rate {
            buckets = self.buckets(rate);
            self.organizations.insert(Arc::clone(organization), Arc::clone(&buckets)).await;
        }
        let bucket = match lane {
            Lane::Main => &buckets.main,
            Lane::Deprovisioning => &buckets.deprovisioning,
        };
        bucket.check().map_err(|refused| {
            let wait = refused.wait_time_from(self.clock.now());
            (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
        })
    }

    fn buckets(&self, rate: NonZeroU32) -> Arc<Buckets<C>> {
        let bucket = |rate: NonZeroU32| RateLimiter::direct_with_clock(quota(rate), self.clock.clone());
        let floor = NonZeroU32::new(DEPROVISIONING_FLOOR).unwrap_or(rate);
        Arc::new(Buckets { rate, main: bucket(rate), deprovisioning: bucket(rate.max(floor)) })
    }
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
        assert_eq!(limiter.admit(&other, Some(1), Lane::Main).await, Err(1));
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
}
