//! How often somebody who is not signed in may ask for what costs a look-up or a row: sign-ins that begin, invitations, sessions
//! that are none. Whoever is signed in is not counted.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::StatusCode;
use moka::future::Cache;

use crate::{
    console::Console,
    problem::{Problem, Result},
    visit::Visit,
};

/// For each address, or the network of 64 bits that an IPv6 address is in.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
const PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// An address that was silent for this long has its whole budget back.
const IDLE: Duration = Duration::from_secs(60);

/// The budgets of all addresses seen lately.
pub(crate) struct Strangers(Cache<Option<IpAddr>, Arc<DefaultDirectRateLimiter>>);

impl Strangers {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(100_000).time_to_idle(IDLE).build())
    }

    /// # Errors
    /// The budget of this address is spent.
    pub(crate) async fn admit(&self, address: Option<IpAddr>) -> Result<()> {
        let bucket = async { Arc::new(RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(BURST))) };
        let bucket = self.0.get_with(address.map(network), bucket).await;
        bucket.check().map_err(|_| {
            let text =
                "From your address came more sign-ins than people make. Wait a few seconds, then load the page anew.";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "Not so fast", text).next("/sign-in", "Sign in")
        })
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        v4 => v4,
    }
}

/// Around what is open to everybody.
pub(crate) async fn admit(
    State(console): State<Console>,
    visit: Visit,
    request: Request,
    next: Next,
) -> Result<Response> {
    console.strangers.admit(visit.address()).await?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_spends_its_own_budget_and_so_does_its_network() {
        let strangers = Strangers::new();
        let [one, neighbour, other] = ["2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"].map(|text| text.parse().ok());
        let mut admitted = 0;
        while strangers.admit(one).await.is_ok() {
            admitted += 1;
        }
        assert!((100..110).contains(&admitted), "{admitted}");
        assert!(strangers.admit(neighbour).await.is_err());
        assert!(strangers.admit(other).await.is_ok());
        assert!(strangers.admit("::ffff:192.0.2.1".parse().ok()).await.is_ok());
        assert_eq!(network(IpAddr::from([192, 0, 2, 1])).to_string(), "192.0.2.1");
    }
}
