//! `ncs-producer submit`: a batch of images, one line for each, however often it is interrupted.
//!
//! A batch is a folder beside its output (`place`): what it is (`batch`), which images it has
//! (`list`, made by `listing`), and what is known of each (`marks`). All of that is written before
//! anything is sent. Then files are read ahead (`reading`, within a `budget`), sent as a
//! `campaign`, and what comes of them is kept by one thread (`keeper`): the `line` of an image goes
//! to the `output` and to the disk, then its mark is set, and only then is its result acked.
//!
//! So nothing that was answered is lost, and when a run was killed the next one knows: what has a line
//! is done; what the broker has is waited for; and first of all it takes what waits for it
//! (`leftovers`). Memory holds none of it but the images under way.

mod batch;
mod budget;
mod campaign;
mod keeper;
mod leftovers;
mod line;
mod list;
mod listing;
mod marks;
mod name;
mod output;
mod place;
mod reading;
#[cfg(test)]
mod scratch;
mod summary;
mod tally;

use crate::cli::SubmitArgs;
use crate::process;
use crate::source::Preparation;
use crate::traffic::window::Choice;
use crate::traffic::{End, Route, Signals, Traffic};
use anyhow::bail;
use batch::{Batch, Complete, Found, Wanted};
use campaign::Sending;
use keeper::{Keeper, Kept};
use line::Format;
use ncs_broker::Address;
use place::Place;
use reading::Images;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use summary::Summary;
use tokio_util::sync::CancellationToken;

/// Every image has its line, and some lines are errors: going on would not help.
const SOME_FAILED: u8 = 3;
/// What a shell reports of a program that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// Results that are acked together at most, each time when they are on the disk. What is not acked when
/// the connection breaks comes again, and is known.
const ACKED_TOGETHER: u16 = 256;
/// The longest command that is shown again.
const LONGEST_COMMAND: usize = 500;

/// Begins a batch or goes on with one, and says in the exit code what became of it: 0, every image has
/// classes; 3, some have an error; 1, some are unanswered; 130, interrupted.
pub fn run(arguments: &SubmitArgs) -> anyhow::Result<ExitCode> {
    let address = arguments.broker.address()?;
    let preparation = arguments.prepare.preparation()?;
    let (batch, is_resumed) = match find(arguments, &preparation, &address)? {
        Start::New(batch) => (Arc::new(batch), false),
        Start::Resumed(batch) => (Arc::new(batch), true),
        Start::Complete(images, complete) => {
            say(&format!(
                "nothing is missing: each of the {images} images has its line\n"
            ));
            return Ok(complete.exit_code());
        }
    };
    let kept = Kept::open(&batch)?;
    if is_resumed {
        let missing = batch.description.images - kept.tally.answered();
        tracing::info!(
            "{missing} of {} images are missing",
            batch.description.images
        );
    }
    let sending = Sending::new(&batch, Keeper::start(kept)?);
    let run = Run {
        arguments,
        batch: &batch,
        preparation,
        address,
    };
    process::block_on(run.to_its_end(sending, is_resumed))
}

/// Where a run starts.
enum Start {
    New(Batch),
    Resumed(Batch),
    /// Nothing is missing of so many images.
    Complete(u64, Complete),
}

fn find(
    arguments: &SubmitArgs,
    preparation: &Preparation,
    address: &Address,
) -> anyhow::Result<Start> {
    let SubmitArgs { images, model, .. } = arguments;
    let place = Place::of(&arguments.out);
    let wanted = Wanted {
        name: arguments.name.clone(),
        model: model.to_string(),
        broker: address.to_string(),
        format: if arguments.csv {
            Format::Csv
        } else {
            Format::Json
        },
        top_k: arguments.top_k,
        prepare: (*preparation != Preparation::Original).then(|| format!("{preparation:?}")),
        paths: images.paths.clone(),
    };
    if place == Place::Standard && arguments.resume {
        bail!(
            "what went to standard output cannot be resumed; leave --resume out, or give --out a file"
        );
    }
    let images_are_named = !images.paths.is_empty() || images.files_from.is_some();
    if !place.look(arguments.resume)? {
        if !images_are_named {
            bail!(
                "there is no batch to resume in {}; name its images to begin it",
                arguments.out.display()
            );
        }
        process::block_on(leftovers::check_model(address, model))?;
    }
    let folder = match Batch::find(&place, place.take(arguments.resume)?, &wanted)? {
        Found::Begun(batch) => return Ok(Start::Resumed(*batch)),
        Found::Complete(images, complete) => return Ok(Start::Complete(images, complete)),
        Found::Nothing(folder) => folder,
    };
    if !images_are_named {
        bail!(
            "the batch in {} was interrupted before its images were listed; name them again",
            arguments.out.display()
        );
    }
    match listing::list(images, &folder) {
        Ok(listing) => Batch::begin(&place, folder, wanted, listing).map(Start::New),
        Err(error) => {
            folder.remove();
            Err(error)
        }
    }
}

/// One run of a batch.
struct Run<'a> {
    arguments: &'a SubmitArgs,
    batch: &'a Arc<Batch>,
    preparation: Preparation,
    address: Address,
}

/// Why a run ended, and what was there then.
struct Ended {
    end: End,
    /// There was a broker.
    connected: bool,
}

impl Run<'_> {
    /// All of it, under the eyes of whoever signals: the disk may be slow at the end, too.
    async fn to_its_end(&self, sending: Sending, is_resumed: bool) -> anyhow::Result<ExitCode> {
        let shutdown = CancellationToken::new();
        process::end_on_signal(&shutdown)?;
        let end = self.exchange(&sending, is_resumed, &shutdown).await;
        let pace = sending.pace();
        let (keeper, sent) = sending.into_keeper();
        let kept = tokio::task::spawn_blocking(move || keeper.finish(sent)).await?;
        let error = match (kept, end) {
            (Ok(kept), Ok(end)) => {
                let is_interrupted = shutdown.is_cancelled();
                return self.conclude(kept, &end, pace, is_interrupted).await;
            }
            (Ok(kept), Err(error)) => {
                self.sum_up(&kept, pace);
                error
            }
            // Lines that cannot be written are why it ended.
            (Err(error), _) => error,
        };
        self.tell_how_to_go_on();
        Err(error)
    }

    /// Jobs out, answers in.
    async fn exchange(
        &self,
        sending: &Sending,
        is_resumed: bool,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Ended> {
        if is_resumed {
            let collecting = leftovers::collect(&self.address, self.batch, sending);
            tokio::select! {
                collected = collecting => collected?,
                () = shutdown.cancelled() => {
                    return Ok(Ended { end: End::Interrupted, connected: true });
                }
            }
        }
        sending.begin(Images::read(self.batch, &self.preparation)?);
        // A second one ends the process: a batch loses nothing by that.
        let signals = Signals {
            finish: shutdown.clone(),
            ..Signals::default()
        };
        let traffic = Traffic::new(self.route(), sending, signals);
        let end = traffic.run(self.batch.is_kept(), |_| ()).await?;
        let connected = traffic.state().connected;
        Ok(Ended { end, connected })
    }

    fn route(&self) -> Route {
        let description = &self.batch.description;
        let model = &self.arguments.model;
        let window = self.arguments.window;
        Route {
            address: self.address.clone(),
            model: model.clone(),
            name: match &description.name {
                Some(name) => format!("{name}: {model}"),
                None => model.to_string(),
            },
            result_queue: description.result_queue.clone(),
            window: window.map_or(Choice::ByConsumers, Choice::Jobs),
            connections: 1,
            acked_together: ACKED_TOGETHER,
            timeout: self.arguments.timeout,
        }
    }

    /// Writes the last lines and the summary.
    async fn conclude(
        &self,
        mut kept: Kept,
        ended: &Ended,
        pace: (Duration, u64),
        is_interrupted: bool,
    ) -> anyhow::Result<ExitCode> {
        let description = &self.batch.description;
        let is_complete = kept.tally.answered() == description.images;
        let gave_up = ended.end == End::GaveUp && !is_complete && !is_interrupted;
        let written = if gave_up {
            let of = if ended.connected { "answer" } else { "broker" };
            let timeout = humantime::format_duration(self.arguments.timeout);
            let why = format!("no {of} for {timeout}");
            let giving_up = tokio::task::spawn_blocking(move || {
                let written = kept.give_up(&format!("sent, {why}"), &format!("not sent: {why}"));
                (kept, written)
            });
            let (back, written) = giving_up.await?;
            kept = back;
            written
        } else {
            Ok(())
        };
        self.sum_up(&kept, pace);
        if !is_complete {
            self.tell_how_to_go_on();
            written?;
            return Ok(if is_interrupted {
                INTERRUPTED.into()
            } else {
                ExitCode::FAILURE
            });
        }
        let complete = Complete {
            failed: kept.tally.failed,
            bytes: kept.output_len()?,
        };
        self.batch.complete(complete)?;
        Ok(complete.exit_code())
    }

    fn sum_up(&self, kept: &Kept, pace: (Duration, u64)) {
        let summary = Summary {
            description: &self.batch.description,
            tally: &kept.tally,
            pace,
            output: match self.batch.place() {
                Place::File(path) => path.display().to_string(),
                Place::Standard => "standard output".to_owned(),
            },
        };
        say(&summary.to_string());
    }

    fn tell_how_to_go_on(&self) {
        if self.batch.is_kept() {
            let arguments = std::env::args_os();
            let command =
                same_command(arguments.map(|argument| argument.to_string_lossy().into_owned()));
            // A URL with a password is no longer on the command line.
            let broker = if std::env::var_os("NCS_AMQP_URL").is_some() {
                ", with the same NCS_AMQP_URL or --amqp-url"
            } else {
                ""
            };
            say(&format!(
                "to go on with the images that are missing{broker}: {command}\n"
            ));
        }
    }
}

/// To standard error, if it can be written: a log that is full ends no batch.
fn say(words: &str) {
    let _ = std::io::stderr().write_all(words.as_bytes());
}

impl Complete {
    fn exit_code(self) -> ExitCode {
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            SOME_FAILED.into()
        }
    }
}

/// What to type to go on. A password is in none of it: [`ncs_program::start`] has seen to that.
fn same_command(arguments: impl Iterator<Item = String>) -> String {
    let mut arguments: Vec<String> = arguments.collect();
    if !arguments.iter().any(|argument| argument == "--resume") {
        // Not at the end: behind a -- it would be a path.
        let behind = arguments
            .iter()
            .position(|argument| argument == "submit")
            .map_or(arguments.len(), |submit| submit + 1);
        arguments.insert(behind, "--resume".to_owned());
    }
    let words: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
    let command = words.join(" ");
    if command.len() > LONGEST_COMMAND {
        return "the same command with --resume, which needs no PATHs".to_owned();
    }
    command
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_goes_on_can_be_pasted() {
        let told = |line: &[&str]| same_command(line.iter().map(|word| (*word).to_owned()));
        assert_eq!(
            told(&["ncs-producer", "submit", "my photos", "it's", "--out", "r"]),
            r"ncs-producer submit --resume 'my photos' 'it'\''s' --out r"
        );
        assert_eq!(
            told(&["p", "submit", "--out", "r", "--", "-odd"]),
            "p submit --resume --out r -- -odd"
        );
        assert_eq!(told(&["p", "--resume", "x"]), "p --resume x");
        assert!(told(&["p"; 1_000]).starts_with("the same command"));
    }
}
