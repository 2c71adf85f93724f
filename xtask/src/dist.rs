//! `cargo xtask dist`: what a release consists of.
//!
//! Not here: signatures, and builds for another machine than this one.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    browser,
    tools::{Workspace, run as run_program, say},
};

const PACKAGE: &str = "rollcall";

/// TLS to PostgreSQL: off by default because OpenSSL wants perl and make.
const FEATURES: &str = "pg-tls";

/// What stands beside the binary.
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"];

/// Builds the release binary and puts an archive, its SHA-256 and a list of what is inside into `target/dist`.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    browser::build(workspace)?;
    workspace.run_cargo(&["build", "--locked", "--release", "--package", PACKAGE, "--features", FEATURES])?;
    let target = host(workspace)?;
    let bill = bill_of_materials(&linked(workspace, &target)?, &browser::packages(workspace)?)?;
    let version = bill["metadata"]["component"]["version"].as_str().context("the package has no version")?;
    let name = format!("{PACKAGE}-{version}-{target}");

    let dist = workspace.target.join("dist");
    let staged = dist.join(&name);
    if staged.exists() {
        fs::remove_dir_all(&staged)?;
    }
    fs::create_dir_all(&staged)?;
    fs::copy(workspace.target.join("release").join(PACKAGE), staged.join(PACKAGE)).context("copying the binary")?;
    for document in DOCUMENTS {
        fs::copy(workspace.root.join(document), staged.join(document))
            .with_context(|| format!("copying {document}"))?;
    }
    let bom = serde_json::to_string_pretty(&bill)?;
    fs::write(staged.join("sbom.cdx.json"), &bom)?;
    fs::write(dist.join(format!("{name}.cdx.json")), &bom)?;

    let archive = dist.join(format!("{name}.tar.gz"));
    pack(workspace, &dist, &name, &archive)?;
    let digest = Sha256::digest(fs::read(&archive)?);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(dist.join(format!("{name}.tar.gz.sha256")), format!("{hex}  {name}.tar.gz\n"))?;
    fs::remove_dir_all(&staged)?;
    say(&format!("{}\nsha256 {hex}", archive.display()));
    Ok(())
}

/// The same bytes from the same files: sorted, no owner, the time of the commit.
fn pack(workspace: &Workspace, dist: &Path, name: &str, archive: &Path) -> Result<()> {
    let mut date = workspace.command("git");
    let date = date.args(["log", "-1", "--format=%ct"]).output().context("git is needed for the time of the commit")?;
    let date = String::from_utf8(date.stdout)?;
    let mut tar = workspace.command("tar");
    tar.args([
        "--use-compress-program=gzip -n",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
    ]);
    tar.arg(format!("--mtime=@{}", date.trim())).arg("--create").arg("--file").arg(archive);
    run_program(tar.arg("--directory").arg(dist).arg(name), "tar --create")
}

fn host(workspace: &Workspace) -> Result<String> {
    let output = workspace.command("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// The packages that are linked into the release, `NAME vVERSION [(PATH)]|LICENCE` a line. `cargo tree` resolves the
/// features of this package alone; `cargo metadata` would count those that tests switch on.
fn linked(workspace: &Workspace, target: &str) -> Result<String> {
    let rust = ["--target", target, "--edges", "normal,no-proc-macro"];
    // Its sources are a dependency of a build script; SQLite's and libpq's are crates that are linked themselves.
    let openssl = ["--edges", "all", "--invert", "openssl-src", "--depth", "0"];
    Ok(tree(workspace, &rust)? + &tree(workspace, &openssl)?)
}

fn tree(workspace: &Workspace, words: &[&str]) -> Result<String> {
    let mut tree = workspace.cargo();
    tree.args(["tree", "--locked", "--package", PACKAGE, "--features", FEATURES]);
    tree.args(["--prefix", "none", "--format", "{p}|{l}"]).args(words);
    let output = tree.output()?;
    ensure!(output.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// CycloneDX 1.6.
fn bill_of_materials(linked: &str, embedded: &[browser::Package]) -> Result<Value> {
    let mut components = BTreeMap::new();
    for line in linked.lines().filter(|line| !line.is_empty()) {
        let (package, licence) = line.rsplit_once('|').with_context(|| format!("not a package: {line}"))?;
        let mut words = package.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let version = version.strip_prefix('v').with_context(|| format!("no version: {line}"))?;
        // A second occurrence carries a mark behind the licence.
        components
            .entry((name, version))
            .or_insert_with(|| component("cargo", name, version, licence.trim_end_matches(" (*)")));
    }
    let own = components.keys().copied().find(|(name, _)| *name == PACKAGE);
    let own = own.and_then(|own| components.remove(&own)).context("the package itself is not in its tree")?;
    let embedded = embedded.iter().map(|package| component("npm", &package.name, &package.version, &package.licence));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": components.into_values().chain(embedded).collect::<Vec<_>>(),
    }))
}

/// `from` is where its packages come from: cargo or npm.
fn component(from: &str, name: &str, version: &str, licence: &str) -> Value {
    // A scope of npm begins with what separates the version.
    let url = format!("pkg:{from}/{}@{version}", name.replace('@', "%40"));
    let kind = if name == PACKAGE { "application" } else { "library" };
    let mut component = json!({"type": kind, "bom-ref": url, "name": name, "version": version, "purl": url});
    if !licence.is_empty() {
        // Older manifests separate by a slash, which SPDX does not know.
        component["licenses"] = json!([{"expression": licence.replace('/', " OR ")}]);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_names_what_is_linked_and_nothing_for_tests() {
        let workspace = Workspace::find().expect("workspace");
        let bill =
            bill_of_materials(&linked(&workspace, &host(&workspace).expect("host")).expect("tree"), &[]).expect("bill");
        let components = bill["components"].as_array().expect("list");
        let named = |name: &str| components.iter().filter(|one| one["name"] == name).count();
        for linked in ["diesel", "openssl-src", "pq-src", "libsqlite3-sys", "scim", "tonic"] {
            assert_eq!(named(linked), 1, "{linked}");
        }
        for not_linked in ["testkit", "proptest", "insta", "xtask", "protox", "serde_derive"] {
            assert_eq!(named(not_linked), 0, "{not_linked}");
        }
        assert_eq!(bill["metadata"]["component"]["type"], "application");
    }

    #[test]
    fn a_package_is_listed_once_with_an_expression_of_spdx() {
        let tree = "rollcall v0.1.0 (/src)|Apache-2.0\nold v1.2.3|MIT/Apache-2.0\n\nold v1.2.3|MIT/Apache-2.0 (*)\n";
        let package = |name: &str| browser::Package {
            name: name.to_owned(),
            version: "1.9.0".to_owned(),
            licence: "MIT".to_owned(),
        };
        let bill = bill_of_materials(tree, &[package("@hpke/core")]).expect("bill");
        assert_eq!(bill["components"].as_array().map(Vec::len), Some(2));
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["components"][0]["purl"], "pkg:cargo/old@1.2.3");
        assert_eq!(bill["components"][1]["purl"], "pkg:npm/%40hpke/core@1.9.0");
        assert!(bill_of_materials("old v1.2.3|MIT", &[]).is_err());
    }
}
