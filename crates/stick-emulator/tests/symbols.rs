//! The library exports what 2022.3's C API does, no more and no less.

use std::collections::BTreeSet;
use std::process::Command;

mod common;

/// `ov_…` symbols by `nm`, of these kinds.
fn exported(kinds: &[&str]) -> BTreeSet<String> {
    let output = Command::new("nm")
        .args(["--dynamic", "--defined-only"])
        .arg(common::library())
        .output()
        .expect("nm, of binutils");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("names in ASCII");
    let symbols = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, name) = (words.next()?, words.next()?);
        (kinds.contains(&kind) && name.starts_with("ov_")).then(|| name.to_owned())
    });
    symbols.collect()
}

fn listed(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_functions_are_those_of_2022_3() {
    let functions = exported(&["T"]);
    assert_eq!(functions, listed(include_str!("symbols-2022.3.txt")));
    assert!(!functions.contains("ov_get_last_err_msg"));
}

#[test]
fn the_variables_are_those_of_2022_3() {
    let variables = exported(&["D", "R", "B"]);
    assert_eq!(variables, listed(include_str!("variables-2022.3.txt")));
}
