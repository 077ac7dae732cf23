//! Where a report goes.

use super::{Report, StepReport};
use crate::cli::OutputArgs;
use anyhow::{Context, ensure};
use std::io::Write;
use std::path::Path;

/// Standard output, as the name of a file.
const STDOUT: &str = "-";

/// Finds out before a long flood that its report cannot be written. Leaves no file behind.
pub(crate) fn check(outputs: &OutputArgs) -> anyhow::Result<()> {
    let places = [("--json", &outputs.json), ("--csv", &outputs.csv)];
    let mut on_stdout = 0;
    for (flag, path) in places {
        match path.as_deref() {
            Some(path) if path == Path::new(STDOUT) => on_stdout += 1,
            Some(path) => check_file(flag, path)?,
            None => {}
        }
    }
    ensure!(
        on_stdout < 2,
        "--json and --csv both want standard output; give one of them a file"
    );
    ensure!(
        outputs.json.is_none() || outputs.json != outputs.csv,
        "--json and --csv both want the same file; give one of them another"
    );
    Ok(())
}

fn check_file(flag: &str, path: &Path) -> anyhow::Result<()> {
    let existed = path.exists();
    let mut options = std::fs::OpenOptions::new();
    let opened = options.create(true).append(true).open(path);
    opened.with_context(|| {
        let path = path.display();
        format!("cannot write the report to {path}; give another {flag}")
    })?;
    if !existed {
        std::fs::remove_file(path).context("cannot remove the report's empty file")?;
    }
    Ok(())
}

impl Report {
    /// Writes the report for people to standard output, and as JSON and CSV where they were asked for.
    /// What goes to `-` has standard output to itself, and people read standard error.
    pub(crate) fn write(&self, outputs: &OutputArgs) -> anyhow::Result<()> {
        // Files first: whoever reads standard output may have gone. One that cannot be written takes nothing
        // else with it.
        let json = outputs.json.as_ref().map(|path| put(path, self.json()));
        let csv = outputs.csv.as_ref().map(|path| put(path, self.csv()));
        let text = self.to_string();
        let mut on_stdout = None;
        let mut errors = Vec::new();
        for put in json.into_iter().chain(csv) {
            match put {
                Ok(Some(bytes)) => on_stdout = Some(bytes),
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        let printed = match on_stdout {
            Some(taken) => print(&mut std::io::stderr(), text.as_bytes())
                .and(print(&mut std::io::stdout(), &taken)),
            None => print(&mut std::io::stdout(), text.as_bytes()),
        };
        errors.extend(printed.err());
        // Both on a full disk say the same.
        errors.into_iter().next().map_or(Ok(()), Err)
    }

    fn json(&self) -> anyhow::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self).context("cannot encode the report")?;
        json.push(b'\n');
        Ok(json)
    }

    /// A row for each step.
    fn csv(&self) -> anyhow::Result<Vec<u8>> {
        let mut rows = csv::Writer::from_writer(Vec::new());
        let table = std::iter::once(StepReport::HEAD.map(str::to_owned))
            .chain(self.steps.iter().map(StepReport::row));
        for row in table {
            rows.write_record(row).context("cannot encode the report")?;
        }
        rows.into_inner().context("cannot encode the report")
    }
}

/// Writes a file; what is for standard output comes back.
fn put(path: &Path, bytes: anyhow::Result<Vec<u8>>) -> anyhow::Result<Option<Vec<u8>>> {
    let bytes = bytes?;
    if path == Path::new(STDOUT) {
        return Ok(Some(bytes));
    }
    std::fs::write(path, bytes)
        .with_context(|| format!("cannot write the report to {}", path.display()))?;
    Ok(None)
}

fn print(to: &mut impl Write, bytes: &[u8]) -> anyhow::Result<()> {
    to.write_all(bytes)
        .and_then(|()| to.flush())
        .context("cannot print the report")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_cannot_be_written_is_told_before_the_flood_and_a_good_path_stays_clean() {
        let path = std::env::temp_dir().join(format!("ncs-report-{}.json", std::process::id()));
        let to = |json: &Path| OutputArgs {
            json: Some(json.to_owned()),
            csv: None,
        };
        check(&to(&path)).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "{}").unwrap();
        check(&to(&path)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{}");
        let error = check(&to(&path.join("report.json"))).unwrap_err();
        assert!(error.to_string().contains("--json"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let both = OutputArgs {
            json: Some("-".into()),
            csv: Some("-".into()),
        };
        assert!(check(&both).is_err());
        let one = OutputArgs {
            json: Some("r".into()),
            csv: Some("r".into()),
        };
        assert!(check(&one).unwrap_err().to_string().contains("same file"));
    }
}
