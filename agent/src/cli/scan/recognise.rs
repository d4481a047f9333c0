//! From what a device shows to the profiles that may be for it. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use hallwatch_agent::profile::{Fingerprint, Profile};
use hallwatch_modbus::answer::Object;
use hallwatch_modbus::sunspec::Chain;
use hallwatch_modbus::{Data, Read};

/// What a device shows of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Traits {
    /// Its identification by function 43.
    pub(super) objects: Vec<Object>,
    /// Its SunSpec models.
    pub(super) chain: Option<Chain>,
    /// What is in the registers that tell devices apart.
    pub(super) registers: HashMap<Read, Data>,
}

/// The reads that tell devices apart, each once.
pub(super) fn reads(profiles: &[Arc<Profile>]) -> Vec<Read> {
    let mut reads: Vec<Read> = Vec::new();
    for fingerprint in profiles.iter().flat_map(|profile| &profile.fingerprints) {
        if let Fingerprint::Registers { read, .. } = fingerprint
            && !reads.contains(read)
        {
            reads.push(*read);
        }
    }
    reads
}

/// The profiles that may be for it, those with more in common first.
pub(super) fn proposals(profiles: &[Arc<Profile>], traits: &Traits) -> Vec<Arc<Profile>> {
    let mut scored: Vec<(usize, &Arc<Profile>)> = profiles
        .iter()
        .map(|profile| (score(profile, traits), profile))
        .filter(|(score, _)| *score > 0)
        .collect();
    // The sort is stable: of equals the first by name.
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().map(|(_, profile)| Arc::clone(profile)).collect()
}

/// The SunSpec model that every device has.
const COMMON: u16 = 1;

/// How much speaks for it.
fn score(profile: &Profile, traits: &Traits) -> usize {
    let fits = |fingerprint: &&Fingerprint| match fingerprint {
        Fingerprint::Object { .. } => fingerprint.fits_objects(&traits.objects),
        Fingerprint::Registers { read, .. } => {
            traits.registers.get(read).is_some_and(|data| fingerprint.fits_data(data))
        }
    };
    let fingerprints = profile.fingerprints.iter().filter(fits).count();
    let models = profile.models().into_iter().filter(|model| *model != COMMON).filter(|model| {
        traits.chain.as_ref().is_some_and(|chain| chain.model(*model, 1).is_some())
    });
    // What somebody chose to tell devices apart counts more than names that are alike.
    (fingerprints + models.count()) * 10 + usize::from(is_named(profile, &traits.objects))
}

/// Whether the identification names the profile's maker, and a word of its models.
fn is_named(profile: &Profile, objects: &[Object]) -> bool {
    let texts = |ids: &[u8]| -> Vec<String> {
        let wanted = objects.iter().filter(|object| ids.contains(&object.id));
        wanted.flat_map(|object| words(&object.text)).collect()
    };
    let makers = words(&profile.manufacturer);
    let models = words(&profile.model);
    let is_maker = makers.first().is_some_and(|maker| texts(&[0]).contains(maker));
    let has_digit = |word: &&String| word.chars().any(|c| c.is_ascii_digit());
    is_maker && texts(&[1, 4, 5]).iter().filter(has_digit).any(|word| models.contains(word))
}

/// Words of three letters and digits or more, in lower case.
fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric());
    parts.filter(|part| part.chars().count() >= 3).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallwatch_config::Source;
    use hallwatch_modbus::Table;
    use hallwatch_modbus::sunspec::{Chain, Model};

    fn profile(name: &str, fingerprints: &str) -> Arc<Profile> {
        let text = format!(
            "manufacturer = \"Maker (of all)\"\nmodel = \"PX3 family\"\nkind = \"ups\"\nconfidence = \"high\"\n\
             {fingerprints}\n\
             [[point]]\nname = \"p\"\ntable = \"holding\"\naddress = 0\ntype = \"u16\"\n\
             metric = \"meter_frequency_hertz\"\n"
        );
        Arc::new(Profile::parse(name, &Source::new(name, text)).unwrap())
    }

    #[test]
    fn more_in_common_comes_first_and_nothing_in_common_does_not_come() {
        let number = "[[fingerprint]]\ntable = \"holding\"\naddress = 7\nvalues = [0x4150]\n";
        let object = "[[fingerprint]]\nobject = 0\ntext = \"acme\"\n";
        let all = [
            profile("a", number),
            profile("b", &format!("{number}{object}")),
            profile("c", "[[fingerprint]]\nobject = 0\ntext = \"other\"\n"),
            profile("d", ""),
        ];
        let read = Read::new(Table::HoldingRegisters, 7, 1).unwrap();
        assert_eq!(reads(&all), [read]);
        let mut traits = Traits {
            objects: vec![Object { id: 0, text: "ACME Ltd".into() }],
            registers: [(read, Data::Registers([0x4150].into()))].into(),
            chain: None,
        };
        let names = |traits: &Traits| -> Vec<String> {
            proposals(&all, traits).iter().map(|profile| profile.name.clone()).collect()
        };
        assert_eq!(names(&traits), ["b", "a"]);
        traits.registers.clear();
        assert_eq!(names(&traits), ["b"]);
        // A name is better than nothing, when maker and model fit.
        let object = |id, text: &str| Object { id, text: text.into() };
        traits.objects = vec![object(0, "MAKER"), object(1, "PX3-5190R")];
        assert_eq!(names(&traits), ["a", "b", "c", "d"]);
        traits.objects = vec![object(0, "MAKER"), object(1, "family")];
        assert!(names(&traits).is_empty());
        // A model of its own speaks for a profile, the one that all devices have does not.
        let model = |id| Model { id, address: 40_002, length: 105 };
        let meter = [Arc::new(Profile::named("sunspec_meter_203").unwrap().unwrap())];
        for (models, fits) in [(vec![model(1)], false), (vec![model(1), model(203)], true)] {
            let chain = Some(Chain { table: Table::HoldingRegisters, models });
            let traits = Traits { chain, ..Traits::default() };
            assert_eq!(proposals(&meter, &traits).len(), usize::from(fits));
        }
        assert!(names(&Traits::default()).is_empty());
    }
}
