//! `/Bulk`: RFC 7644 section 3.7. Each operation is the single request of its kind and a transaction of its own.
//! Not here: what an operation and a reference look like, and the order they run in (`scim::bulk`).

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use axum::{extract::Request, response::Response};
use http::StatusCode;
use scim::{
    Error, ErrorKind, Object,
    bulk::{self, Call, Endpoint, Later, Method, Operation, Outcome, Step, Target},
};
use serde_json::Value;
use tracing::Instrument as _;
use uuid::Uuid;
use wire::identity::Precondition;

use super::{Done, Work, groups, to_json, users};
use crate::{
    error::{Failure, Result},
    extract::{Id, Payload},
    gateway::Session,
    limits::{Lane, Place},
    reply, scopes,
};

/// Kept of the request's time to remove what is half made, and to answer.
const RESERVE: Duration = Duration::from_secs(3);
/// The time to remove one resource that is half made.
const REMOVAL: Duration = Duration::from_secs(10);

pub(crate) async fn run(session: Session, request: Request) -> Result<Response> {
    let request = match read(&session, request).await {
        Ok(request) => request,
        Err(failure) => {
            let _place = session.admit(Lane::Main).await?;
            return Err(failure);
        }
    };
    // Runs to its end even where the client goes away: nothing stays half made.
    let work = tokio::spawn(execute(session, request).in_current_span());
    let answer = work.await.map_err(|_| Failure::internal())?;
    Ok(reply::json(StatusCode::OK, to_json(&answer)?))
}

async fn read(session: &Session, request: Request) -> Result<bulk::Request> {
    let (parts, body) = request.into_parts();
    let payload = Payload::read(&parts.headers, body, bulk::MAX_PAYLOAD, &session.room).await;
    let payload = payload.map_err(|failure| match failure.kind() {
        ErrorKind::PayloadTooLarge => failure.saying(format!(
            "The size of the bulk request exceeds maxPayloadSize ({} bytes). Send several requests.",
            bulk::MAX_PAYLOAD
        )),
        _ => failure,
    })?;
    session.trail.body(&payload.bytes);
    payload.parse(bulk::parse).await
}

/// What became of the POST with a `bulkId`.
enum Made {
    Id(Uuid),
    Failed,
}

struct Run {
    session: Session,
    operations: Vec<Operation>,
    outcomes: Vec<Option<Outcome>>,
    made: HashMap<String, Made>,
    /// What the POSTs that wait for completion were sent without.
    later: HashMap<usize, Later>,
    errors: usize,
    refused: u64,
}

async fn execute(session: Session, request: bulk::Request) -> Value {
    let outcomes = request.operations.iter().map(|_| None).collect();
    let steps = bulk::plan(&request.operations);
    let most = request.fail_on_errors.unwrap_or(usize::MAX);
    let (made, later) = (HashMap::new(), HashMap::new());
    let mut run = Run { session, operations: request.operations, outcomes, made, later, errors: 0, refused: 0 };
    for step in steps {
        match step {
            Step::Run(n) if run.errors < most => run.operate(n).await,
            Step::Run(_) => {}
            // After the last error too: it is removed if it cannot be completed.
            Step::Complete(n) => run.complete(n).await,
        }
    }
    run.session.trail.bulk(run.operations.len(), run.errors);
    tracing::info!(operations = run.operations.len(), errors = run.errors, limited = run.refused, "bulk");
    bulk::response(&run.operations, &run.outcomes)
}

impl Run {
    async fn operate(&mut self, n: usize) {
        let Some(operation) = self.operations.get(n).cloned() else { return };
        let method = operation.call.as_ref().ok().map(|call| call.method);
        let location = operation.call.as_ref().ok().and_then(|call| self.location(call));
        let creates = operation.creates().map(str::to_owned);
        let result = match operation.call {
            Ok(call) => self.call(n, call, creates.as_deref()).await,
            Err(error) => self.admit(Lane::Main).await.and_then(|_place| Err(error.into())),
        };
        let outcome = match result {
            Ok((endpoint, done)) => {
                if let Some(id) = creates {
                    self.made.insert(id, Made::Id(done.id));
                }
                let location = Some(self.url(endpoint, done.id));
                Outcome { status: done.status.as_u16(), location, version: done.version, error: None }
            }
            Err(failure) => {
                if let Some(id) = creates {
                    self.made.insert(id, Made::Failed);
                }
                self.later.remove(&n);
                self.errors += 1;
                let location = location.filter(|_| method != Some(Method::Post));
                failed(failure.into_error(), location)
            }
        };
        self.set(n, outcome);
    }

    async fn call(&mut self, n: usize, mut call: Call, creates: Option<&str>) -> Result<(Endpoint, Done)> {
        let endpoint = call.endpoint;
        let mut later = Later::default();
        if creates.is_some() {
            let posts: Vec<&str> = self.operations.iter().filter_map(Operation::creates).collect();
            later = bulk::set_aside(&mut call.data, &|id| !self.made.contains_key(id) && posts.contains(&id));
        }
        // The budget is drawn on first, as by a single request: for one that fails too.
        let prepared = self.prepare(call);
        let lane = match &prepared {
            Ok((Endpoint::Users, work, _)) => users::lane(work),
            Ok((Endpoint::Groups, work, _)) => groups::lane(work),
            Err(_) => Lane::Main,
        };
        let _place = self.admit(lane).await?;
        self.session.scopes.require(scopes::operation(endpoint))?;
        let (endpoint, work, if_match) = prepared?;
        self.in_time()?;
        if !later.is_empty() {
            self.later.insert(n, later);
        }
        Ok((endpoint, operate(&self.session, endpoint, work, if_match).await?))
    }

    /// References resolved, the id and the version read.
    fn prepare(&self, call: Call) -> Result<(Endpoint, Work, Option<Precondition>)> {
        let Call { method, endpoint, target, version, data } = call;
        let id = match target {
            None => None,
            Some(Target::Id(text)) => Some(Id::read(&text).of(match endpoint {
                Endpoint::Users => &self.session.types.user,
                Endpoint::Groups => &self.session.types.group,
            })?),
            Some(Target::BulkId(id)) => Some(self.id(&id)?),
        };
        let data = self.resolved(data)?;
        let if_match = match method {
            Method::Post => None,
            _ => scim::etag::if_match(version.as_deref())?.map(|versions| Precondition { versions }),
        };
        let work = match (method, id) {
            (Method::Post, _) => Work::Create(data),
            (Method::Put, Some(id)) => Work::Replace(id, data),
            (Method::Patch, Some(id)) => Work::Patch(id, data),
            (Method::Delete, Some(id)) => Work::Delete(id),
            (_, None) => return Err(Failure::internal()),
        };
        Ok((endpoint, work, if_match))
    }

    fn resolved(&self, mut data: Object) -> Result<Value> {
        for id in bulk::references(&data) {
            // Of one that failed, even where it may be mere text: what was meant cannot be known.
            if matches!(self.made.get(&id), Some(Made::Failed)) {
                return Err(self.unresolved(&id));
            }
        }
        let known = |id: &str| match self.made.get(id) {
            Some(Made::Id(id)) => Some(id.to_string()),
            _ => None,
        };
        match bulk::resolve(&mut data, &known) {
            None => Ok(Value::Object(data)),
            Some(id) => Err(self.unresolved(&id)),
        }
    }

    fn id(&self, bulk_id: &str) -> Result<Uuid> {
        match self.made.get(bulk_id) {
            Some(Made::Id(id)) => Ok(*id),
            _ => Err(self.unresolved(bulk_id)),
        }
    }

    fn unresolved(&self, bulk_id: &str) -> Failure {
        let shown: String = bulk_id.chars().take(50).collect();
        if self.operations.iter().any(|operation| operation.creates() == Some(bulk_id)) {
            let detail = format!(
                "This refers to bulkId {shown:?}, whose resource was not created. Correct that operation, then send \
                 both again."
            );
            return Failure::new(ErrorKind::Conflict, detail);
        }
        let detail =
            format!("No POST of this request that can be tried has the bulkId {shown:?}, which this refers to.");
        Failure::new(ErrorKind::InvalidValue, detail)
    }

    /// Brings a created resource what it was sent without; removes it where that fails.
    async fn complete(&mut self, n: usize) {
        let Some(later) = self.later.remove(&n) else { return };
        let Some(operation) = self.operations.get(n) else { return };
        let (Some(bulk_id), Ok(call)) = (operation.creates().map(str::to_owned), &operation.call) else { return };
        let endpoint = call.endpoint;
        let Ok(id) = self.id(&bulk_id) else { return };
        let result = match (self.in_time(), self.resolved(later.patch())) {
            (Ok(()), Ok(body)) => operate(&self.session, endpoint, Work::Patch(id, body), None).await,
            (Err(failure), _) | (_, Err(failure)) => Err(failure),
        };
        match result {
            Ok(done) => {
                if let Some(outcome) = self.outcomes.get_mut(n).and_then(Option::as_mut) {
                    outcome.version = done.version;
                }
            }
            Err(failure) => {
                self.made.insert(bulk_id, Made::Failed);
                self.errors += 1;
                let mut error = failure.into_error();
                let session = Session { deadline: Instant::now() + REMOVAL, ..self.session.clone() };
                if operate(&session, endpoint, Work::Delete(id), None).await.is_err() {
                    tracing::error!(resource = %id, "a half-made resource could not be removed");
                    error.detail.push_str(&format!(
                        " The resource was created without these references, and could not be removed: {}.",
                        self.url(endpoint, id)
                    ));
                }
                self.set(n, failed(error, None));
            }
        }
    }

    async fn admit(&mut self, lane: Lane) -> Result<Place> {
        let admitted = self.session.admit(lane).await;
        self.refused += u64::from(admitted.is_err());
        admitted
    }

    fn in_time(&self) -> Result<()> {
        if self.session.deadline.saturating_duration_since(Instant::now()) > RESERVE {
            return Ok(());
        }
        let detail = "The time for the request ran out before this operation. Send it again, with fewer others.";
        Err(Failure::new(ErrorKind::Unavailable, detail))
    }

    /// Where the path of an operation points, if anywhere.
    fn location(&self, call: &Call) -> Option<String> {
        match call.target.as_ref()? {
            Target::Id(id) => Some(format!("{}{}/{id}", self.session.base_url(), call.endpoint.path())),
            Target::BulkId(id) => Some(self.url(call.endpoint, self.id(id).ok()?)),
        }
    }

    fn url(&self, endpoint: Endpoint, id: Uuid) -> String {
        format!("{}{}/{id}", self.session.base_url(), endpoint.path())
    }

    fn set(&mut self, n: usize, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(n) {
            *place = Some(outcome);
        }
    }
}

async fn operate(session: &Session, endpoint: Endpoint, work: Work, if_match: Option<Precondition>) -> Result<Done> {
    match endpoint {
        Endpoint::Users => users::operate(session, work, if_match).await,
        Endpoint::Groups => groups::operate(session, work, if_match).await,
    }
}

fn failed(error: Error, location: Option<String>) -> Outcome {
    Outcome { status: error.kind.status(), location, version: None, error: Some(error) }
}
