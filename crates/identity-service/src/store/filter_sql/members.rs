//! `groups` of a user and `members` of a group, from the table of members.

use scim::{
    attr::AttrPath,
    filter::{CompareOp, Filter, Literal},
};
use wire::Refusal;

use super::{
    super::statement::{Statement, Value, for_each},
    Compiler, Target, always,
    compare::{Operand, compare},
    join, not, unsupported,
};
use crate::domain::group::MemberType;

impl Compiler {
    /// Resources that have an element satisfying a condition: on `m` for members, on `g` for groups. A user is in a group
    /// directly or through nested groups; the UNION ends on cycles.
    pub(super) fn membership(self, condition: Statement) -> Result<Statement, Refusal> {
        let org = Value::id(self.org);
        let mut found = match self.target {
            Target::Group => {
                Statement::new("r.id IN (SELECT m.group_id FROM group_member m WHERE m.org = ? AND ", [org.clone()])
            }
            Target::User => Statement::new(
                "r.id IN (WITH RECURSIVE below (id) AS (SELECT g.id FROM scim_group g WHERE g.org = ? AND ",
                [org.clone()],
            ),
        };
        found.append(condition);
        match self.target {
            Target::Group => found.push(")", []),
            Target::User => {
                let nested = "n.org = ? AND n.group_id = b.id AND n.member_type = 2";
                let users = "u.org = ? AND u.group_id = b.id AND u.member_type = 1";
                let text = format!(
                    " UNION {}) {})",
                    for_each(self.backend, "n.member_id", "below b", "group_member n", nested),
                    for_each(self.backend, "u.member_id", "below b", "group_member u", users),
                );
                found.push(&text, [org.clone(), org])
            }
        };
        Ok(found)
    }

    /// A filter on one element: of `members` on alias `m`, of `groups` on `g`.
    pub(crate) fn members(self, filter: &Filter<'_>) -> Result<Statement, Refusal> {
        let all = |terms: &[Filter<'_>]| terms.iter().map(|term| self.members(term)).collect::<Result<Vec<_>, _>>();
        match filter {
            Filter::And(terms) => Ok(join(all(terms)?, " AND ", "1 = 1")),
            Filter::Or(terms) => Ok(join(all(terms)?, " OR ", "1 = 0")),
            Filter::Not(inner) => Ok(not(self.members(inner)?)),
            Filter::Present(path) => self.member_present(path),
            Filter::Compare { path, op: CompareOp::Eq, literal: Literal::Null } => Ok(not(self.member_present(path)?)),
            Filter::Compare { path, literal: Literal::Null, .. } => self.member_present(path),
            Filter::Compare { path, op: CompareOp::Ne, literal } => {
                Ok(not(self.member(path, CompareOp::Eq, literal)?))
            }
            Filter::Compare { path, op, literal } => self.member(path, *op, literal),
            Filter::ValuePath { path, .. } => Err(unsupported(path)),
        }
    }

    fn member_present(self, path: &AttrPath<'_>) -> Result<Statement, Refusal> {
        // The row has them all but for a member's display, which is not kept.
        match (self.target, path.sub.map(|sub| sub.name.as_str())) {
            (_, None | Some("value" | "$ref" | "type")) | (Target::User, Some("display")) => Ok(always(true)),
            (Target::Group, Some("display")) => Ok(always(false)),
            _ => Err(unsupported(path)),
        }
    }

    /// A comparison on one element.
    pub(super) fn member(self, path: &AttrPath<'_>, op: CompareOp, literal: &Literal) -> Result<Statement, Refusal> {
        let compiled = match (self.target, path.sub.map(|sub| sub.name.as_str())) {
            (Target::Group, None | Some("value")) => self.id("m.member_id", op, literal),
            (Target::Group, Some("type")) => {
                let named = |member_type, name| (member_type, compare_constant(self, path, name, op, literal));
                let each = [named(MemberType::User, "User"), named(MemberType::Group, "Group")];
                let mut any = Vec::new();
                for (member_type, holds) in each {
                    let Some(mut holds) = holds else { return Err(unsupported(path)) };
                    holds.push(&format!(" AND m.member_type = {}", member_type.code()), []);
                    any.push(holds);
                }
                Some(join(any, " OR ", "1 = 0"))
            }
            (Target::User, None | Some("value")) => self.id("g.id", op, literal),
            (Target::User, Some("display")) => {
                compare(self.backend, Operand::Text(Statement::new("g.display_name_key", [])), op, literal)
            }
            _ => None,
        };
        compiled.ok_or_else(|| unsupported(path))
    }
}

fn compare_constant(
    compiler: Compiler,
    path: &AttrPath<'_>,
    constant: &str,
    op: CompareOp,
    literal: &Literal,
) -> Option<Statement> {
    let text = if path.leaf().case_exact { constant.to_owned() } else { scim::fold(constant) };
    compare(compiler.backend, Operand::Text(Statement::new("?", [Value::text(text)])), op, literal)
}
