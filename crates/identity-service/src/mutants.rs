//! For `cargo xtask mutate` only, never part of the product: takes one tenant predicate out of the statements, to see
//! whether a test fails for it.
//!
//! A predicate is known by the text around it, so one that several statements share is one mutant.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How a predicate on the tenant reads: a column `org`, or the organization's own `id`, and what it is compared with.
const COLUMNS: [&str; 2] = ["org", "o.id"];

struct State {
    seen: BTreeSet<String>,
    chosen: Option<String>,
}

static STATE: Mutex<State> = Mutex::new(State { seen: BTreeSet::new(), chosen: None });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on the statements lack this predicate, or none.
pub fn choose(mutant: Option<String>) {
    state().chosen = mutant;
}

/// The predicates of the statements that were sent so far.
pub fn seen() -> BTreeSet<String> {
    state().seen.clone()
}

/// A statement as it is sent.
pub(crate) fn mutated(text: &str) -> String {
    let mut state = state();
    let (mut sent, mut from) = (String::with_capacity(text.len()), 0);
    for (begin, end) in predicates(text) {
        let context = context(text, begin, end);
        sent.push_str(&text[from..begin]);
        if state.chosen.as_ref() == Some(&context) {
            // What is bound stays bound, and its type known.
            sent.push_str(&format!("({} OR 1 = 1)", &text[begin..end]));
        } else {
            sent.push_str(&text[begin..end]);
        }
        if !state.seen.contains(&context) {
            note(&context);
            state.seen.insert(context);
        }
        from = end;
    }
    sent.push_str(&text[from..]);
    sent
}

/// For other processes: a line for each predicate, in the file that the variable names.
fn note(context: &str) {
    use std::io::Write as _;
    let Some(path) = std::env::var_os("ROLLCALL_MUTANTS_SEEN") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // What cannot be noted is not tried, and the task says how many were.
    let _ = file.and_then(|mut file| writeln!(file, "{context}"));
}

/// Where they begin and end.
fn predicates(text: &str) -> Vec<(usize, usize)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut found = Vec::new();
    for (at, _) in text.match_indices(" = ") {
        let left = text[..at].rfind(|c| !word(c)).map_or(0, |before| before + 1);
        let right = &text[at + 3..];
        let length = if right.starts_with('?') { 1 } else { right.find(|c| !word(c)).unwrap_or(right.len()) };
        let of_tenant = |side: &str| COLUMNS.contains(&side) || side.ends_with(".org");
        let (one, other) = (&text[left..at], &right[..length]);
        let own = one == "id" && text[..left].ends_with("organization WHERE ");
        // What an UPDATE sets is no predicate.
        let condition = !text[..left].ends_with("SET ");
        if condition && (of_tenant(one) || own) && (other == "?" || of_tenant(other)) {
            found.push((left, at + 3 + length));
        }
    }
    found
}

/// What filters, orders and columns without end are put around: one predicate each, whatever the client asked for.
const ASKED: [&str; 8] = [
    "AS sort_key FROM scim_user r WHERE ",
    "AS sort_key FROM scim_group r WHERE ",
    "AS n FROM scim_user r WHERE ",
    "AS n FROM scim_group r WHERE ",
    "SELECT k.user_id FROM user_key k WHERE ",
    "SELECT m.group_id FROM group_member m WHERE ",
    "SELECT g.id FROM scim_group g WHERE ",
    "SELECT g.id, g.id FROM scim_group g WHERE ",
];

/// Enough of what stands around to tell it from others, and no client's text.
fn context(text: &str, begin: usize, end: usize) -> String {
    const BEFORE: usize = 70;
    const AFTER: usize = 24;
    let predicate = &text[begin..end];
    if let Some(asked) = ASKED.iter().find(|asked| text[..begin].ends_with(**asked)) {
        return format!("{asked}<{predicate}>");
    }
    let before = &text[text.floor_char_boundary(begin.saturating_sub(BEFORE))..begin];
    let query = ["SELECT ", "UPDATE ", "DELETE ", "INSERT "].iter().filter_map(|word| before.rfind(word)).max();
    let after = &text[end..text.ceil_char_boundary((end + AFTER).min(text.len()))];
    let bracket = after.find('(').unwrap_or(after.len());
    format!("{}<{predicate}>{}", &before[query.unwrap_or(0)..], &after[..bracket])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_predicate_is_taken_out_and_its_value_stays_bound() {
        let text = "SELECT 1 FROM scim_user r JOIN user_key k ON k.org = r.org WHERE r.org = ? AND r.id = ?";
        let found: Vec<&str> = predicates(text).into_iter().map(|(begin, end)| &text[begin..end]).collect();
        assert_eq!(found, ["k.org = r.org", "r.org = ?"]);
        assert_eq!(mutated(text), text);
        let (begin, end) = predicates(text)[1];
        choose(Some(context(text, begin, end)));
        assert!(mutated(text).ends_with("WHERE (r.org = ? OR 1 = 1) AND r.id = ?"));
        choose(None);
    }
}
