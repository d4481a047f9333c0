//! A profile from a site: any text is refused with a message or can be used.
#![no_main]

use hallwatch_agent::profile::Profile;
use hallwatch_config::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Profile::parse("fuzz", &Source::new("fuzz.toml", text)) {
        Ok(profile) => {
            assert_eq!(profile.samples(&[]).len(), profile.series().len());
            assert!(profile.refused(&[]).is_empty());
            assert!(profile.identity(&[]).is_empty());
        }
        Err(invalid) => assert!(!invalid.render(false).is_empty()),
    }
});
