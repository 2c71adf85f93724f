//! The vectors in the repository: what each implementation made opens here.

use serde_json::Value;

use crate::{made::fixed, vectors};

fn directory() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(directory().join(name)).expect("a file of vectors");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn what_rust_made_opens() {
    vectors::open(&read("rust.json"));
}

#[test]
fn what_the_browser_made_opens() {
    vectors::open(&read("browser.json"));
}

/// Another result from the same randomness is another protocol: what is stored would not open any more.
#[test]
fn rust_makes_what_it_made() {
    let made = vectors::make(fixed(42));
    if std::env::var_os("ACCOUNT_KEYS_WRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&made).expect("JSON") + "\n";
        std::fs::write(directory().join("rust.json"), text).expect("written");
    }
    assert_eq!(made, read("rust.json"), "ACCOUNT_KEYS_WRITE_VECTORS=1 writes vectors/rust.json anew");
}
