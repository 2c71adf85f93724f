//! Following what token-service tells of revocations.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http_body::Body;
use tonic::{Request, Status, client::GrpcService};

use crate::{
    Reason,
    token::{Revocations, WatchRevocationsRequest, token_service_client::TokenServiceClient},
};

/// token-service says something every second.
const SILENCE: Duration = Duration::from_secs(3);
/// Before the next attempt.
const PAUSE: Duration = Duration::from_millis(300);

type BoxError = Box<dyn Error + Send + Sync>;

/// Follows for ever. Between two streams nothing is missed: the next begins where the last one ended. Where token-service
/// does not answer, nothing is heard: what is remembered of a credential must end by its age.
pub async fn follow<T, F>(client: TokenServiceClient<T>, mut heard: impl FnMut(Revocations) -> F)
where
    T: GrpcService<tonic::body::Body, Error: Into<BoxError>, ResponseBody: Body<Data = Bytes> + Send + 'static> + Clone,
    <T::ResponseBody as Body>::Error: Into<BoxError> + Send,
    F: Future<Output = ()>,
{
    let mut position = None;
    let mut told = false;
    loop {
        let before = position;
        let ended = one(client.clone(), &mut position, &mut heard).await;
        if position != before {
            told = false;
        }
        if !told {
            told = true;
            let reason = crate::refusal(&ended).reason;
            if ended.code() == tonic::Code::Unimplemented {
                tracing::info!("token-service is of a release that does not tell of revocations");
            } else if reason != Reason::Unavailable {
                tracing::warn!(reason = reason.as_str(), "the stream of revocations ended, it is begun again");
            } else {
                tracing::info!("the stream of revocations ended, it is begun again");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn one<T, F>(
    mut client: TokenServiceClient<T>,
    position: &mut Option<i64>,
    heard: &mut impl FnMut(Revocations) -> F,
) -> Status
where
    T: GrpcService<tonic::body::Body, Error: Into<BoxError>, ResponseBody: Body<Data = Bytes> + Send + 'static>,
    <T::ResponseBody as Body>::Error: Into<BoxError> + Send,
    F: Future<Output = ()>,
{
    let silence = |_| Status::unavailable("nothing was heard for too long");
    let request = Request::new(WatchRevocationsRequest { after_position: *position });
    let begun = tokio::time::timeout(SILENCE, client.watch_revocations(request)).await.map_err(silence);
    let mut stream = match begun {
        Ok(Ok(answer)) => answer.into_inner(),
        Ok(Err(status)) | Err(status) => return status,
    };
    loop {
        match tokio::time::timeout(SILENCE, stream.message()).await.map_err(silence) {
            Ok(Ok(Some(message))) => {
                let at = message.position;
                heard(message).await;
                *position = Some(at);
            }
            Ok(Ok(None)) => return Status::unavailable("the stream ended"),
            Ok(Err(status)) | Err(status) => return status,
        }
    }
}
