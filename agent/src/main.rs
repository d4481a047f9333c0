//! The command line of the edge agent.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
