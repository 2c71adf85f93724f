//! `cargo xtask codegen`: the gRPC code in `crates/wire/src/generated`, from `proto/`.
//!
//! The output is committed, so that nobody needs a protobuf compiler to build.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;

const PROTOS: [&str; 8] = [
    "rollcall/common/v1/common.proto",
    "rollcall/identity/v1/account.proto",
    "rollcall/identity/v1/console.proto",
    "rollcall/identity/v1/identity.proto",
    "rollcall/identity/v1/log.proto",
    "rollcall/identity/v1/organization.proto",
    "rollcall/token/v1/oauth.proto",
    "rollcall/token/v1/token.proto",
];

/// Writes the generated code, or with `check` fails when it is stale.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let committed = root.join("crates/wire/src/generated");
    let fresh = root.join("target/codegen");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    generate(&root.join("proto"), &fresh)?;
    fs::create_dir_all(&committed)?;
    for entry in fs::read_dir(&fresh)? {
        let entry = entry?;
        let to = committed.join(entry.file_name());
        let new = fs::read(entry.path())?;
        if fs::read(&to).is_ok_and(|old| old == new) {
            continue;
        }
        ensure!(!check, "{} is stale: run `cargo xtask codegen`", to.display());
        fs::write(&to, new)?;
    }
    Ok(())
}

fn generate(protos: &Path, out: &Path) -> Result<()> {
    let set = protox::compile(PROTOS, [protos]).context("compiling proto/")?;
    // For reflection: the same set, less the comments.
    let mut bare = set.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    fs::write(out.join("descriptor.bin"), bare.encode_to_vec())?;
    tonic_prost_build::configure()
        .out_dir(out)
        .bytes(".")
        .build_transport(false)
        .compile_fds(set)
        .context("generating gRPC code")?;
    Ok(())
}
