//! Texts made to do harm. Nothing may panic, overflow the stack or take for ever.

use proptest::prelude::*;

use super::site::{GOOD, site};
use super::{accept, check};
use crate::{MAX_PROBLEMS, MAX_SOURCE_BYTES, Source, read};

/// Reads and prints; whether the text is valid does not matter.
fn survive(text: &str) {
    let source = Source::new("agent.toml", text);
    let Err(invalid) = read(&source, site) else { return };
    assert!(!invalid.problems().is_empty());
    let lines = text.split('\n').count();
    for (problem, next) in invalid.problems().iter().zip(invalid.problems().iter().skip(1)) {
        assert!(problem.span.start <= next.span.start);
    }
    for problem in invalid.problems() {
        assert!(problem.span.start <= problem.span.end && problem.span.end <= source.text().len());
        assert!((1..=lines).contains(&problem.line) && problem.column >= 1);
        assert!(!problem.message.is_empty());
    }
    let plain = invalid.render(false);
    assert!(!plain.contains('\u{1b}') && !plain.contains('\r'));
    assert!(invalid.render(true).len() >= plain.len());
}

#[test]
fn deep_nesting() {
    let dots = vec!["a"; 79].join(".");
    let nested = |levels: usize| {
        let open = format!("{{ {dots} = ").repeat(levels);
        format!("[{dots}]\n{dots} = {open}1{}", "}".repeat(levels))
    };
    let deepest_read = nested(8);
    assert!(!check(&deepest_read, site).contains("nested deeper"));
    assert!(check(&nested(9), site).contains("nested deeper than 8 levels"));
    for text in [
        "x = ".to_owned() + &"[".repeat(100_000),
        "x = ".to_owned() + &"[".repeat(100_000) + &"]".repeat(100_000),
        "x = ".to_owned() + &"{ a = ".repeat(100_000),
        "a.".repeat(100_000) + "a = 1",
        format!("[{}a]", "a.".repeat(100_000)),
        "[[".repeat(50_000),
        nested(79),
        nested(79).replace('}', ""),
        nested(79).repeat(2),
        deepest_read.replace('}', ""),
        deepest_read.replace('}', "]"),
        deepest_read.repeat(2),
        deepest_read.repeat(20).replace('}', ""),
        deepest_read,
        // A lone key of several lines: what is blanked opens a string that hides the brackets.
        format!("\"\"\"x\ny\"\"\"\nz = \"\"\"\n{}\"\"\"\n", nested(79)),
    ] {
        survive(&text);
    }
}

#[test]
fn floods() {
    for text in [
        "=\n".repeat(5_000),
        "[device]\n".repeat(5_000),
        "[[device]]\n".repeat(5_000),
        (0..5_000).fold(String::new(), |text, n| text + &format!("k{n} = {n}\n")),
        format!("{} = 1", "k".repeat(1 << 20)),
        format!("name = \"{}\"", "\u{1f980}".repeat(1 << 18)),
        format!("tenants = [{}]", "1,".repeat(5_000)),
    ] {
        survive(&text);
    }
}

#[test]
fn a_large_text_that_is_valid() {
    let device = "[[device]]\nname = 'D'\nprofile = 'pdu-v1'\nmqtt.topic = 'a'\n";
    let devices = (0..10_000).map(|n| device.replace('D', &format!("meter-{n}")));
    let text = GOOD.to_owned() + &devices.collect::<String>();
    assert!(text.len() < MAX_SOURCE_BYTES / 4);
    accept(&text, site);
}

#[test]
fn problems_are_limited() {
    let text = (0..5000).fold(String::new(), |text, n| text + &format!("k{n} = {n}\n"));
    let invalid = read(&Source::new("agent.toml", text), |_| Some(())).unwrap_err();
    assert_eq!(invalid.problems().len(), MAX_PROBLEMS);
    assert_eq!(invalid.left_out(), 5000 - MAX_PROBLEMS);
    let report = invalid.render(false);
    assert!(report.ends_with("5000 problems in agent.toml, the first 1000 are shown"));
}

#[test]
fn too_long() {
    let report = check(&"#".repeat(MAX_SOURCE_BYTES + 1), site);
    assert!(report.starts_with("error: more than 4 MiB"), "{}", &report[..200]);
    assert!(report.len() < 2000);
}

/// Pieces that are likely to matter to a TOML parser.
fn toml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n"),
        Just("\r\n"),
        Just("\r"),
        Just("\t"),
        Just(" "),
        Just("="),
        Just("."),
        Just("["),
        Just("]"),
        Just("[["),
        Just("]]"),
        Just("{"),
        Just("}"),
        Just(","),
        Just("\""),
        Just("'"),
        Just("\"\"\""),
        Just("'''"),
        Just("\\"),
        Just("\\u00"),
        Just("#"),
        Just("1"),
        Just("-"),
        Just("0x"),
        Just("1e9"),
        Just("nan"),
        Just("true"),
        Just("1979-05-27"),
        Just("é"),
        Just("日本"),
        Just("\u{200d}"),
        Just("\u{feff}"),
        Just("\0"),
        Just("\u{1b}[m"),
        Just("name"),
        Just("poll"),
        Just("device"),
        Just("[[device]]\n"),
        Just("mqtt"),
        Just("modbus_tcp"),
        Just("journal"),
        Just("labels"),
        Just("registers"),
        Just("'5s'"),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        survive(&text);
    }

    #[test]
    fn anything_like_toml(text in toml_like()) {
        survive(&text);
    }

    /// A valid text with a few pieces taken out, doubled or put in.
    #[test]
    fn mutated(changes in prop::collection::vec((any::<usize>(), 0..30_usize, toml_like(), any::<bool>()), 1..4)) {
        let mut text = GOOD.to_owned();
        for (at, length, piece, doubled) in changes {
            let start = text.floor_char_boundary(at % (text.len() + 1));
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            let cut = text[start..end].to_owned();
            text.replace_range(start..end, &if doubled { cut.repeat(2) } else { piece });
        }
        survive(&text);
    }

    /// A valid text cut off anywhere.
    #[test]
    fn cut_off(end in 0..GOOD.len()) {
        survive(&GOOD[..end]);
    }
}
