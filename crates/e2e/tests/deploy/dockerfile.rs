//! The images' recipe.

use std::collections::BTreeMap;
use std::process::Command;

use ncs_e2e::paths::{OPENVINO_VERSION, Runtime, repository_root};

use crate::project::{Project, text_of};

const DOCKERFILE: &str = "deploy/Dockerfile";

/// An instruction and its arguments, with continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = text_of(DOCKERFILE);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(instruction, rest)| (instruction.to_owned(), rest.trim().to_owned()))
        .collect()
}

/// The instructions of each stage, those of the stages that it begins with included.
fn stages() -> BTreeMap<String, Vec<(String, String)>> {
    let mut stages = BTreeMap::<String, Vec<_>>::new();
    let mut current = None;
    for (instruction, rest) in instructions() {
        if instruction == "FROM" {
            let (image, name) = rest.split_once(" AS ").expect("every stage has a name");
            let inherited = stages.get(image).cloned().unwrap_or_default();
            stages.insert(name.to_owned(), inherited);
            current = Some(name.to_owned());
        } else if let Some(name) = &current {
            let stage = stages.get_mut(name).expect("the stage");
            stage.push((instruction, rest));
        }
    }
    stages
}

fn argument(name: &str) -> String {
    let prefix = format!("{name}=");
    let found = instructions().into_iter().find_map(|(instruction, rest)| {
        let value = rest.strip_prefix(&prefix)?.to_owned();
        (instruction == "ARG").then_some(value)
    });
    found.unwrap_or_else(|| panic!("there is no ARG {name}"))
}

fn run_from_venv(program: &str, file: &str) {
    let program = Runtime::locate()
        .expect("the runtime")
        .venv_dir()
        .join("bin")
        .join(program);
    let output = Command::new(&program)
        .arg(repository_root().join(file))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn hadolint_and_shellcheck_find_nothing() {
    run_from_venv("hadolint", DOCKERFILE);
    run_from_venv("shellcheck", "deploy/models.sh");
}

#[test]
fn every_image_of_ours_is_built_by_one_service_from_a_stage_whose_user_is_not_root() {
    let stages = stages();
    for project in Project::all() {
        let mut built = BTreeMap::<&str, usize>::new();
        let services = project.services();
        let ours = services.iter().filter(|service| service.is_ours());
        for service in ours {
            // Two that build the same image may do so at once, which some engines refuse.
            let builders = built.entry(service.stage()).or_default();
            if let Some(build) = service.build() {
                *builders += 1;
                let context = build["context"].as_str().expect("a context");
                assert_eq!(context, repository_root().to_str().expect("UTF-8"));
                assert_eq!(build["dockerfile"], DOCKERFILE);
                assert_eq!(build["target"], service.stage());
            }
            let stage = stages.get(service.stage());
            let stage = stage.unwrap_or_else(|| panic!("no stage {}", service.stage()));
            let user = stage.iter().rfind(|(instruction, _)| instruction == "USER");
            let user: u32 = user
                .and_then(|(_, user)| user.parse().ok())
                .expect("by number");
            assert_ne!(user, 0, "{}", service.stage());
        }
        assert!(built.values().all(|builders| *builders == 1), "{built:?}");
    }
}

#[test]
fn both_workers_are_one_binary_that_is_built_once() {
    let text = text_of(DOCKERFILE);
    assert_eq!(text.matches("cargo build").count(), 1);
    let copies = |stage: &str| {
        let copy = ("COPY", "--from=build /out/ncs-worker /usr/local/bin/");
        let stage = &stages()[stage];
        stage
            .iter()
            .filter(|(i, rest)| (i.as_str(), rest.as_str()) == copy)
            .count()
    };
    assert_eq!((copies("worker-cpu"), copies("worker-sticks")), (1, 1));
}

#[test]
fn what_is_copied_is_in_the_repository_and_sent_to_the_engine() {
    let ignored = text_of(".dockerignore");
    for (instruction, rest) in instructions() {
        if instruction != "COPY" || rest.contains("--from=") {
            continue;
        }
        let words: Vec<&str> = rest
            .split(' ')
            .filter(|word| !word.starts_with("--"))
            .collect();
        let (_, sources) = words.split_last().expect("a target");
        for source in sources {
            assert!(repository_root().join(source).exists(), "{source}");
            let sent = ignored.lines().any(|line| line == format!("!{source}"));
            assert!(sent, "{source} is not in .dockerignore");
        }
    }
    // Cargo wants the manifests of all members, whatever it builds.
    for member in ["worker", "producer", "crates", "xtask"] {
        assert!(instructions().contains(&("COPY".to_owned(), format!("{member} {member}"))));
    }
}

#[test]
fn images_are_pinned_and_openvino_is_the_one_that_the_tests_run_on() {
    for name in [
        "RUST_IMAGE",
        "BASE_IMAGE",
        "PYTHON_IMAGE",
        "MODELS_PYTHON_IMAGE",
    ] {
        let image = argument(name);
        let tag = image.split_once(':').map(|(_, tag)| tag).expect("a tag");
        assert!(tag.starts_with(|c: char| c.is_ascii_digit()), "{image}");
    }
    let tools = text_of("deploy/models-requirements.txt");
    for line in tools.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("=="), "{line}");
    }
    assert!(tools.contains("\nopenvino-dev==2022.3.2\n"), "{tools}");
    assert_eq!(argument("OPENVINO_VERSION"), OPENVINO_VERSION);
    assert!(
        argument("OPENVINO_BUILD").starts_with("2022.3.2."),
        "the last with sticks"
    );
    // The oldest Rust that the workspace builds with.
    let minimum = text_of("Cargo.toml");
    let minimum = minimum
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \"1."));
    let minimum: u32 = minimum
        .and_then(|m| m.trim_end_matches('"').parse().ok())
        .expect("1.x");
    let image = argument("RUST_IMAGE");
    let minor = image
        .strip_prefix("rust:1.")
        .and_then(|rest| rest.split('-').next());
    assert!(
        minor.and_then(|minor| minor.parse().ok()) >= Some(minimum),
        "{image}"
    );
}
