//! The broker, and what waits in its queues.

use super::finding::Finding;
use crate::identity::Identity;
use anyhow::Context;
use ncs_broker::connection::QueueState;
use ncs_broker::{Address, BrokerError, Connection};
use ncs_program::cli::BrokerArgs;
use ncs_protocol::ModelName;
use ncs_protocol::topology::{self, DEAD, RESULTS_QUEUE};

/// Logs in, and looks at the queues without declaring any.
pub(super) fn check(
    broker: &BrokerArgs,
    model: Option<&ModelName>,
) -> anyhow::Result<Vec<Finding>> {
    let address = match broker.address() {
        Ok(address) => address,
        Err(error) => return Ok(vec![failure(&error)]),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    Ok(runtime.block_on(look(&address, model)))
}

async fn look(address: &Address, model: Option<&ModelName>) -> Vec<Finding> {
    let name = format!("ncs-worker {} doctor", Identity::of_this_process());
    let connection = match Connection::open(address, &name).await {
        Ok(connection) => connection,
        Err(error) => return vec![failure(&error)],
    };
    let mut findings = vec![Finding::ok(format!("broker at {address}: logged in"))];
    match model {
        Some(model) => {
            let queue = topology::jobs_queue(model);
            let state = connection.queue_state(&queue).await;
            findings.push(judge(&queue, state, jobs));
        }
        None => findings.push(Finding::ok(
            "queue of jobs: not checked; give --model or --model-name",
        )),
    }
    for (queue, say) in [
        (RESULTS_QUEUE, results as fn(&str, QueueState) -> Finding),
        (DEAD, dead_letters),
    ] {
        let state = connection.queue_state(queue).await;
        findings.push(judge(queue, state, say));
    }
    connection.close().await;
    findings
}

fn judge(
    queue: &str,
    state: Result<QueueState, BrokerError>,
    say: fn(&str, QueueState) -> Finding,
) -> Finding {
    match state {
        Ok(state) => say(queue, state),
        Err(BrokerError::NotFound(_)) => Finding::ok(format!(
            "queue {queue}: not there; no worker has declared it yet"
        )),
        Err(error) => failure(&error),
    }
}

fn jobs(queue: &str, state: QueueState) -> Finding {
    let QueueState {
        messages,
        consumers,
    } = state;
    let said = format!("queue {queue}, jobs ready: {messages}, consumers: {consumers}");
    if messages > 0 && consumers == 0 {
        Finding::warning(format!("{said}: nobody takes them")).remedy("start ncs-worker run")
    } else {
        Finding::ok(said)
    }
}

fn results(queue: &str, state: QueueState) -> Finding {
    Finding::ok(format!(
        "queue {queue}, results waiting: {}",
        state.messages
    ))
}

fn dead_letters(queue: &str, state: QueueState) -> Finding {
    match state.messages {
        0 if state.consumers > 0 => Finding::warning(format!(
            "queue {queue}, dead letters: a command has them in hand"
        ))
        .remedy("look again when it has ended"),
        0 => Finding::ok(format!("queue {queue}, dead letters: none")),
        letters => Finding::warning(format!("queue {queue}, dead letters: {letters}"))
            .remedy("see which and why: ncs-producer dead list"),
    }
}

/// The error says the remedy.
fn failure(error: &BrokerError) -> Finding {
    Finding::problem(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Grade;

    fn grade(say: fn(&str, QueueState) -> Finding, messages: u32, consumers: u32) -> Grade {
        let state = QueueState {
            messages,
            consumers,
        };
        judge("q", Ok(state), say).grade
    }

    #[test]
    fn dead_letters_and_jobs_that_nobody_takes_are_warned_of() {
        assert_eq!(grade(jobs, 7, 1), Grade::Ok);
        assert_eq!(grade(jobs, 7, 0), Grade::Warning);
        assert_eq!(grade(jobs, 0, 0), Grade::Ok);
        assert_eq!(grade(results, 7, 0), Grade::Ok);
        assert_eq!(grade(dead_letters, 0, 0), Grade::Ok);
        assert_eq!(grade(dead_letters, 1, 0), Grade::Warning);
        assert_eq!(grade(dead_letters, 0, 1), Grade::Warning);
    }

    #[test]
    fn a_queue_that_is_not_there_is_no_problem() {
        let error = Err(BrokerError::NotFound("no queue".to_owned()));
        assert_eq!(judge("q", error, jobs).grade, Grade::Ok);
        let error = Err(BrokerError::TimedOut { doing: "looking" });
        assert_eq!(judge("q", error, jobs).grade, Grade::Problem);
    }
}
