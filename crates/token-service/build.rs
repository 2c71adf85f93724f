//! Compiles again when a migration is added: `embed_migrations!` reads the directory, which cargo does not see.
#![expect(clippy::print_stdout, reason = "how cargo is told")]

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
