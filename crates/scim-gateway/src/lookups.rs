//! Credentials that nobody is known to have, looked up many at once when many come: as cheap for the database however many
//! they are, so that a valid one among them is found in time.
//!
//! Not here: who may have one looked up alone (`refusals`).

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};
use tonic::{Code, Status};
use wire::token::{VerifiedToken, VerifyManyRequest, VerifyRequest, VerifyResponse};

use crate::{clients::Clients, gateway::Gateway, refusals::network};

/// In one call and one statement.
const BATCH: usize = 1000;
/// Between two calls: so the database is asked twenty times a second, whatever comes.
const PAUSE: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Waiting from one address; beyond it the oldest gives way: who has waited longest is the likeliest to be gone.
const WAITING: usize = 4 * BATCH;

type Digest = [u8; 32];
type Verdict = Result<Option<VerifyResponse>, Status>;

struct Waiting {
    digest: Digest,
    verdict: oneshot::Sender<Verdict>,
}

/// What waits, by address. No address is passed over for what another sends.
#[derive(Default)]
struct Queue {
    addresses: HashMap<IpAddr, VecDeque<Waiting>>,
    /// Those that have something waiting; the first is next.
    turns: VecDeque<IpAddr>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    any: Notify,
}

/// Clones share the queue.
#[derive(Clone, Default)]
pub(crate) struct Lookups(Arc<Shared>);

impl Lookups {
    /// What token-service says of a credential from this address; `Ok(None)`: nobody has it.
    pub(crate) async fn of(&self, address: IpAddr, digest: Digest) -> Verdict {
        let (verdict, receiver) = oneshot::channel();
        self.queue().push(network(address), Waiting { digest, verdict });
        self.0.any.notify_one();
        receiver.await.unwrap_or_else(|_| Err(Status::unavailable("it gave way to newer ones")))
    }

    /// Asks for ever.
    pub(crate) async fn ask(self, clients: Clients) {
        loop {
            self.0.any.notified().await;
            loop {
                let batch = self.queue().take(BATCH);
                if batch.is_empty() {
                    break;
                }
                verify(&clients, batch).await;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, address: IpAddr, new: Waiting) {
        let own = self.addresses.entry(address).or_default();
        if own.is_empty() {
            self.turns.push_back(address);
        }
        own.push_back(new);
        if own.len() > WAITING {
            own.pop_front();
        }
    }

    /// So many at most: the newest of each address in turn, without those that nobody waits for any more.
    fn take(&mut self, most: usize) -> Vec<Waiting> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(address) = self.turns.pop_front()
        {
            let Some(own) = self.addresses.get_mut(&address) else { continue };
            while let Some(waiting) = own.pop_back() {
                if !waiting.verdict.is_closed() {
                    taken.push(waiting);
                    break;
                }
            }
            if own.is_empty() {
                self.addresses.remove(&address);
            } else {
                self.turns.push_back(address);
            }
        }
        taken
    }
}

async fn verify(clients: &Clients, batch: Vec<Waiting>) {
    let secret_sha256 = batch.iter().map(|waiting| waiting.digest.to_vec().into()).collect();
    let request = Gateway::call(VerifyManyRequest { secret_sha256 }, "lookups", TIMEOUT);
    let answer = tokio::time::timeout(TIMEOUT, clients.tokens.clone().verify_many(request)).await;
    match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))) {
        Ok(answer) => {
            let named = |VerifiedToken { secret_sha256, token }: VerifiedToken| Some((secret_sha256, token?));
            let found: HashMap<_, _> = answer.into_inner().verified.into_iter().filter_map(named).collect();
            for waiting in batch {
                let _ = waiting.verdict.send(Ok(found.get(&waiting.digest[..]).cloned()));
            }
        }
        // token-service is of a release before.
        Err(status) if status.code() == Code::Unimplemented => {
            for waiting in batch.into_iter().filter(|waiting| !waiting.verdict.is_closed()) {
                let verdict = alone(clients, &waiting.digest).await;
                let _ = waiting.verdict.send(verdict);
            }
        }
        Err(status) => {
            for waiting in batch {
                let _ = waiting.verdict.send(Err(status.clone()));
            }
        }
    }
}

async fn alone(clients: &Clients, digest: &Digest) -> Verdict {
    let request = VerifyRequest { secret_sha256: digest.to_vec().into(), restrictions_enforced: true };
    let request = Gateway::call(request, "lookups", TIMEOUT);
    match clients.tokens.clone().verify(request).await {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::Unauthenticated => match wire::refusal(&status).reason {
            wire::Reason::TokenInvalid => Ok(None),
            _ => Err(status),
        },
        Err(status) => Err(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(n: usize) -> (Waiting, oneshot::Receiver<Verdict>) {
        let (verdict, receiver) = oneshot::channel();
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_be_bytes());
        (Waiting { digest, verdict }, receiver)
    }

    fn number(waiting: &Waiting) -> usize {
        usize::from_be_bytes(waiting.digest[..8].try_into().expect("eight"))
    }

    #[test]
    fn each_address_has_its_share_and_the_newest_goes_first() {
        let (mut queue, mut kept) = (Queue::default(), Vec::new());
        let [flood, other] = ["203.0.113.7", "2001:db8::7"].map(|text| text.parse().expect("address"));
        for n in 0..100 {
            let (waiting, receiver) = waiting(n);
            queue.push(flood, waiting);
            kept.push(receiver);
        }
        for n in [1000, 1001] {
            let (waiting, receiver) = waiting(n);
            queue.push(other, waiting);
            kept.push(receiver);
        }
        let taken = queue.take(6);
        assert_eq!(taken.iter().map(number).collect::<Vec<_>>(), [99, 1001, 98, 1000, 97, 96]);
        // Who is gone takes no place.
        kept.drain(50..96);
        assert_eq!(queue.take(2).iter().map(number).collect::<Vec<_>>(), [49, 48]);
        assert_eq!(queue.take(1000).len(), 48);
        assert!(queue.addresses.is_empty() && queue.turns.is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn the_oldest_gives_way_in_a_full_queue() {
        let (mut queue, mut kept) = (Queue::default(), Vec::new());
        let address = "203.0.113.7".parse().expect("address");
        for n in 0..=WAITING {
            let (waiting, receiver) = waiting(n);
            queue.push(address, waiting);
            kept.push(receiver);
        }
        assert_eq!(kept[0].try_recv().err(), Some(oneshot::error::TryRecvError::Closed));
        assert_eq!(kept[1].try_recv().err(), Some(oneshot::error::TryRecvError::Empty));
    }
}
