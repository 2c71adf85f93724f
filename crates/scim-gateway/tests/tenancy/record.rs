//! The statements that a request sends to the databases, less what is not a matter of the request.

/// What a call answers, and the statements it sent.
pub(crate) async fn recorded<T>(call: impl Future<Output = T>) -> (T, Vec<String>) {
    let (answer, statements) = testkit::statements::recorded(call).await;
    let mut kept: Vec<String> = Vec::new();
    for text in statements.into_iter().filter(|text| !is_now_and_then(text)) {
        // A transaction of which nothing is left was about what is left out.
        if text == "COMMIT" && kept.last().is_some_and(|last| last.starts_with("BEGIN")) {
            kept.pop();
        } else {
            kept.push(text);
        }
    }
    (answer, kept)
}

/// What is remembered for a moment, or asked of a connection that was idle: not a matter of the request.
fn is_now_and_then(text: &str) -> bool {
    let remembered = ["schema_extension", "\"token\"", "`token`"].iter().any(|table| text.contains(table));
    let settings = text.starts_with("SELECT \"organization\"") || text.starts_with("SELECT `organization`");
    remembered || settings || text == "SELECT 1" || text.contains("FROM rank_block") && text.starts_with("SELECT CAST")
}
