//! A token is changed for another while requests go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::RwLock;
use wire::token::{RetireScimTokenRequest, RotateScimTokenRequest};

use crate::harness::{Server, administrator};

/// The identity provider puts the new token in place between two requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rotations_under_load_without_one_401() {
    let server = Server::start().await;
    let gateways = [server.beside(server.transports[1].clone()), server.beside(server.transports[1].clone())];
    let token = Arc::new(RwLock::new(server.token.clone()));
    let (answered, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut workers = Vec::new();
    for gateway in gateways.into_iter().map(Arc::new) {
        for _ in 0..2 {
            let (gateway, token) = (Arc::clone(&gateway), Arc::clone(&token));
            let (answered, over) = (Arc::clone(&answered), Arc::clone(&over));
            workers.push(tokio::spawn(async move {
                let mut refused = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let token = token.read().await;
                    let bearer = format!("Bearer {}", *token);
                    let answer = gateway.raw("GET", "/Users", &[("authorization", &bearer)], "").await;
                    drop(token);
                    if answer.status == 200 {
                        answered.fetch_add(1, Ordering::Relaxed);
                    } else {
                        refused.push(answer.status);
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                refused
            }));
        }
    }

    let mut tokens = server.tokens.clone();
    let (mut id, organization_id) = (server.token_id.clone(), server.organization.clone());
    for _ in 0..10 {
        let before = answered.load(Ordering::Relaxed);
        let request = RotateScimTokenRequest {
            organization_id: organization_id.clone(),
            caller: administrator(),
            id: id.clone(),
            ..RotateScimTokenRequest::default()
        };
        let rotated = tokens.rotate_scim_token(request).await.expect("rotated").into_inner();
        let retire = RetireScimTokenRequest {
            organization_id: organization_id.clone(),
            caller: administrator(),
            id: id.clone(),
            force: false,
        };
        tokens.retire_scim_token(retire.clone()).await.expect_err("its successor is in nobody's hands");
        *token.write().await = rotated.secret;
        let begun = Instant::now();
        while tokens.retire_scim_token(retire.clone()).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "the successor was not seen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        id = rotated.successor.expect("successor").id;
        // The old one is over on both gateways, and the load goes on.
        while answered.load(Ordering::Relaxed) < before + 20 {
            assert!(begun.elapsed() < Duration::from_secs(20), "no load");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    for worker in workers {
        assert_eq!(worker.await.expect("worker"), Vec::<http::StatusCode>::new());
    }
    assert!(answered.load(Ordering::Relaxed) >= 200);
}
