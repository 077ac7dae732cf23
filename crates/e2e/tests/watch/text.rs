//! Prometheus' text format, as far as these tests look at it.

use std::collections::{BTreeMap, BTreeSet};

/// A metric's type and its labels, without the `le` of a histogram.
pub(crate) type Kinds = BTreeMap<String, (String, BTreeSet<String>)>;

/// What is on a page of figures.
pub(crate) fn kinds(page: &str) -> Kinds {
    let mut kinds = Kinds::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            kinds.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') && !line.is_empty() {
            let (series, _value) = line.rsplit_once(' ').expect("a series and its value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let of_histogram = ["_bucket", "_sum", "_count"]
                .into_iter()
                .filter_map(|end| name.strip_suffix(end))
                .find(|name| kinds.contains_key(*name));
            let entry = kinds.get_mut(of_histogram.unwrap_or(name));
            let (_, known) = entry.unwrap_or_else(|| panic!("no type for {line}"));
            known.extend(label_names(labels));
        }
    }
    kinds
}

/// The names in `a="x",b="y"}`. None of the values here has a quote in it.
fn label_names(labels: &str) -> BTreeSet<String> {
    let parts = labels.split('"').step_by(2);
    let names = parts.map(|part| part.trim_matches([',', '=', '}']));
    let names = names.filter(|name| !name.is_empty() && *name != "le");
    names.map(str::to_owned).collect()
}

#[test]
fn a_page_is_read() {
    let page = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1, y=2\",z=\"3\"} 4\n\
                # TYPE h histogram\nh_bucket{s=\"q\",le=\"+Inf\"} 1\nh_count{s=\"q\"} 1\n";
    let kinds = kinds(page);
    let labels = |of: &str| kinds[of].1.iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        (labels("a_total"), labels("h")),
        (vec!["x", "z"], vec!["s"])
    );
    assert_eq!(kinds["h"].0, "histogram");
}
