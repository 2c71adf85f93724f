//! The stream of revocations.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tonic::Streaming;
use wire::token::{Revocations, WatchRevocationsRequest};

use crate::harness::{ORG, OTHER, Tokens, both, open_at};

impl Tokens {
    async fn watch(&mut self, after_position: Option<i64>) -> Streaming<Revocations> {
        self.client.watch_revocations(WatchRevocationsRequest { after_position }).await.expect("stream").into_inner()
    }
}

async fn message(stream: &mut Streaming<Revocations>) -> Revocations {
    let next = tokio::time::timeout(Duration::from_secs(2), stream.message()).await;
    next.expect("a message every second").expect("no error").expect("no end")
}

/// Reads until all of these have come, and says where the stream then is. A replica that is a moment behind the one before
/// tells again what that one told.
async fn until(stream: &mut Streaming<Revocations>, ids: &[String]) -> i64 {
    let mut missing: BTreeSet<String> = ids.iter().cloned().collect();
    let mut told = BTreeSet::new();
    loop {
        let Revocations { position, token_ids, .. } = message(stream).await;
        for id in token_ids {
            missing.remove(&id);
            assert!(told.insert(id), "one stream tells of each once");
        }
        if missing.is_empty() {
            return position;
        }
    }
}

#[tokio::test]
async fn every_replica_tells_of_a_revocation_within_a_second() {
    for mut here in both().await {
        let mut there = open_at(Arc::clone(&here.database), Arc::clone(&here.now)).await;
        let (mut one, mut other) = (here.watch(None).await, there.watch(None).await);
        let first = message(&mut one).await;
        assert_eq!((first.token_ids.len(), message(&mut other).await.token_ids.len()), (0, 0), "at once, and empty");
        let mut ids = Vec::new();
        for org in [ORG, OTHER, ORG] {
            ids.push(here.create(org, None).await.0.id);
        }
        let begun = Instant::now();
        for (org, id) in [ORG, OTHER, ORG].into_iter().zip(&ids) {
            here.revoke(org, id).await.expect("revoked");
        }
        here.revoke(ORG, &ids[0]).await.expect("again, of which nothing is told");
        let position = until(&mut one, &ids).await;
        assert_eq!(until(&mut other, &ids).await, position);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(position >= first.position + 3);
        assert_eq!(message(&mut one).await, Revocations { position, ..Revocations::default() }, "the beat");
    }
}

#[tokio::test]
async fn a_stream_that_is_taken_up_again_misses_nothing_on_any_replica() {
    for mut here in both().await {
        let mut there = open_at(Arc::clone(&here.database), Arc::clone(&here.now)).await;
        let mut stream = here.watch(None).await;
        let mut position = message(&mut stream).await.position;
        for round in 0..4 {
            drop(stream);
            let mut ids = Vec::new();
            for _ in 0..5 {
                let id = here.create(ORG, None).await.0.id;
                here.revoke(ORG, &id).await.expect("revoked");
                ids.push(id);
            }
            stream = if round % 2 == 0 { there.watch(Some(position)).await } else { here.watch(Some(position)).await };
            position = until(&mut stream, &ids).await;
        }
    }
}

#[tokio::test]
async fn revocations_of_many_at_once_are_told_in_an_order_without_gaps() {
    for here in both().await {
        let mut there = open_at(Arc::clone(&here.database), Arc::clone(&here.now)).await;
        let mut here = here;
        let mut stream = there.watch(None).await;
        message(&mut stream).await;
        let mut ids = Vec::new();
        for _ in 0..40 {
            ids.push(here.create(ORG, None).await.0.id);
        }
        let revoke = |client: &wire::token::token_service_client::TokenServiceClient<wire::Transport>, id: &String| {
            let mut client = client.clone();
            let request = wire::token::RevokeScimTokenRequest {
                organization_id: ORG.to_owned(),
                caller: crate::harness::administrator(),
                id: id.clone(),
            };
            async move { client.revoke_scim_token(request).await.map(drop) }
        };
        let calls = ids.iter().enumerate().map(|(n, id)| {
            let client = if n % 2 == 0 { &here.client } else { &there.client };
            revoke(client, id)
        });
        let all = futures::future::join_all(calls).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        until(&mut stream, &ids).await;
        let numbers = here.query("SELECT CAST(revocation AS TEXT) AS text FROM token ORDER BY revocation");
        assert_eq!(numbers, (1..=40).map(|n: i64| n.to_string()).collect::<Vec<_>>());
    }
}

/// What an older program revokes has no number; one that was restored is behind what gateways have seen.
#[tokio::test]
async fn what_was_revoked_by_others_is_told_and_a_position_from_the_future_is_no_harm() {
    for mut tokens in both().await {
        let (token, _) = tokens.create(ORG, None).await;
        let mut stream = tokens.watch(Some(1_000_000)).await;
        message(&mut stream).await;
        tokens.execute("UPDATE token SET revoked = created");
        until(&mut stream, &[token.id]).await;
    }
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    for mut tokens in both().await {
        let mut stream = tokens.watch(None).await;
        message(&mut stream).await;
        tokens.service.end_streams();
        let ended = tokio::time::timeout(Duration::from_secs(1), stream.message()).await.expect("at once");
        assert_eq!(ended.expect("an end that is no fault"), None);
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_silence() {
    let mut tokens = crate::harness::open(testkit::postgres()).await;
    let mut stream = tokens.watch(None).await;
    message(&mut stream).await;
    tokens.execute("ALTER TABLE revocation_counter RENAME TO gone");
    tokens.execute("ALTER TABLE token RENAME TO away");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    // What was under way may still come.
    while let Ok(Ok(Some(_))) = tokio::time::timeout(Duration::from_millis(10), stream.message()).await {}
    let silent = tokio::time::timeout(Duration::from_millis(1500), stream.message()).await;
    assert!(silent.is_err(), "{silent:?}");
    tokens.execute("ALTER TABLE away RENAME TO token");
    message(&mut stream).await;
}
