//! The committed inputs of a fuzz target, for ordinary tests.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What libFuzzer calls a hang, too.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs each committed input of the target through its property, and checks that those are refused
/// whose name begins with `refused-`, and no others.
pub(crate) fn hold_all(target: &str, property: fn(&[u8]) -> bool) {
    let inputs = committed(target);
    assert!(inputs.len() > 5, "the seeds of {target} are missing");
    let mut misnamed = Vec::new();
    for (name, input) in inputs {
        // Shown where the property panics.
        println!("{target}: {name}");
        let begin = Instant::now();
        let accepted = property(&input);
        let took = begin.elapsed();
        assert!(took < PATIENCE, "{name} took {took:?}");
        if accepted == name.starts_with("refused-") {
            misnamed.push(name);
        }
    }
    assert!(misnamed.is_empty(), "accepted or refused: {misnamed:?}");
}

/// Names and contents of the seeds, and of what was found once.
fn committed(target: &str) -> Vec<(String, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    ["corpus", "regressions"]
        .into_iter()
        .flat_map(|kind| fs::read_dir(fuzz.join(kind).join(target)))
        .flatten()
        .map(|entry| {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("a readable file"))
        })
        .collect()
}
