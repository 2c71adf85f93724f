//! docker-compose.yml, Dockerfile and what they mount: the shape that production starts from.
//!
//! Not here: whether the flags and variables exist. `cargo xtask tidy` asks the binary.

#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The file with its anchors and merges resolved.
fn compose() -> Value {
    let mut yaml: serde_yaml_ng::Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).expect("YAML");
    yaml.apply_merge().expect("merges");
    serde_json::to_value(yaml).expect("only strings as keys")
}

fn services(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    compose["services"].as_object().expect("services").iter().map(|(name, service)| (name.as_str(), service))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

const OURS: [&str; 3] = ["identity", "token", "gateway"];

/// What is wrong with a compose file, a line each.
fn complaints(compose: &Value, file_exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let names: BTreeSet<&str> = services(compose).map(|(name, _)| name).collect();
    for name in OURS.iter().chain(&["postgres", "otel-collector", "jaeger"]) {
        if !names.contains(name) {
            wrong.push(format!("no service {name}"));
        }
    }
    let declared = |kind: &str| -> BTreeSet<String> {
        compose[kind].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let (volumes, networks) = (declared("volumes"), declared("networks"));
    for (name, service) in services(compose) {
        let tag = service["image"].as_str().and_then(|image| image.split_once(':')).map_or("", |(_, tag)| tag);
        if !tag.contains('.') || !tag.starts_with(|c: char| c.is_ascii_digit()) {
            wrong.push(format!("{name}: the image has no version"));
        }
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().unwrap_or_default();
            let known = if source.starts_with('.') { file_exists(source) } else { volumes.contains(source) };
            if !known {
                wrong.push(format!("{name}: the volume {source} is not there"));
            }
        }
        for network in texts(&service["networks"]) {
            if !networks.contains(network) {
                wrong.push(format!("{name}: the network {network} is not there"));
            }
        }
        for port in texts(&service["ports"]) {
            if !port.starts_with("127.0.0.1:") {
                wrong.push(format!("{name}: {port} is published to the world; a proxy with TLS belongs in front"));
            }
        }
        for (key, value) in service["environment"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            if key.contains("PASSWORD") && !value.starts_with("${") {
                wrong.push(format!("{name}: {key} has a value"));
            }
            if value.contains("://") && value.contains('@') && !value.contains(":${") {
                wrong.push(format!("{name}: {key} holds a password"));
            }
        }
        for (other, condition) in service["depends_on"].as_object().into_iter().flatten() {
            let other_service = &compose["services"][other];
            if condition["condition"] == "service_healthy" && other_service["healthcheck"].is_null() {
                wrong.push(format!("{name} waits for the health of {other}, which has no healthcheck"));
            }
        }
    }
    for name in OURS {
        let service = &compose["services"][name];
        let hardened = service["read_only"] == true
            && texts(&service["cap_drop"]) == ["ALL"]
            && texts(&service["security_opt"]) == ["no-new-privileges:true"];
        if !hardened {
            wrong.push(format!("{name}: not hardened"));
        }
        if service["healthcheck"].is_null() {
            wrong.push(format!("{name}: no healthcheck"));
        }
        if texts(&service["command"]).get(..2) != Some(&["serve", name]) {
            wrong.push(format!("{name}: does not run `rollcall serve {name}`"));
        }
    }
    wrong
}

#[test]
fn the_compose_file_is_sound() {
    assert_eq!(complaints(&compose(), |file| root().join(file).exists()), Vec::<String>::new());
}

#[test]
fn each_kind_of_mistake_is_seen() {
    let break_with = |pointer: &str, value: Value| {
        let mut compose = compose();
        *compose.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        complaints(&compose, |_| true)
    };
    for (pointer, value) in [
        ("/services/postgres/image", "postgres:latest".into()),
        ("/services/postgres/image", "postgres".into()),
        ("/services/postgres/environment/POSTGRES_PASSWORD", "postgres".into()),
        ("/services/identity/environment/ROLLCALL_IDENTITY_DATABASE_URL", "postgres://a:b@c/d".into()),
        ("/services/gateway/ports/0", "8080:8080".into()),
        ("/services/gateway/networks/0", "outside".into()),
        ("/services/gateway/read_only", false.into()),
        ("/services/token/healthcheck", Value::Null),
        ("/services/token/command/1", "identity".into()),
        ("/volumes", Value::Null),
    ] {
        assert!(!break_with(pointer, value).is_empty(), "{pointer}");
    }
    assert!(!complaints(&compose(), |_| false).is_empty(), "a file that is mounted and not there");
}

#[test]
fn the_example_environment_names_each_required_variable_and_sets_none() {
    let compose = read("docker-compose.yml");
    let required: BTreeSet<&str> =
        compose.split("${").skip(1).filter_map(|rest| rest.split_once([':', '}'])).map(|(name, _)| name).collect();
    let example = read("deploy/example.env");
    let lines: Vec<&str> = example.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let named: BTreeSet<&str> = lines.iter().filter_map(|line| line.strip_suffix('=')).collect();
    assert_eq!(named, required, "each line is NAME= and nothing more");
    assert_eq!(named.len(), lines.len());
}

#[test]
fn the_image_is_pinned_and_does_not_run_as_root() {
    let dockerfile = read("Dockerfile");
    let images: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(images.len(), 3);
    for image in images {
        let tag = image.split(' ').next().and_then(|image| image.split_once(':')).map_or("", |(_, tag)| tag);
        assert!(tag.contains('.') && tag.starts_with(|c: char| c.is_ascii_digit()), "{image}");
    }
    let user = dockerfile.lines().rfind(|line| line.starts_with("USER ")).expect("a user");
    assert!(!["USER root", "USER 0"].contains(&user), "{user}");
    assert!(dockerfile.contains("--locked"));
}

#[test]
fn the_collector_sends_each_signal_somewhere() {
    let yaml: serde_yaml_ng::Value = serde_yaml_ng::from_str(&read("deploy/otel-collector.yaml")).expect("YAML");
    let config = serde_json::to_value(yaml).expect("only strings as keys");
    for signal in ["traces", "metrics", "logs"] {
        let pipeline = &config["service"]["pipelines"][signal];
        for part in ["receivers", "processors", "exporters"] {
            let used = texts(&pipeline[part]);
            assert!(!used.is_empty(), "{signal}: no {part}");
            for name in used {
                assert!(config[part].get(name).is_some(), "{signal}: {part}/{name} is not configured");
            }
        }
    }
}

/// `cargo xtask ci` runs it: it needs Python and the network at the first time.
#[test]
#[ignore = "fetches the Compose schema with pip"]
fn the_compose_file_follows_the_compose_schema() {
    let script = root().join("tests/compose_schema.py");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let output = Command::new("python3").arg(script).arg(cache).output().expect("python3 with pip is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = String::from_utf8(output.stdout).expect("a path");
    let schema: Value = serde_json::from_slice(&std::fs::read(path.trim()).expect("the schema")).expect("JSON");
    // It names a draft but uses nothing newer than 7.
    let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft7).build(&schema).expect("a schema");

    let mut compose = compose();
    // Newer than that schema, and the only such member.
    let name = compose.as_object_mut().and_then(|file| file.remove("name")).expect("a project name");
    assert!(name.as_str().is_some_and(|name| name.bytes().all(|c| c.is_ascii_lowercase())), "{name}");
    let wrong: Vec<String> =
        validator.iter_errors(&compose).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(wrong, Vec::<String>::new());
    compose["services"]["gateway"]["prots"] = "8080".into();
    assert!(!validator.is_valid(&compose), "an unknown key must be seen");

    // Where there is Docker with Compose, it has the last word.
    let available = Command::new("docker").args(["compose", "version"]).output();
    if available.is_ok_and(|output| output.status.success()) {
        let mut config = Command::new("docker");
        config.current_dir(root()).args(["compose", "--env-file", "/dev/null", "config", "--quiet"]);
        for variable in ["POSTGRES_PASSWORD", "ROLLCALL_DATABASE_PASSWORD"] {
            config.env(variable, "example");
        }
        let output = config.env("ROLLCALL_PUBLIC_URL", "https://scim.example.com").output().expect("docker");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
