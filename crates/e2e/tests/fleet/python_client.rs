//! A client in another language: the one that the documentation shows.

use crate::bed::{amqp_url, drain, googlenet, runtime, start, unique};
use crate::client::clean_up;
use ncs_e2e::paths::repository_root;
use std::process::Command;

#[test]
fn the_python_client_of_the_documentation_classifies_a_jpeg() {
    let model = unique("python");
    let worker = start(&googlenet(&model));
    let python = runtime()
        .python()
        .expect("run `cargo xtask test`, which makes it");
    let output = Command::new(python)
        .arg(repository_root().join("docs/classify.py"))
        .arg(&model)
        .arg(runtime().photos_dir().join("china.jpg"))
        .env("NCS_AMQP_URL", amqp_url())
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{output:?}");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(result["model"], model.as_str());
    assert_eq!(
        result["outcome"]["classes"].as_array().map(Vec::len),
        Some(5),
        "{result}"
    );
    drain(worker);
    clean_up(&model);
}

#[test]
fn the_documentation_shows_the_client_that_is_tested() {
    let docs = repository_root().join("docs");
    let client = std::fs::read_to_string(docs.join("classify.py")).expect("the client");
    let page = std::fs::read_to_string(docs.join("protocol.md")).expect("the page");
    assert!(
        page.contains(&format!("```python\n{client}```")),
        "docs/protocol.md shows another"
    );
}
