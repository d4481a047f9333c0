//! What rules cost: the engine that samples push, and Prometheus and vmalert on VictoriaMetrics (as
//! installed here) on the same series and rules, each evaluating once a second.
//!
//! `cargo bench -p hallwatch-collector --bench rules [-- SERIES RULES SECONDS ROUNDS]`; zero rounds
//! leave out the peers, `growth` instead of numbers is only the part about unrelated rules.
//!
//! A tenth of the rules are of each kind (thresholds, rates, windows, sums, joins and so on); the
//! series lie in a hundred rooms, and a rule reads one room, so that a thousand rules read every
//! series. CPU time is user and system. Of the processes it is all that they do: Prometheus and
//! VictoriaMetrics scrape and store, Hallwatch takes batches of ten agents, stores and syncs; what
//! of that are rules is the difference to the same without rules, and in Hallwatch the time of the
//! thread that has the rules. Latency is from a sample to the firing alert.

#![expect(clippy::print_stdout, reason = "a measuring command")]
#![expect(clippy::unwrap_used, reason = "a measuring command")]
#![expect(clippy::disallowed_methods, reason = "a measuring command")]

mod engine;
mod facility;
mod peers;
mod process;
mod store;

use process::Measured;

fn main() {
    if store::serve_if_child() {
        return;
    }
    let args: Vec<String> = std::env::args().collect();
    if args.iter().any(|arg| arg == "growth") {
        engine::growth(10_000, 200);
        return;
    }
    let numbers: Vec<u32> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let number = |at: usize, usual| numbers.get(at).copied().unwrap_or(usual);
    let (series, rules) = (number(0, 10_000), number(1, 1_000));
    let (seconds, rounds) = (number(2, 30), number(3, 2));
    println!("{series} series once a second, {rules} rules; {}", process::load());
    engine::alone(series, rules, seconds.max(60));
    engine::close(series, rules, seconds);
    if numbers.is_empty() {
        engine::growth(series, 200);
    }
    let mut table: Vec<(String, Vec<Measured>)> = Vec::new();
    let mut note = |name: &str, measured: Measured| {
        println!("{name:38} {}", measured.line());
        match table.iter_mut().find(|(known, _)| known == name) {
            Some((_, all)) => all.push(measured),
            None => table.push((name.to_owned(), vec![measured])),
        }
    };
    // In turn, so that what else the machine does concerns all of them.
    for _ in 0..rounds.max(1) {
        note("Hallwatch, without rules", store::hallwatch(series, 0, seconds));
        note("Hallwatch", store::hallwatch(series, rules, seconds));
        if rounds == 0 {
            break;
        }
        note("Prometheus, without rules", peers::prometheus(series, 0, seconds));
        note("Prometheus", peers::prometheus(series, rules, seconds));
        note("VictoriaMetrics, without rules", peers::victoria(series, 0, seconds));
        note("VictoriaMetrics and vmalert", peers::victoria(series, rules, seconds));
    }
    println!("\n{}; mean of {} rounds\n", process::load(), rounds.max(1));
    println!(
        "| | CPU seconds a minute | of that rules | sample to alert, median | p99 | kept up |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    let mut before = 0.0;
    for (name, rounds) in &mut table {
        let all = Measured::of_rounds(rounds);
        let of_rules = all.cpu_of_rules.unwrap_or(all.cpu - before);
        before = all.cpu;
        let rules = if name.ends_with("without rules") {
            "| | ".to_owned()
        } else {
            format!("{of_rules:.2} | {:.1} ms | {:.1} ms", all.at(50), all.at(99))
        };
        println!("| {name} | {:.2} | {rules} | {:.0} % |", all.cpu, all.kept_up * 100.0);
    }
}
