//! `retrovolt diag`: a support bundle without secrets, and the list of what is in it.

use super::daemon::SocketArgs;
use super::host;
use crate::config::{self, LoadOptions};
use crate::runtime::control::Ask;
use crate::runtime::{self, exit, pack};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Promise U6: the whole bundle within ten seconds.
const PATIENCE: Duration = Duration::from_secs(6);

/// Options of `retrovolt diag`.
#[derive(Debug, Args)]
pub struct DiagArgs {
    /// The file to write, `.tar.gz` [default: retrovolt-diag-TIME.tar.gz here].
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// The configuration file.
    #[arg(short, long, default_value_os_t = runtime::default_config().to_owned())]
    config: PathBuf,
    /// Control socket of the gateway [default: the one in the configuration].
    #[arg(long)]
    socket: Option<PathBuf>,
}

/// Writes the bundle. Exit codes: 0 written, 73 the file cannot be written.
pub async fn run(args: DiagArgs) -> ExitCode {
    let options = LoadOptions::for_a_verb(&args.config);
    let mut bundle = pack::Bundle::new();
    bundle.add("versions.txt", &pack::versions());
    let loaded = config::load(&args.config, &options);
    let places = match &loaded {
        Ok(loaded) => {
            bundle.hide(&loaded.setup);
            config::Whereabouts {
                state_dir: loaded.setup.state_dir.clone(),
                socket: loaded.setup.socket.clone(),
            }
        }
        Err(_) => config::whereabouts(&args.config, &options),
    };
    bundle.add(
        "check-config.txt",
        &config::check(std::slice::from_ref(&args.config), false, false).0,
    );
    let checks = host::checks(&args.config).await;
    bundle.add("doctor.txt", &host::screen(&checks));
    let socket = args.socket.unwrap_or(places.socket);
    match (SocketArgs { socket }).ask(&Ask::Diag, PATIENCE).await {
        Ok(answer) => bundle.add_all(&answer["files"]),
        Err(silent) => {
            bundle.add("gateway.txt", &format!("{}\n", silent.words));
            if let Ok(loaded) = &loaded {
                bundle.add("configuration.toml", &config::effective(&loaded.setup));
            }
            bundle.add_from_disk(&places.state_dir);
        }
    }
    let output = args.output.unwrap_or_else(pack::file_name);
    match bundle.write(&output) {
        Ok(contents) => {
            print!(
                "{} holds, without passwords, keys and tokens:\n{contents}",
                output.display()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("retrovolt: {}: {error}", output.display());
            exit::CANT_CREATE.into()
        }
    }
}
