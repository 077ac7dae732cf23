//! The command line. The doc comments are the help.

#![expect(clippy::doc_markdown, reason = "help texts are not Markdown")]

mod limits;
mod size;
mod time;

pub use self::limits::LimitArgs;
use crate::prefetch::Prefetch;
use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};
use ncs_engine::{DeviceChoice, Precision};
use ncs_image::{ColorOrder, Preprocessing};
use ncs_program::cli::BrokerArgs;
use ncs_protocol::ModelName;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Of `run`, which serves there, and of `health`, which asks there.
const DEFAULT_METRICS_ADDR: &str = "127.0.0.1:9464";

/// Classify images on Neural Compute Sticks, fed by RabbitMQ.
#[derive(Debug, Parser)]
#[command(name = "ncs-worker", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take jobs from the broker, infer, publish results
    ///
    /// Example: ncs-worker run --model googlenet-v1.xml --labels imagenet.txt --amqp-url amqp://head
    Run(Box<RunArgs>),
    /// List the devices that OpenVINO finds
    ///
    /// Example: ncs-worker devices
    Devices(RuntimeArgs),
    /// Measure inference alone, without a broker
    ///
    /// Example: ncs-worker bench --model googlenet-v1.xml --iterations 1000
    Bench(BenchArgs),
    /// Look for what keeps a worker from working, and say the remedies
    ///
    /// Example: ncs-worker doctor --model googlenet-v1.xml
    Doctor(DoctorArgs),
    /// Ask the worker on this host whether it is ready: exit code 0, or 1 and why not
    ///
    /// For the health checks of container engines and supervisors.
    ///
    /// Example: ncs-worker health
    Health(HealthArgs),
}

/// Where OpenVINO is.
#[derive(Debug, Clone, Args)]
pub struct RuntimeArgs {
    /// Directory of OpenVINO's libopenvino_c, or of an installation that contains it [default: as
    /// the system finds it, LD_LIBRARY_PATH included]
    #[arg(long, env = "NCS_OPENVINO_DIR", value_name = "DIR")]
    pub openvino_dir: Option<PathBuf>,
}

/// Which network runs where.
#[derive(Debug, Clone, Args)]
pub struct NetworkArgs {
    /// The network: an OpenVINO IR, with its .bin beside it
    #[arg(long, env = "NCS_MODEL", value_name = "M.xml")]
    pub model: PathBuf,
    /// Devices: auto (all sticks; the CPU where no stick was ever seen), sticks, or any OpenVINO
    /// device string such as CPU, GPU or MULTI:MYRIAD.5.1-ma2480,CPU
    #[arg(long, env = "NCS_DEVICES", default_value = "auto")]
    pub devices: DeviceChoice,
    /// Infer requests per device; 4 saturate a stick
    #[arg(long, env = "NCS_REQUESTS_PER_STICK", default_value_t = 4, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub requests_per_stick: u16,
    /// Compute in f32, f16 or bf16 [default: what the device likes best; a CPU with AMX computes in
    /// bf16, whose answers differ a little from f32]
    #[arg(long, env = "NCS_PRECISION")]
    pub precision: Option<Precision>,
    /// One inference at a time, to see what that costs
    #[arg(long, env = "NCS_SYNC", overrides_with = "requests_per_stick",
          value_parser = FalseyValueParser::new())]
    pub sync: bool,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub runtime: RuntimeArgs,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub network: NetworkArgs,
    /// The name under which jobs ask for this network [default: the file's name without .xml]
    #[arg(long, env = "NCS_MODEL_NAME", value_name = "NAME")]
    pub model_name: Option<ModelName>,
    /// Jobs in hand at most: a number up to 4096, or auto, for brokers that are far away: it begins
    /// with the number of infer requests, and grows up to 64 per device while they wait for jobs
    /// although the queue has some [default: the number of infer requests]
    #[arg(long, env = "NCS_PREFETCH", value_name = "N|auto")]
    pub prefetch: Option<Prefetch>,
    /// Names of the classes, one per line
    #[arg(long, env = "NCS_LABELS", value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Classes per result, where the job does not ask for a number
    #[arg(long, env = "NCS_TOP_K", default_value_t = 5, value_name = "K",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub top_k: u32,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub pixels: PixelArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
    /// Where /metrics, /healthz and /readyz are served
    #[arg(
        long,
        env = "NCS_METRICS_ADDR",
        default_value = DEFAULT_METRICS_ADDR,
        value_name = "ADDR"
    )]
    pub metrics_addr: SocketAddr,
    /// Where others reach /metrics, as the worker announces it [default: with --metrics-addr 0.0.0.0, the
    /// address of this host that the broker sees]
    #[arg(long, env = "NCS_ADVERTISE_ADDR", value_name = "HOST:PORT", value_parser = parse_host_and_port)]
    pub advertise_addr: Option<String>,
    /// Which devices there are is looked up so often; a device that failed is left out for as long,
    /// and twice as long each further time
    #[arg(long, env = "NCS_RESCAN", default_value = "10s", value_name = "TIME",
          value_parser = time::within(Duration::from_millis(100)..=time::DAY))]
    pub rescan: Duration,
    /// Loading the network that takes longer has failed
    #[arg(long, env = "NCS_LOAD_TIMEOUT", default_value = "2m", value_name = "TIME",
          value_parser = time::within(Duration::from_secs(1)..=time::DAY))]
    pub load_timeout: Duration,
    /// After so many rebuilds in a row that did not help, the worker ends with exit code 75, so that
    /// its supervisor starts it anew
    #[arg(long, env = "NCS_MAX_FAILED_REBUILDS", default_value_t = 5, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_failed_rebuilds: u32,
    /// An inference that takes longer has failed
    #[arg(long, env = "NCS_INFER_TIMEOUT", default_value = "10s", value_name = "TIME",
          value_parser = time::within(Duration::from_millis(1)..=time::DAY))]
    pub infer_timeout: Duration,
    /// On SIGTERM or Ctrl-C: how long to finish what is in hand; the rest goes back to the broker
    #[arg(long, env = "NCS_DRAIN_TIMEOUT", default_value = "30s", value_name = "TIME",
          value_parser = time::within(Duration::ZERO..=time::DAY))]
    pub drain_timeout: Duration,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub limits: LimitArgs,
}

/// How pixels become tensor elements: (pixel − mean) ÷ scale, in the network's channel order.
#[derive(Debug, Args)]
pub struct PixelArgs {
    /// Order of the network's color channels: bgr or rgb
    #[arg(
        long,
        env = "NCS_COLOR_ORDER",
        default_value = "bgr",
        value_name = "ORDER"
    )]
    pub color_order: ColorOrder,
    /// Subtracted from each pixel: one value, or one per channel [default: 0]
    #[arg(
        long,
        env = "NCS_MEAN",
        value_delimiter = ',',
        value_name = "M[,M,M]",
        allow_negative_numbers = true
    )]
    pub mean: Vec<f32>,
    /// Then divides it: one value, or one per channel [default: 1]
    #[arg(long, env = "NCS_SCALE", value_delimiter = ',', value_name = "S[,S,S]")]
    pub scale: Vec<f32>,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub network: NetworkArgs,
    /// Inferences to time
    #[arg(long, env = "NCS_ITERATIONS", default_value_t = 100, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub iterations: u64,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub runtime: RuntimeArgs,
    /// The network to try on each device [default: none is tried]
    #[arg(long, env = "NCS_MODEL", value_name = "M.xml")]
    pub model: Option<PathBuf>,
    /// The name under which jobs ask for it [default: the file's name without .xml]
    #[arg(long, env = "NCS_MODEL_NAME", value_name = "NAME")]
    pub model_name: Option<ModelName>,
    /// Devices, as for run
    #[arg(long, env = "NCS_DEVICES", default_value = "auto")]
    pub devices: DeviceChoice,
    /// Precision, as for run
    #[arg(long, env = "NCS_PRECISION")]
    pub precision: Option<Precision>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
    /// Where the system's sys and dev are
    #[arg(
        long,
        env = "NCS_SYSFS_ROOT",
        value_name = "DIR",
        default_value = "/",
        hide = true
    )]
    pub sysfs_root: PathBuf,
}

/// Arguments of `health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Where the worker serves /readyz: its --metrics-addr
    #[arg(
        long,
        env = "NCS_METRICS_ADDR",
        default_value = DEFAULT_METRICS_ADDR,
        value_name = "ADDR"
    )]
    pub metrics_addr: SocketAddr,
    /// No answer within this time is a bad answer
    #[arg(long, default_value = "3s", value_name = "TIME",
          value_parser = time::within(Duration::from_millis(1)..=Duration::from_secs(3600)))]
    pub timeout: Duration,
}

impl NetworkArgs {
    /// Infer requests for this many devices.
    #[must_use]
    pub fn infer_requests(&self, devices: usize) -> usize {
        if self.sync {
            1
        } else {
            usize::from(self.requests_per_stick) * devices.max(1)
        }
    }
}

impl PixelArgs {
    /// The same for the decoder.
    #[must_use]
    pub fn preprocessing(&self) -> Preprocessing {
        Preprocessing {
            color_order: self.color_order,
            mean: self.mean.clone(),
            scale: self.scale.clone(),
        }
    }
}

/// Prometheus takes it as it is.
fn parse_host_and_port(text: &str) -> Result<String, String> {
    let is_sound = text.rsplit_once(':').is_some_and(|(host, port)| {
        let named = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
        !host.is_empty()
            && host.chars().all(named)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if is_sound {
        Ok(text.to_owned())
    } else {
        Err("expected a host and a port, such as nuc-3:9464 or [fd00::3]:9464".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn an_advertised_address_is_a_host_and_a_port() {
        for right in ["nuc-3:9464", "10.0.0.3:80", "[fd00::3]:9464"] {
            assert!(parse_host_and_port(right).is_ok(), "{right}");
        }
        for wrong in ["nuc-3", ":9464", "nuc-3:0", "http://nuc-3:9464", "a b:1"] {
            assert!(parse_host_and_port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sync_means_one_request_whatever_the_number_of_sticks() {
        let parse = |more: &[&str]| {
            let arguments = ["ncs-worker", "bench", "--model", "m.xml"];
            let cli = Cli::try_parse_from(arguments.iter().chain(more)).unwrap();
            let Command::Bench(bench) = cli.command else {
                panic!("not bench")
            };
            bench.network
        };
        assert_eq!(parse(&[]).infer_requests(2), 8);
        assert_eq!(parse(&["--requests-per-stick", "2"]).infer_requests(3), 6);
        assert_eq!(parse(&["--sync"]).infer_requests(3), 1);
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_its_password() {
        let url = "amqp://ann:s3cret@rabbit:port";
        let arguments = ["ncs-worker", "run", "--model", "m.xml", "--amqp-url", url];
        let cli = Cli::try_parse_from(arguments).unwrap();
        assert!(!format!("{cli:?}").contains("s3cret"));
        let Command::Run(run) = cli.command else {
            panic!("not run")
        };
        let error = run.broker.address().unwrap_err().to_string();
        assert!(
            error.contains("rabbit") && !error.contains("s3cret"),
            "{error}"
        );
    }

    #[test]
    fn the_brokers_password_is_not_in_the_help() {
        let help = Cli::command()
            .find_subcommand_mut("run")
            .unwrap()
            .render_long_help();
        assert!(!help.to_string().contains("NCS_AMQP_URL="), "{help}");
    }
}
