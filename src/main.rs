//! The `retrovolt` binary: see [`retrovolt::cli`].

fn main() -> std::process::ExitCode {
    retrovolt::cli::main()
}
