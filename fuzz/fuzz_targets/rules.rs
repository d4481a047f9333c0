//! Rule files and queries: any text is refused with a message or can be used.
#![no_main]

use hallwatch_collector::rules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(invalid) = rules::load(&[("rules.yaml", text)]) {
        assert!(!invalid.render(false).is_empty());
    }
    if let Err(error) = hallwatch_promql::Query::parse(text) {
        assert!(!error.to_string().is_empty());
    }
});
