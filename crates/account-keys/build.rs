//! Makes the table of the browser's modules from `browser/dist/manifest.tsv`, or an empty one where they were not built.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_BROWSER").is_none() {
        return Ok(());
    }
    // It is there without modules, too: cargo would run this each time for a directory that is not.
    println!("cargo::rerun-if-changed=browser/dist");
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/dist");
    let manifest = match fs::read_to_string(dist.join("manifest.tsv")) {
        Ok(manifest) => manifest,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("files.rs"), table(&manifest)?)?;
    Ok(())
}

/// From lines of SHA-256, media type and path, with tabs between them.
fn table(manifest: &str) -> Result<String, Box<dyn Error>> {
    let mut code = "static FILES: &[File] = &[\n".to_owned();
    for line in manifest.lines() {
        let mut columns = line.split('\t');
        let (Some(sha256), Some(media_type), Some(path), None) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            return Err(format!("browser/dist/manifest.tsv: not three columns: {line}").into());
        };
        let bytes =
            format!("include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?}))", format!("/browser/dist/{path}"));
        writeln!(
            code,
            "    File {{ path: {path:?}, media_type: {media_type:?}, bytes: {bytes}, sha256: {sha256:?} }},"
        )?;
    }
    code.push_str("];\n");
    Ok(code)
}
