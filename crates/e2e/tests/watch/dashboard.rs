//! The dashboards as files.

use ncs_e2e::paths::repository_root;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

pub(crate) struct Dashboard {
    pub(crate) file: PathBuf,
    pub(crate) json: Value,
}

/// A query of a dashboard's, with its variables in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// The dashboard, the panel and the query's letter.
    pub(crate) place: String,
    pub(crate) expr: String,
}

/// All dashboards that Grafana is given.
pub(crate) fn all() -> Vec<Dashboard> {
    let folder = repository_root().join("grafana/dashboards");
    let files = folder.read_dir().expect("the folder").flatten();
    let mut dashboards: Vec<Dashboard> = files
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("a file");
            Dashboard {
                json: serde_json::from_str(&text).expect("JSON"),
                file: entry.path(),
            }
        })
        .collect();
    dashboards.sort_by(|one, other| one.file.cmp(&other.file));
    assert!(dashboards.len() >= 2, "Fleet and Host");
    dashboards
}

impl Dashboard {
    pub(crate) fn title(&self) -> &str {
        self.json["title"].as_str().expect("a title")
    }

    /// The panels that show something, and the rows if `rows`.
    pub(crate) fn panels(&self, rows: bool) -> Vec<&Value> {
        let panels = self.json["panels"].as_array().expect("panels").iter();
        panels
            .filter(|panel| rows || panel["type"] != "row")
            .collect()
    }

    /// The panels' queries.
    pub(crate) fn queries(&self) -> Vec<Query> {
        let of_panel = |panel: &Value| {
            let title = panel["title"].as_str().unwrap_or_default().to_owned();
            let targets = panel["targets"].as_array().cloned().unwrap_or_default();
            assert!(!targets.is_empty(), "{title} asks nothing");
            let query = move |target: Value| Query {
                place: format!("{title} {}", target["refId"].as_str().expect("a letter")),
                expr: target["expr"].as_str().expect("a query").to_owned(),
            };
            targets.into_iter().map(query).collect::<Vec<_>>()
        };
        let mut queries: Vec<Query> = self.panels(false).into_iter().flat_map(of_panel).collect();
        for query in &mut queries {
            query.place = format!("{}: {}", self.title(), query.place);
        }
        queries
    }

    /// The queries of what is marked in all panels.
    pub(crate) fn annotations(&self) -> Vec<Query> {
        let list = self.json["annotations"]["list"].as_array().expect("a list");
        let own = list.iter().filter(|annotation| annotation["builtIn"] != 1);
        own.map(|annotation| Query {
            place: format!("{}: {}", self.title(), annotation["name"]),
            expr: annotation["target"]["expr"]
                .as_str()
                .expect("a query")
                .to_owned(),
        })
        .collect()
    }

    /// The variables that are asked of Prometheus, as `label_values(query, label)`.
    pub(crate) fn variables(&self) -> Vec<Query> {
        let list = self.json["templating"]["list"].as_array().expect("a list");
        let asked = list.iter().filter(|variable| variable["type"] == "query");
        asked
            .map(|variable| {
                let query = variable["query"]["query"].as_str().expect("a query");
                let inner = query
                    .strip_prefix("label_values(")
                    .and_then(|rest| rest.strip_suffix(')'))
                    .and_then(|rest| rest.rsplit_once(", "));
                let (series, label) = inner.expect("label_values(series, label)");
                Query {
                    place: format!("{}: variable {}", self.title(), variable["name"]),
                    expr: format!("count by ({label}) ({series})"),
                }
            })
            .collect()
    }
}

impl Query {
    /// As Grafana sends it, for a scrape each 15 s.
    pub(crate) fn filled_in(&self, host: &str, model: &str) -> Self {
        let expr = self
            .expr
            .replace("$__rate_interval", "1m")
            .replace("$host", host)
            .replace("$model", model);
        assert!(!expr.contains('$'), "{}: {expr}", self.place);
        Self {
            place: self.place.clone(),
            expr,
        }
    }
}
