//! The schemas that organizations add, and the resource types that come of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::store::{AnyConnection, Instant};
use scim::{
    Object, ResourceType,
    schema::{Extension, MAX_EXTENSIONS, Types, parse_extension},
};
use serde_json::json;
use tokio::time::Instant as Moment;
use wire::{Reason, Refusal};

use super::{
    Core, Scope, organization_of,
    organizations::{not_a_client, organization_lock},
};
use crate::{
    domain::{
        OrgId,
        event::{Kind, NewEvent},
        user::parse_stored,
    },
    error::{Refused, from_scim, refused},
    store::schema_extension::{self, SchemaRow},
};

/// How long another process may not know of a schema.
const BELIEVED: Duration = Duration::from_millis(500);
/// Organizations whose resource types are remembered.
const REMEMBERED: usize = 10_000;

/// A schema with its instant of creation.
#[derive(Clone, Debug)]
pub(crate) struct AddedSchema {
    pub(crate) extension: Extension,
    pub(crate) created: Instant,
}

/// What was read of an organization, and when it was asked for.
#[derive(Clone, Debug)]
struct Seen {
    types: Arc<Types>,
    asked: Moment,
}

/// The resource types of organizations that were looked at lately. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct TypesCache(Arc<Mutex<HashMap<OrgId, Seen>>>);

impl TypesCache {
    fn fresh(&self, org: OrgId) -> Option<Arc<Types>> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&org).filter(|seen| seen.asked.elapsed() < BELIEVED).map(|seen| Arc::clone(&seen.types))
    }

    /// Schemas are only ever added: the reading with more of them is the later one.
    fn remember(&self, org: OrgId, asked: Moment, types: &Arc<Types>) -> Arc<Types> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.retain(|_, seen| seen.asked.elapsed() < BELIEVED);
        }
        if let Some(seen) = all.get(&org).filter(|seen| seen.types.extensions() > types.extensions()) {
            return Arc::clone(&seen.types);
        }
        all.insert(org, Seen { types: Arc::clone(types), asked });
        Arc::clone(types)
    }
}

impl Core {
    /// The organization's resource types. Of an organization that does not exist: the built-in ones, and the work that
    /// they are for is refused.
    pub(crate) async fn types(&self, org: OrgId) -> Result<Arc<Types>, Refusal> {
        if let Some(types) = self.types_cache.fresh(org) {
            return Ok(types);
        }
        let asked = Moment::now();
        let rows = self.seek(org, move |conn| Ok(schema_extension::schemas(conn, org)?)).await?;
        let added = rows.into_iter().map(added).collect::<Result<Vec<_>, _>>()?;
        let types = Types::with(added.into_iter().map(|added| added.extension));
        Ok(self.types_cache.remember(org, asked, &types))
    }

    /// The resource types to change a stored resource by: read again where it has an extension that these do not know,
    /// which another process has just added. Else the change would drop its values.
    pub(super) fn types_for(
        conn: &mut AnyConnection,
        org: OrgId,
        types: &Arc<Types>,
        rt: fn(&Types) -> &ResourceType,
        stored: &Object,
    ) -> Result<Arc<Types>, Refused> {
        let mut extensions = stored.keys().filter(|name| name.contains(':'));
        if extensions.all(|urn| rt(types).extension(urn).is_some()) {
            return Ok(Arc::clone(types));
        }
        let rows = schema_extension::schemas(conn, org)?;
        let added = rows.into_iter().map(added).collect::<Result<Vec<_>, _>>().map_err(Refused::Refused)?;
        Ok(Types::with(added.into_iter().map(|added| added.extension)))
    }

    pub(crate) async fn schema_add(&self, scope: Scope, document: &[u8]) -> Result<AddedSchema, Refusal> {
        not_a_client(&scope.actor)?;
        let extension =
            scim::json::parse_object(document).and_then(|document| parse_extension(&document)).map_err(from_scim)?;
        let (core, now, org, asked) = (self.clone(), self.clock.now(), scope.org, Moment::now());
        let (added, types) = self
            .write(scope.org, move |conn| {
                // One at a time, so that none is added beside one that it is too close to.
                organization_lock(conn, scope.org)?;
                let others = schema_extension::schemas(conn, scope.org)?;
                let others = others.into_iter().map(added).collect::<Result<Vec<_>, _>>().map_err(Refused::Refused)?;
                if others.len() >= MAX_EXTENSIONS {
                    let message = format!("The organization has {MAX_EXTENSIONS} schemas, which is the most.");
                    return Err(refused(Reason::TooMany, message));
                }
                for other in &others {
                    let close = |error| Refusal { reason: Reason::Uniqueness, ..from_scim(error) };
                    let other = &other.extension.schema.id;
                    extension.check_beside(other).map_err(|error| Refused::Refused(close(error)))?;
                }
                // Their order is that of their instants.
                let last = others.last().map_or(now, |last| last.created.saturating_add_micros(1));
                let document = extension.document();
                let row = SchemaRow { document: document.to_string(), created: now.max(last) };
                let urn = &extension.schema.id;
                schema_extension::schema_insert(conn, scope.org, urn, extension.extends.as_str(), &row)?;
                let delta = json!({"after": {"schema": document}});
                core.record(conn, &scope, now, &[NewEvent { kind: Kind::SchemaAdded, subject: scope.org.0, delta }])?;
                let added = AddedSchema { extension: extension.clone(), created: row.created };
                let all = others.into_iter().map(|other| other.extension).chain([extension.clone()]);
                Ok((added, Types::with(all)))
            })
            .await?;
        self.types_cache.remember(org, asked, &types);
        Ok(added)
    }

    /// In the order they were added.
    pub(crate) async fn schema_list(&self, org: OrgId) -> Result<Vec<AddedSchema>, Refusal> {
        let rows = self
            .seek(org, move |conn| {
                organization_of(conn, org)?;
                Ok(schema_extension::schemas(conn, org)?)
            })
            .await?;
        rows.into_iter().map(added).collect()
    }
}

fn added(row: SchemaRow) -> Result<AddedSchema, Refusal> {
    let unreadable = |_| crate::error::internal(&"a stored schema cannot be read");
    let extension = parse_extension(&parse_stored(&row.document)?).map_err(unreadable)?;
    Ok(AddedSchema { extension, created: row.created })
}
