//! The `pinnace` binary: parses, runs, ends.

fn main() -> std::process::ExitCode {
    pinnace_cli::main()
}
