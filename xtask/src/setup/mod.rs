//! What a bare machine lacks, step by step; what is there already is left alone.
//!
//! Every [`Step`] can say what it would do. Those that make files leave a [`stamp`] when they are
//! through, and are done again when what they were made from has changed.

mod apt;
mod cargo_fuzz;
mod compose;
mod digits;
mod grafana_schema;
mod model;
mod openvino;
mod photos;
mod program;
mod prometheus;
mod python;
mod rabbitmq;
mod references;
mod stamp;
mod system_packages;
mod unpacked_rabbitmq;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context, Result};
use ncs_e2e::paths::Runtime;

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What the demo needs.
    Demo,
    /// What the tests need as well.
    All,
    /// What fuzzing needs, which is something else.
    Fuzz,
}

/// One part of the set-up.
trait Step {
    /// For the reader, for example "photos".
    fn name(&self) -> &'static str;

    /// What there is to do.
    fn look(&self) -> Result<Finding>;

    /// Does it, and says in a few words what came of it, if that is worth knowing.
    fn perform(&self) -> Result<Option<String>>;
}

/// What a step finds.
enum Finding {
    /// Nothing to do, and why, for the reader.
    Done(String),
    /// Something to do, which the reader is told before it is done.
    ToDo(String),
}

impl Finding {
    fn from_stamp(stamp: &stamp::Stamp, to_do: impl Into<String>) -> Self {
        if stamp.is_current() {
            Self::Done("done already".to_owned())
        } else {
            Self::ToDo(to_do.into())
        }
    }
}

/// Does what is left to do, with one line for each step.
pub(crate) fn run(scope: Scope) -> Result<()> {
    let runtime = Runtime::locate()?;
    let steps = steps(scope, &runtime);
    for (index, step) in steps.iter().enumerate() {
        print(&format!(
            "Setup {}/{}, {}: ",
            index + 1,
            steps.len(),
            step.name()
        ));
        if let Err(error) = perform(step.as_ref()) {
            println!("failed");
            return Err(error);
        }
    }
    Ok(())
}

fn steps(scope: Scope, runtime: &Runtime) -> Vec<Box<dyn Step>> {
    let system_packages = Box::new(system_packages::SystemPackages::new(runtime, scope));
    if scope == Scope::Fuzz {
        return vec![
            system_packages,
            Box::new(cargo_fuzz::CargoFuzz::new(runtime)),
        ];
    }
    let mut steps: Vec<Box<dyn Step>> = vec![
        system_packages,
        Box::new(rabbitmq::RabbitMqServer::new(runtime, scope)),
        Box::new(python::PythonPackages::new(runtime)),
        Box::new(openvino::OpenVino::new(runtime)),
        Box::new(model::GoogLeNet::new(runtime)),
        Box::new(photos::Photos::new(runtime)),
    ];
    if scope == Scope::All {
        steps.push(Box::new(prometheus::Prometheus::new(runtime)));
        steps.push(Box::new(grafana_schema::GrafanaSchema::new(runtime)));
        steps.push(Box::new(unpacked_rabbitmq::UnpackedRabbitMq::v3(runtime)));
        steps.push(Box::new(unpacked_rabbitmq::UnpackedRabbitMq::v4(runtime)));
        steps.push(Box::new(compose::DockerCompose::new(runtime)));
        steps.push(Box::new(openvino::OpenVino::older(runtime)));
        steps.push(Box::new(digits::Digits::new(runtime)));
        steps.push(Box::new(references::References::opencv(runtime)));
        steps.push(Box::new(references::References::scores(runtime)));
    }
    steps
}

fn perform(step: &dyn Step) -> Result<()> {
    match step.look()? {
        Finding::Done(why) => println!("{why}"),
        Finding::ToDo(what) => {
            print(&format!("{what} ... "));
            let begin = Instant::now();
            let outcome = step.perform()?;
            let mut line = format!("{:.1} s", begin.elapsed().as_secs_f64());
            if let Some(outcome) = outcome {
                write!(line, " ({outcome})").context("formatting")?;
            }
            println!("{line}");
        }
    }
    Ok(())
}

/// At once, so that the reader sees what is being waited for.
fn print(text: &str) {
    print!("{text}");
    let _ = std::io::stdout().flush();
}
