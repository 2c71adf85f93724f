//! Takes the tenant predicates out of the statements, one at a time: the suite must fail for each. Without row-level security,
//! which would hide them.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use identity_service::mutants;

use crate::{harness::Server, suite, twins};

/// Predicates whose absence nobody can notice, by a part of their context, and why.
const EQUIVALENT: &[(&str, &str)] = &[
    ("SELECT 1 AS n FROM organization WHERE <id = ?>", "locks more rows than it has to, and reads none"),
    (
        "SELECT * FROM scim_group r WHERE <r.org = ?> AND r.id = i.id FOR NO",
        "locks more rows than it has to, and reads none",
    ),
    (
        "search = ? FROM organization o WHERE <o.id = ?> AND r.org = ? AND r.id ",
        "the gate was asked a moment before; this one is for what changes in between",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_fails_for_each_predicate_that_is_gone() {
    let mut survivors = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut killed = 0;
    let kinds = testkit::databases().len();
    for kind in 0..kinds {
        // A database for each, so that nothing is found of the one before.
        let fresh = async || {
            let databases = Arc::new([0, 1].map(|_| testkit::databases().swap_remove(kind)));
            let urls = [databases[0].direct().to_owned(), databases[1].direct().to_owned()];
            Server::open_at(databases, urls, |_| {}).await
        };
        let alone = twins::alone(&mut fresh().await).await;
        suite(&mut fresh().await, &alone).await;
        let all = mutants::seen();
        let new: Vec<String> = all.difference(&seen).cloned().collect();
        seen.extend(all);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        for (n, mutant) in new.iter().enumerate() {
            let mut server = fresh().await;
            mutants::choose(Some(mutant.clone()));
            let run = AssertUnwindSafe(suite(&mut server, &alone)).catch_unwind();
            let given = tokio::time::timeout(Duration::from_secs(60), run).await;
            mutants::choose(None);
            match given {
                Ok(Ok(())) => {
                    eprintln!("survived: {mutant}");
                    survivors.insert(mutant.clone());
                }
                _ => killed += 1,
            }
            eprintln!("{} of {}: {killed} killed, {} survived", n + 1, new.len(), survivors.len());
        }
        std::panic::set_hook(hook);
    }
    // What only the tests of the service reach, and those of its background work notice.
    let lines = |variable: &str| -> BTreeSet<String> {
        let text = std::env::var(variable).ok().map(|path| std::fs::read_to_string(&path).expect(&path));
        text.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
    };
    let noticed = lines("ROLLCALL_MUTANTS_KILLED");
    let of_service = lines("ROLLCALL_MUTANTS_OF_SERVICE");
    let unreached: Vec<String> =
        of_service.difference(&seen).filter(|line| !noticed.contains(*line)).cloned().collect();
    survivors.retain(|mutant| !noticed.contains(mutant));
    println!("{killed} killed, {} survived, {} not reached", survivors.len(), unreached.len());
    let unexplained = survivors.iter().chain(&unreached);
    let unexplained: Vec<&String> =
        unexplained.filter(|mutant| !EQUIVALENT.iter().any(|(part, _)| mutant.contains(part))).collect();
    assert!(unexplained.is_empty(), "no test fails without these predicates: {unexplained:#?}");
}
