//! `groups` of a user and `members` of a group, from the table of members.

use scim::{
    attr::AttrPath,
    filter::{CompareOp, Filter, Literal},
};
use wire::Refusal;

use super::{
    super::statement::{Statement, Value, for_each},
    Compiler, always,
    compare::{Operand, compare},
    constant, join, known, not, unsupported,
};
use crate::domain::{group::MemberType, list::Target};

/// How a user is in a group, where that is known of the element.
#[derive(Clone, Copy, Debug)]
enum Way {
    Any,
    Direct,
    /// Through nested groups alone.
    Indirect,
}

const USERS: &str = "u.org = ? AND u.group_id = b.id AND u.member_type = 1";
const NESTED: &str = "n.org = ? AND n.group_id = b.id AND n.member_type = 2";

impl Compiler<'_> {
    /// Resources with an element that satisfies the filter.
    pub(super) fn membership(self, filter: &Filter<'_>) -> Result<Statement, Refusal> {
        match self.target {
            Target::Group => {
                let text = "r.id IN (SELECT m.group_id FROM group_member m WHERE m.org = ? AND ";
                let mut found = Statement::new(text, [Value::id(self.org)]);
                found.append(self.members(filter)?).push(")", []);
                Ok(found)
            }
            Target::User if tells_ways_apart(filter) => {
                let ways = [
                    self.in_groups(Way::Direct, self.element(filter, Way::Direct)?),
                    self.in_groups(Way::Indirect, self.element(filter, Way::Indirect)?),
                ];
                Ok(join(ways.into(), " OR ", false))
            }
            Target::User => Ok(self.in_groups(Way::Any, self.element(filter, Way::Any)?)),
        }
    }

    /// Users that are in a group, which satisfies a condition on `g`, in this way. The UNION ends on cycles.
    fn in_groups(self, way: Way, condition: Statement) -> Statement {
        if known(&condition) == Some(false) {
            return condition;
        }
        let org = || Value::id(self.org);
        let each = |columns, few, table, condition: &str| for_each(self.backend, columns, few, table, condition);
        let (table, rest, orgs) = match way {
            Way::Any => (
                "RECURSIVE below (id)",
                format!(
                    " UNION {}) {})",
                    each("n.member_id", "below b", "group_member n", NESTED),
                    each("u.member_id", "below b", "group_member u", USERS),
                ),
                2,
            ),
            Way::Direct => ("below (id)", format!(") {})", each("u.member_id", "below b", "group_member u", USERS)), 1),
            Way::Indirect => {
                let not_direct = "NOT EXISTS (SELECT 1 FROM group_member d WHERE d.org = ? AND d.group_id = b.top AND \
                                  d.member_id = u.member_id)";
                (
                    "RECURSIVE top (id)",
                    format!(
                        "), below (top, id) AS ({} UNION {}) {})",
                        each("b.id, n.member_id", "top b", "group_member n", NESTED),
                        each("b.top, n.member_id", "below b", "group_member n", NESTED),
                        each("u.member_id", "below b", "group_member u", &format!("{USERS} AND {not_direct}")),
                    ),
                    4,
                )
            }
        };
        let text = format!("r.id IN (WITH {table} AS (SELECT g.id FROM scim_group g WHERE g.org = ? AND ");
        let mut found = Statement::new(text, [org()]);
        found.append(condition).push(&rest, std::iter::repeat_with(org).take(orgs));
        found
    }

    /// A filter on one member, alias `m`.
    pub(crate) fn members(self, filter: &Filter<'_>) -> Result<Statement, Refusal> {
        self.element(filter, Way::Any)
    }

    /// A filter on one element: of `members` on alias `m`, of `groups` on `g`.
    fn element(self, filter: &Filter<'_>, way: Way) -> Result<Statement, Refusal> {
        let all =
            |terms: &[Filter<'_>]| terms.iter().map(|term| self.element(term, way)).collect::<Result<Vec<_>, _>>();
        match filter {
            Filter::And(terms) => Ok(join(all(terms)?, " AND ", true)),
            Filter::Or(terms) => Ok(join(all(terms)?, " OR ", false)),
            Filter::Not(inner) => Ok(not(self.element(inner, way)?)),
            Filter::Present(path) => self.member_present(path),
            Filter::Compare { path, op: CompareOp::Eq, literal: Literal::Null } => Ok(not(self.member_present(path)?)),
            Filter::Compare { path, literal: Literal::Null, .. } => self.member_present(path),
            Filter::Compare { path, op: CompareOp::Ne, literal } => {
                Ok(not(self.member(path, CompareOp::Eq, literal, way)?))
            }
            Filter::Compare { path, op, literal } => self.member(path, *op, literal, way),
            Filter::ValuePath { path, .. } => Err(unsupported(path)),
        }
    }

    fn member_present(self, path: &AttrPath<'_>) -> Result<Statement, Refusal> {
        match (self.target, path.sub.map(|sub| sub.name.as_str())) {
            (_, None | Some("value" | "$ref" | "type")) | (Target::User, Some("display")) => Ok(always(true)),
            _ => Err(unsupported(path)),
        }
    }

    /// A comparison on one element.
    fn member(self, path: &AttrPath<'_>, op: CompareOp, literal: &Literal, way: Way) -> Result<Statement, Refusal> {
        let compiled = match (self.target, path.sub.map(|sub| sub.name.as_str())) {
            (Target::Group, None | Some("value")) => self.id("m.member_id", op, literal),
            (Target::Group, Some("type")) => {
                let named = |name| Some(constant(path, name, op, literal));
                of_each_type([named("User"), named("Group")])
            }
            (Target::Group, Some("$ref")) => self.member_uri(op, literal)?,
            (Target::User, None | Some("value")) => self.id("g.id", op, literal),
            (Target::User, Some("display")) => {
                compare(self.backend, Operand::Text(Statement::new("g.display_name_key", [])), op, literal)
            }
            (Target::User, Some("$ref")) => self.location("/Groups", "g.id", op, literal)?,
            (Target::User, Some("type")) => match way {
                Way::Any => None,
                Way::Direct => Some(constant(path, "direct", op, literal)),
                Way::Indirect => Some(constant(path, "indirect", op, literal)),
            },
            _ => None,
        };
        compiled.ok_or_else(|| unsupported(path))
    }

    fn member_uri(self, op: CompareOp, literal: &Literal) -> Result<Option<Statement>, Refusal> {
        let user = self.location("/Users", "m.member_id", op, literal)?;
        let group = self.location("/Groups", "m.member_id", op, literal)?;
        if op != CompareOp::Eq {
            return Ok(of_each_type([user, group]));
        }
        // The index that finds a member does not have its type, and for that SQLite would rather walk over all members.
        let there = |uri: Option<Statement>, table| {
            let text = format!("EXISTS (SELECT 1 FROM {table} t WHERE t.org = ? AND t.id = m.member_id)");
            Some(join(vec![uri?, Statement::new(text, [Value::id(self.org)])], " AND ", true))
        };
        let each = there(user, "scim_user").zip(there(group, "scim_group"));
        Ok(each.map(|(user, group)| join(vec![user, group], " OR ", false)))
    }
}

/// One condition for members that are users, another for those that are groups.
fn of_each_type([users, groups]: [Option<Statement>; 2]) -> Option<Statement> {
    let of = |r#type: MemberType, condition| {
        let is = Statement::new(format!("m.member_type = {}", r#type.code()), []);
        join(vec![condition, is], " AND ", true)
    };
    Some(join(vec![of(MemberType::User, users?), of(MemberType::Group, groups?)], " OR ", false))
}

/// Whether the filter is on `groups.type`.
fn tells_ways_apart(filter: &Filter<'_>) -> bool {
    match filter {
        Filter::And(terms) | Filter::Or(terms) => terms.iter().any(tells_ways_apart),
        Filter::Not(inner) => tells_ways_apart(inner),
        Filter::Compare { literal: Literal::Null, .. } | Filter::Present(_) | Filter::ValuePath { .. } => false,
        Filter::Compare { path, .. } => path.sub.is_some_and(|sub| sub.name == "type"),
    }
}
