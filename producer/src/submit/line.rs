//! A line of the output: what became of one image, as JSON or as a row of CSV, and back.

use super::name::{Controls, escape};
use anyhow::{Context, bail};
use ncs_protocol::{Class, ErrorCode, JobResult, Outcome};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// An object of JSON on each line.
    Json,
    /// A row on each line, after a line of the columns' names.
    Csv,
}

/// The columns of a CSV.
const COLUMNS: [&str; 14] = [
    "image",
    "path",
    "path_escaped",
    "outcome",
    "index",
    "label",
    "score",
    "error",
    "message",
    "classes",
    "worker",
    "host",
    "attempt",
    "latency_ms",
];

/// What became of one image.
#[derive(Debug)]
pub(super) enum Verdict {
    /// A worker's result, and how long it took since the image was due; unknown for an answer to a run
    /// that was killed.
    Answered(JobResult, Option<Duration>),
    /// It got no result.
    Failed(Failure),
}

/// Why an image got no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    /// One sentence.
    pub(super) message: String,
}

/// The submitter's own codes, beside those of [`ErrorCode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// The file cannot be read.
    Unreadable,
    /// It is none of the formats that workers decode.
    NotAnImage,
    /// It does not fit into a message.
    TooLarge,
    /// Preparing it failed: it is damaged, or not what it seems to be.
    Undecodable,
    /// The run gave up; another one may try again.
    Unanswered,
}

/// What a line says, as far as it is counted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Counted {
    /// The best class, if the result has any.
    Class(Option<(u32, Option<String>)>),
    /// The code, and the sentence for an example.
    Error { code: String, message: String },
}

/// A line that was read again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recorded {
    pub(super) image: u64,
    pub(super) counted: Counted,
}

impl Code {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NotAnImage => "not_an_image",
            Self::TooLarge => ErrorCode::TooLarge.as_str(),
            Self::Undecodable => ErrorCode::UndecodableImage.as_str(),
            Self::Unanswered => "unanswered",
        }
    }
}

impl Counted {
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Error { code, .. } if code == Code::Unanswered.as_str())
    }
}

impl Verdict {
    /// What is counted of it.
    pub(super) fn counted(&self) -> Counted {
        match self {
            Self::Answered(result, _) => match &result.outcome {
                Outcome::Classes(classes) => Counted::Class(best(classes)),
                Outcome::Error(failure) => Counted::Error {
                    code: failure.code.as_str().to_owned(),
                    message: failure.message.clone(),
                },
            },
            Self::Failed(failure) => Counted::Error {
                code: failure.code.as_str().to_owned(),
                message: failure.message.clone(),
            },
        }
    }
}

fn best(classes: &[Class]) -> Option<(u32, Option<String>)> {
    let best = classes.first()?;
    Some((best.index, best.label.clone()))
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    image: u64,
    path: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    path_escaped: bool,
    outcome: LineOutcome<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
}

/// As [`Outcome`], with the submitter's own codes.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum LineOutcome<'a> {
    Classes(&'a [Class]),
    Error { code: &'a str, message: &'a str },
}

/// What is read of one.
#[derive(Deserialize)]
struct ReadLine {
    image: u64,
    outcome: ReadOutcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReadOutcome {
    Classes(Vec<Class>),
    Error { code: String, message: String },
}

impl Format {
    /// What comes before all lines.
    pub(super) fn header(self) -> Vec<u8> {
        match self {
            Self::Json => Vec::new(),
            Self::Csv => (COLUMNS.join(",") + "\n").into_bytes(),
        }
    }

    /// Adds an image's line to `lines`.
    pub(super) fn write(
        self,
        lines: &mut Vec<u8>,
        image: u64,
        path: &[u8],
        verdict: &Verdict,
    ) -> anyhow::Result<()> {
        let (result, latency, outcome) = match verdict {
            Verdict::Answered(result, latency) => {
                let outcome = match &result.outcome {
                    Outcome::Classes(classes) => LineOutcome::Classes(classes),
                    Outcome::Error(failure) => LineOutcome::Error {
                        code: failure.code.as_str(),
                        message: &failure.message,
                    },
                };
                (Some(result), *latency, outcome)
            }
            Verdict::Failed(Failure { code, message }) => {
                let code = code.as_str();
                (None, None, LineOutcome::Error { code, message })
            }
        };
        let controls = match self {
            Self::Json => Controls::Kept,
            Self::Csv => Controls::Escaped,
        };
        let (path, path_escaped) = escape(path, controls);
        let line = Line {
            image,
            path: &path,
            path_escaped,
            outcome,
            worker: result.map(|result| result.worker.as_str()),
            host: result.map(|result| result.host.as_str()),
            attempt: result.map(|result| result.attempt),
            latency_ms: latency.map(|latency| latency.as_secs_f64() * 1_000.0),
        };
        match self {
            Self::Json => {
                serde_json::to_writer(&mut *lines, &line).context("cannot encode a line")?;
                lines.push(b'\n');
                Ok(())
            }
            Self::Csv => line.write_row(lines),
        }
    }

    /// Reads a line again, without its end; not the header.
    pub(super) fn read(self, line: &[u8]) -> anyhow::Result<Recorded> {
        match self {
            Self::Json => {
                let ReadLine { image, outcome } = serde_json::from_slice(line)?;
                let counted = match outcome {
                    ReadOutcome::Classes(classes) => Counted::Class(best(&classes)),
                    ReadOutcome::Error { code, message } => Counted::Error { code, message },
                };
                Ok(Recorded { image, counted })
            }
            Self::Csv => read_row(line),
        }
    }
}

impl Line<'_> {
    fn write_row(&self, lines: &mut Vec<u8>) -> anyhow::Result<()> {
        let number =
            |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        let (mut outcome, mut code, mut message) = ("class", "", Cow::default());
        let (mut first, mut classes) = (None, String::new());
        match &self.outcome {
            LineOutcome::Classes(all) => {
                first = all.first();
                for Class { index, score, .. } in *all {
                    let gap = if classes.is_empty() { "" } else { " " };
                    // Writing into a text does not fail.
                    let _ = write!(classes, "{gap}{index}:{score}");
                }
            }
            LineOutcome::Error {
                code: why,
                message: sentence,
            } => {
                (outcome, code, message) = ("error", why, one_line(sentence));
            }
        }
        let label = first
            .and_then(|class| class.label.as_deref())
            .unwrap_or_default();
        let latency = self.latency_ms.map(|latency| format!("{latency:.3}"));
        let row: [&str; COLUMNS.len()] = [
            &self.image.to_string(),
            self.path,
            if self.path_escaped { "true" } else { "false" },
            outcome,
            &number(first.map(|class| class.index)),
            &one_line(label),
            &first
                .map(|class| class.score.to_string())
                .unwrap_or_default(),
            code,
            &message,
            &classes,
            &one_line(self.worker.unwrap_or_default()),
            &one_line(self.host.unwrap_or_default()),
            &number(self.attempt),
            &latency.unwrap_or_default(),
        ];
        let mut writer = csv::Writer::from_writer(lines);
        writer.write_record(row).context("cannot encode a row")?;
        writer.flush().context("cannot encode a row")
    }
}

/// A worker's words, so that a row stays a line.
fn one_line(text: &str) -> Cow<'_, str> {
    escape(text.as_bytes(), Controls::Escaped).0
}

fn read_row(line: &[u8]) -> anyhow::Result<Recorded> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(line);
    let row = reader.records().next().context("the row is empty")??;
    let field = |column: &str| {
        let place = COLUMNS.iter().position(|name| *name == column);
        place.and_then(|place| row.get(place)).unwrap_or_default()
    };
    anyhow::ensure!(
        row.len() == COLUMNS.len(),
        "the row has {} fields instead of {}",
        row.len(),
        COLUMNS.len()
    );
    let image = field("image")
        .parse()
        .context("the image's number is none")?;
    let counted = match field("outcome") {
        "class" if field("index").is_empty() => Counted::Class(None),
        "class" => {
            let index = field("index")
                .parse()
                .context("the class's index is no number")?;
            let label = Some(field("label").to_owned()).filter(|label| !label.is_empty());
            Counted::Class(Some((index, label)))
        }
        "error" => Counted::Error {
            code: field("error").to_owned(),
            message: field("message").to_owned(),
        },
        other => bail!("the outcome is '{other}', and not class or error"),
    };
    Ok(Recorded { image, counted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::name::unescape;
    use ncs_protocol::StageTimes;
    use proptest::prelude::*;
    use serde_json::Value;

    fn answered(outcome: Outcome) -> Verdict {
        let result = JobResult {
            job_id: "a".into(),
            worker: "host/1".into(),
            host: "ho\nst".into(),
            model: "m".into(),
            outcome,
            attempt: 2,
            times: StageTimes::default(),
        };
        Verdict::Answered(result, Some(Duration::from_micros(1_500)))
    }

    fn classes(label: &str) -> Verdict {
        let class = |index, label: Option<&str>, score| Class {
            index,
            label: label.map(str::to_owned),
            score,
        };
        answered(Outcome::Classes(vec![
            class(7, Some(label), 0.5),
            class(3, None, 0.25),
        ]))
    }

    fn line(format: Format, path: &[u8], verdict: &Verdict) -> String {
        let mut line = Vec::new();
        format.write(&mut line, 3, path, verdict).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_of_json_has_the_outcome_of_the_protocol() {
        let json = line(Format::Json, b"a\xff\n.png", &classes("cat"));
        assert_eq!(json.matches('\n').count(), 1);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["image"], 3);
        assert_eq!(json["path"], "a\\xff\n.png");
        assert_eq!(json["path_escaped"], true);
        assert_eq!(json["outcome"]["classes"][0]["label"], "cat");
        assert_eq!(
            (&json["attempt"], &json["latency_ms"]),
            (&2.into(), &1.5.into())
        );
        let failure = Failure {
            code: Code::Unreadable,
            message: "gone".into(),
        };
        let json: Value =
            serde_json::from_str(&line(Format::Json, b"b", &Verdict::Failed(failure))).unwrap();
        assert_eq!(json["outcome"]["error"]["code"], "unreadable");
        for absent in ["path_escaped", "worker", "attempt", "latency_ms"] {
            assert_eq!(json.get(absent), None);
        }
    }

    #[test]
    fn a_row_of_csv_is_a_line_whatever_is_in_it() {
        let row = line(Format::Csv, b"a,\"b\"\r\nc", &classes("tabby,\ncat"));
        assert_eq!(
            row,
            "3,\"a,\"\"b\"\"\\x0d\\x0ac\",true,class,7,\"tabby,\\x0acat\",0.5,,,7:0.5 3:0.25,host/1,\
             ho\\x0ast,2,1.500\n"
        );
        let failure = Failure {
            code: Code::TooLarge,
            message: "too\nlarge".into(),
        };
        let row = line(Format::Csv, b"b", &Verdict::Failed(failure));
        assert_eq!(row, "3,b,false,error,,,,too_large,too\\x0alarge,,,,,\n");
        let header = String::from_utf8(Format::Csv.header()).unwrap();
        assert_eq!(header.matches(',').count(), row.matches(',').count());
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for format in [Format::Json, Format::Csv] {
            for wrong in ["", "{}", "3", "3,b", "\0\0\0"] {
                assert!(
                    format.read(wrong.as_bytes()).is_err(),
                    "{format:?}: {wrong}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn a_line_is_read_again_as_it_was_counted(path: Vec<u8>, text: String, kind in 0..4) {
            let verdict = match kind {
                0 => classes(&text),
                1 => answered(Outcome::Classes(Vec::new())),
                2 => answered(Outcome::Error(ncs_protocol::Failure {
                    code: ErrorCode::Internal,
                    message: text,
                })),
                _ => Verdict::Failed(Failure { code: Code::Unanswered, message: text }),
            };
            for format in [Format::Json, Format::Csv] {
                let line = line(format, &path, &verdict);
                prop_assert_eq!(line.matches('\n').count(), 1);
                let read = format.read(line.trim_end_matches('\n').as_bytes()).unwrap();
                prop_assert_eq!(read.image, 3);
                prop_assert_eq!(read.counted.is_unanswered(), kind == 3);
                if format == Format::Json {
                    prop_assert_eq!(read.counted, verdict.counted());
                    let json: Value = serde_json::from_str(&line).unwrap();
                    let shown = json["path"].as_str().unwrap();
                    let escaped = json.get("path_escaped").is_some();
                    let back = if escaped { unescape(shown).unwrap() } else { shown.as_bytes().to_vec() };
                    prop_assert_eq!(&back, &path);
                }
            }
        }
    }
}
