//! Rules about the migration trees of the services.
//!
//! Not here: whether both trees make the same tables. A test of each service compares them.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};

const TABLE: &str = "__schema_compatibility";

/// Complaints about both trees of each service.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for service in ["identity-service", "token-service"] {
        let migrations = format!("crates/{service}/migrations");
        let [sqlite, postgres] = ["sqlite", "postgres"].map(|database| tree(&root.join(&migrations).join(database)));
        complaints.extend(compare(&migrations, &sqlite?, &postgres?));
    }
    Ok(complaints)
}

/// The SQL of each migration, by the version that Diesel makes of its directory's name.
fn tree(directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut tree = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = name.split('_').next().unwrap_or_default().replace('-', "");
        let file = path.join("up.sql");
        tree.insert(version, fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?);
    }
    Ok(tree)
}

fn compare(shown: &str, sqlite: &BTreeMap<String, String>, postgres: &BTreeMap<String, String>) -> Vec<String> {
    let mut complaints = Vec::new();
    if sqlite.is_empty() || !sqlite.keys().eq(postgres.keys()) {
        complaints.push(format!("{shown}: both databases need the same migrations, and at least one"));
    }
    for (version, sql) in sqlite {
        let row = |known: &str| format!("INSERT INTO {TABLE} (migration, known) VALUES ('{version}', '{known}');");
        let both = || [Some(sql), postgres.get(version)].into_iter().flatten();
        let sound = sqlite.range(..version.clone()).any(|(known, _)| both().all(|sql| sql.contains(&row(known))));
        if both().any(|sql| sql.contains(TABLE)) && !sound {
            let row = row("VERSION");
            complaints
                .push(format!("{shown}: {version} needs `{row}` in both trees, with the version of an earlier one"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_says_of_itself_in_both_trees_which_earlier_one_is_enough() {
        let tree = |row: &str| -> BTreeMap<String, String> {
            [("1", "CREATE TABLE a (b text);"), ("2", row)].map(|(v, sql)| (v.to_owned(), sql.to_owned())).into()
        };
        let row =
            |migration, known| format!("INSERT INTO {TABLE} (migration, known) VALUES ('{migration}', '{known}');");
        let (silent, sound) = (tree("ALTER TABLE a ADD c text;"), tree(&row("2", "1")));
        assert_eq!(compare("m", &silent, &silent), Vec::<String>::new());
        assert_eq!(compare("m", &sound, &sound), Vec::<String>::new());
        for wrong in [&row("1", "1"), &row("2", "2"), &row("2", "3"), &row("2", "1").replace("known", "k")] {
            assert_eq!(compare("m", &tree(wrong), &tree(wrong)).len(), 1, "{wrong}");
        }
        assert_eq!(compare("m", &sound, &silent).len(), 1, "one tree says it, the other does not");
        let one: BTreeMap<_, _> = [("1".to_owned(), String::new())].into();
        assert_eq!(compare("m", &one, &silent).len(), 1, "one tree has it, the other does not");
        assert_eq!(compare("m", &BTreeMap::new(), &BTreeMap::new()).len(), 1);
    }
}
