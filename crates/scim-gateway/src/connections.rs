//! How many connections an address may have, so that one client does not take all there are.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use ipnet::IpNet;

use crate::refusals::network;

type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The addresses that are connected. Behind a trusted proxy are many clients, so it is not counted.
#[derive(Debug)]
pub struct Addresses {
    counts: Counts,
    most: usize,
    trusted: Vec<IpNet>,
}

/// One connection of an address, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Entered(Option<(Counts, IpAddr)>);

impl Addresses {
    /// Each address has at most `most` connections, but for those of `trusted`.
    pub fn new(most: usize, trusted: Vec<IpNet>) -> Self {
        Self { counts: Counts::default(), most, trusted }
    }

    /// `None`: the address has as many as it may.
    pub fn enter(&self, address: IpAddr) -> Option<Entered> {
        let address = address.to_canonical();
        if self.trusted.iter().any(|proxies| proxies.contains(&address)) {
            return Some(Entered(None));
        }
        let address = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Entered(Some((Arc::clone(&self.counts), address))))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some((counts, address)) = &self.0 else { return };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_number_and_a_trusted_proxy_has_none() {
        let addresses = Addresses::new(2, vec!["10.0.0.0/8".parse().expect("network")]);
        let of = |text: &str| addresses.enter(text.parse().expect("address"));
        let first = of("203.0.113.7");
        let second = of("::ffff:203.0.113.7");
        assert!(first.is_some() && second.is_some() && of("203.0.113.7").is_none());
        assert!(of("203.0.113.8").is_some());
        let (six, same) = (of("2001:db8::1"), of("2001:db8::2"));
        assert!(six.is_some() && same.is_some() && of("2001:db8::3").is_none(), "one host has a whole /64");
        assert!(of("2001:db8:0:1::1").is_some());
        drop((six, same));
        drop(first);
        let third = of("203.0.113.7");
        assert!(third.is_some() && of("203.0.113.7").is_none());
        let proxied: Vec<_> = (0..10).map(|_| of("10.0.0.1")).collect();
        assert!(proxied.iter().all(Option::is_some));
        drop((second, third));
        assert!(addresses.counts.lock().expect("whole").is_empty(), "nothing is kept of who is gone");
    }
}
