//! The dashboards as a person sees them, and as Grafana reads them.

use crate::bed::runtime;
use crate::dashboard::{Dashboard, all};
use ncs_e2e::paths::repository_root;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn panels_have_an_id_a_title_a_description_a_unit_and_words_for_no_data() {
    for dashboard in all() {
        let mut ids = BTreeSet::new();
        for panel in dashboard.panels(true) {
            assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        }
        let mut titles = BTreeSet::new();
        for panel in dashboard.panels(false) {
            let title = panel["title"].as_str().unwrap_or_default();
            assert!(!title.is_empty() && titles.insert(title), "'{title}'");
            let described = panel["description"].as_str().unwrap_or_default();
            assert!(described.len() > 10, "{title} has no description");
            let defaults = &panel["fieldConfig"]["defaults"];
            for said in ["unit", "noValue"] {
                let said = defaults[said].as_str().unwrap_or_default();
                assert!(!said.is_empty(), "{title}: {defaults}");
            }
            for asked in std::iter::once(panel).chain(panel["targets"].as_array().expect("some")) {
                let wanted = json!({"type": "prometheus", "uid": "${datasource}"});
                assert_eq!(asked["datasource"], wanted, "{title}");
            }
        }
    }
}

#[test]
fn panels_fill_a_grid_of_24_columns_and_none_lies_on_another() {
    for dashboard in all() {
        let mut taken = BTreeSet::new();
        for panel in dashboard.panels(true) {
            let [x, y, w, h] =
                ["x", "y", "w", "h"].map(|it| panel["gridPos"][it].as_u64().expect("a number"));
            assert!(w > 0 && h > 0 && x + w <= 24, "{}", panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{} lies on another", panel["title"]);
            }
        }
    }
}

#[test]
fn there_are_variables_for_the_data_source_the_host_and_the_model() {
    for dashboard in all() {
        let list = dashboard.json["templating"]["list"].as_array().expect("it");
        let names: Vec<_> = list.iter().map(|it| it["name"].as_str()).collect();
        assert_eq!(names, [Some("datasource"), Some("host"), Some("model")]);
    }
    let source = fs::read_to_string(
        repository_root().join("grafana/provisioning/datasources/prometheus.yml"),
    );
    assert!(
        source
            .expect("a data source")
            .contains("uid: ncs-prometheus")
    );
}

/// What the schema of Grafana 11 finds wrong in a dashboard.
fn offences(file: &Path) -> String {
    let script = repository_root().join("crates/e2e/tests/watch/dashboard_schema.py");
    let python = runtime().python().expect("run `cargo xtask test`");
    let schema = runtime().grafana_schema_dir();
    let checked = Command::new(python)
        .args(["-E", "-s"])
        .args([&script, &schema])
        .arg(file)
        .output();
    let checked = checked.expect("python starts");
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(checked.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn grafanas_own_schema_knows_all_that_is_in_the_dashboards() {
    for dashboard in all() {
        assert_eq!(offences(&dashboard.file), "");
    }
}

#[test]
fn grafanas_own_schema_finds_what_is_wrong() {
    let whole = all().remove(0);
    let wrong: [(&str, Value); 7] = [
        ("/schemaVersion", json!("39")),
        ("/panels/0/gridPos/w", json!("24")),
        ("/panels/1/type", json!("stats")),
        ("/panels/1/options/textMode", json!("atuo")),
        ("/panels/1/fieldConfig/defaults/unit", json!(3)),
        ("/panels/1/targets/0/editorMode", json!("coed")),
        (
            "/panels/1/fieldConfig/defaults",
            json!({"novalue": "a misspelled name"}),
        ),
    ];
    for (number, (place, value)) in wrong.into_iter().enumerate() {
        let mut json = whole.json.clone();
        *json.pointer_mut(place).expect("it is there") = value;
        let file = std::env::temp_dir().join(format!(
            "ncs-dashboard-{}-{number}.json",
            std::process::id()
        ));
        fs::write(&file, json.to_string()).expect("written");
        let said = offences(&file);
        let _ = fs::remove_file::<PathBuf>(file);
        assert!(!said.is_empty(), "{place} passes");
    }
    // Itself it passes: what was found above is what was put in.
    let Dashboard { file, .. } = whole;
    assert_eq!(offences(&file), "");
}
