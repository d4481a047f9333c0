//! The agent's configuration: any text is refused with a message or can be used.
#![no_main]

use hallwatch_agent::Config;
use hallwatch_config::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(invalid) = Config::parse(&Source::new("agent.toml", text)) {
        assert!(!invalid.render(false).is_empty());
    }
});
