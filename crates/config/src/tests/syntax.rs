//! Where a problem is, however the text is laid out, and how that is printed.

use std::time::Duration;

use insta::assert_snapshot;

use super::check;
use super::site::{GOOD, site};
use crate::{Finding, Position, Problem, Problems, Section, Source, read};

fn poll(root: &mut Section<'_>) -> Option<Duration> {
    root.required("poll")
}

#[test]
fn empty_text() {
    assert_snapshot!(check("", poll), @r#"
    error: `poll` is missing
     --> agent.toml:1:1
      |
    1 |
      | ^
      |
      = help: add `poll = "10s"`

    1 problem in agent.toml
    "#);
}

#[test]
fn last_line_without_break() {
    assert_snapshot!(check("# one\npoll = 3", poll), @r#"
    error: `poll` must be a duration, in quotes
     --> agent.toml:2:8
      |
    2 | poll = 3
      |        ^ a whole number
      |
      = help: for example `poll = "10s"`

    1 problem in agent.toml
    "#);
}

#[test]
fn unfinished_last_line() {
    assert_snapshot!(check("poll = ", poll), @r#"
    error: no value after `=`
     --> agent.toml:1:8
      |
    1 | poll = 
      |        ^

    1 problem in agent.toml
    "#);
}

#[test]
fn a_value_that_is_not_there_is_not_judged() {
    assert_snapshot!(check("a = 1\nunit =\nword =\nid = # none\n", |root| {
        root.optional::<u8>("a");
        root.ranged("unit", 1..=247u8, 1);
        root.choice("word", &[("one", 1)], 1);
        root.checked("id", |text| Err::<(), _>(text.len()))
    }), @r#"
    error: no value after `=`
     --> agent.toml:2:7
      |
    2 | unit =
      |       ^

    error: no value after `=`
     --> agent.toml:3:7
      |
    3 | word =
      |       ^

    error: no value after `=`
     --> agent.toml:4:6
      |
    4 | id = # none
      |      ^

    3 problems in agent.toml
    "#);
}

#[test]
fn crlf() {
    let text = "# one\r\npoll = \"5\"\r\nq = 1\r\n";
    assert_snapshot!(check(text, poll), @r#"
    error: `poll`: a duration needs a unit: `ms`, `s`, `m`, `h`, `d` or `w`
     --> agent.toml:2:8
      |
    2 | poll = "5"
      |        ^^^ not a duration
      |
      = help: for example `poll = "10s"`

    error: unknown key `q`
     --> agent.toml:3:1
      |
    3 | q = 1
      | ^ not known
      |
      = help: known keys are `poll`

    2 problems in agent.toml
    "#);
    assert!(!check(text, poll).contains('\r'));
}

#[test]
fn columns_count_characters() {
    assert_snapshot!(check("x = { \"zählt 日本\" = 1, poll = '5x' }", |root| {
        let mut x = root.section("x")?;
        x.known(&["zählt 日本"]);
        poll(&mut x)
    }), @r#"
    error: `poll`: a duration is whole numbers with units from `ms`, `s`, `m`, `h`, `d`, `w`
     --> agent.toml:1:30
      |
    1 | x = { "zählt 日本" = 1, poll = '5x' }
      |                                ^^^^ not a duration
      |
      = help: for example `poll = "10s"`

    1 problem in agent.toml
    "#);
}

#[test]
fn tabs() {
    assert_snapshot!(check("\tpoll\t=\t\"5x\"\t# tab", poll), @r#"
    error: `poll`: a duration is whole numbers with units from `ms`, `s`, `m`, `h`, `d`, `w`
     --> agent.toml:1:9
      |
    1 |     poll    =    "5x"    # tab
      |                  ^^^^ not a duration
      |
      = help: for example `poll = "10s"`

    1 problem in agent.toml
    "#);
}

#[test]
fn byte_order_mark() {
    assert_snapshot!(check("\u{feff}poll = 5", poll), @r#"
    error: `poll` must be a duration, in quotes
     --> agent.toml:1:8
      |
    1 | poll = 5
      |        ^ a whole number
      |
      = help: for example `poll = "10s"`

    1 problem in agent.toml
    "#);
}

#[test]
fn several_syntax_errors_and_their_neighbours() {
    // The broken lines hold `poll` and `[journal]`: neither is reported as missing.
    let text = "poll = 5s\n[journal\nq = \"\\z\"\n[a]\nb = 1\n[a]\n";
    assert_snapshot!(check(text, |root| {
        root.required_section("journal");
        let _: Option<bool> = root.required("x");
        poll(root)
    }), @r#"
    error: `x` is missing
     --> agent.toml:1:1
      |
    1 | poll = 5s
      | ^
      |
      = help: add `x = true`

    error: not a TOML value
     --> agent.toml:1:8
      |
    1 | poll = 5s
      |        ^^
      |
      = help: texts need quotes: `"5s"`

    error: unclosed table, expected `]`
     --> agent.toml:2:9
      |
    2 | [journal
      |         ^

    error: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`
     --> agent.toml:3:7
      |
    3 | q = "\z"
      |       ^

    error: duplicate key
     --> agent.toml:6:2
      |
    6 | [a]
      |  ^

    5 problems in agent.toml
    "#);
}

#[test]
fn a_slip_does_not_hide_what_follows() {
    let text = "lone\n[[device\nname = 1\n[a.b # c\npoll = 1\n[journal\npath = 2\nthe end";
    assert_snapshot!(check(text, |root| {
        for mut device in root.sections("device") {
            device.required::<String>("name");
        }
        poll(&mut root.section("a")?.section("b")?);
        root.required_section("journal")?.required::<String>("path");
        root.required::<u8>("z")
    }), @r#"
    error: `z` is missing
     --> agent.toml:1:1
      |
    1 | lone
      | ^
      |
      = help: add `z = 1`

    error: key with no value, expected `=`
     --> agent.toml:1:5
      |
    1 | lone
      |     ^

    error: unclosed array table, expected `]]`
     --> agent.toml:2:9
      |
    2 | [[device
      |         ^

    error: `name` must be a string
     --> agent.toml:3:8
      |
    3 | name = 1
      |        ^ a whole number
      |
      = help: for example `name = "…"`

    error: unclosed table, expected `]`
     --> agent.toml:4:5
      |
    4 | [a.b # c
      |     ^

    error: `poll` must be a duration, in quotes
     --> agent.toml:5:8
      |
    5 | poll = 1
      |        ^ a whole number
      |
      = help: for example `poll = "10s"`

    error: unclosed table, expected `]`
     --> agent.toml:6:9
      |
    6 | [journal
      |         ^

    error: `path` must be a string
     --> agent.toml:7:8
      |
    7 | path = 2
      |        ^ a whole number
      |
      = help: for example `path = "…"`

    error: key with no value, expected `=`
     --> agent.toml:8:5
      |
    8 | the end
      |     ^

    9 problems in agent.toml
    "#);
}

#[test]
fn what_is_swallowed_is_not_missing() {
    let texts = [
        "a = 'x'\nx = [1, 2\n[journal]\npath = 2\npoll = 3\n",
        "a = 'x'\nx = { y = 1\n[journal]\npath = 2\npoll = 3\n",
        "a = 'x'\nx = \"\"\"\n[journal]\npath = 2\npoll = 3\n",
        "a = 'x'\nx = \"abc\n[journal]\npath = 2\npoll = '3s'\n",
    ];
    let reports = texts.map(|text| {
        check(text, |root| {
            root.ignore_rest();
            root.optional::<u8>("a");
            root.required_section("journal")?.required::<Duration>("poll")
        })
    });
    assert_snapshot!(reports.join("\n\n"), @r#"
    error: `a` must be a whole number from 0 to 255
     --> agent.toml:1:5
      |
    1 | a = 'x'
      |     ^^^ a string
      |
      = help: for example `a = 1`

    error: unclosed array, expected `]`
     --> agent.toml:2:5
      |
    2 | x = [1, 2
      |     ^ begins here

    2 problems in agent.toml

    error: `a` must be a whole number from 0 to 255
     --> agent.toml:1:5
      |
    1 | a = 'x'
      |     ^^^ a string
      |
      = help: for example `a = 1`

    error: unclosed inline table, expected `}`
     --> agent.toml:2:5
      |
    2 | x = { y = 1
      |     ^ begins here

    2 problems in agent.toml

    error: `a` must be a whole number from 0 to 255
     --> agent.toml:1:5
      |
    1 | a = 'x'
      |     ^^^ a string
      |
      = help: for example `a = 1`

    error: invalid multi-line basic string, expected `"`
     --> agent.toml:6:1
      |
    6 |
      | ^

    2 problems in agent.toml

    error: `a` must be a whole number from 0 to 255
     --> agent.toml:1:5
      |
    1 | a = 'x'
      |     ^^^ a string
      |
      = help: for example `a = 1`

    error: invalid basic string, expected `"`
     --> agent.toml:2:9
      |
    2 | x = "abc
      |         ^

    error: unknown key `path` in `journal`
     --> agent.toml:4:1
      |
    4 | path = 2
      | ^^^^ not known
      |
      = help: known keys are `poll`

    3 problems in agent.toml
    "#);
}

#[test]
fn duplicate_key() {
    assert_snapshot!(check("poll = '5s'\npoll = '6s'\n", poll), @r#"
    error: duplicate key
     --> agent.toml:2:1
      |
    2 | poll = '6s'
      | ^^^^

    1 problem in agent.toml
    "#);
}

#[test]
fn span_over_several_lines_marks_the_first() {
    assert_snapshot!(check("poll = [\n  1,\n  2,\n]\n", poll), @r#"
    error: `poll` must be a duration, in quotes
     --> agent.toml:1:8
      |
    1 | poll = [
      |        ^ an array
      |
      = help: for example `poll = "10s"`

    1 problem in agent.toml
    "#);
}

#[test]
fn long_line_is_cut() {
    let text = format!("a = \"{}\"\nx = [{}'5', 0]", "é".repeat(5000), "1, ".repeat(5000));
    let report = check(&text, |root| {
        root.ignore_rest();
        root.optional::<Vec<u8>>("x")
    });
    assert!(report.len() < 2000, "{report}");
    assert!(report.contains("agent.toml:2:15006"), "{report}");
    assert!(report.contains("^^^ a string"), "{report}");
}

#[test]
fn escape_sequences_do_not_reach_the_terminal() {
    let text = "\"\\u001b[31m\" = 1\npoll = \"\\u001b[31m\"\nx = '\u{202e}'\n# \u{1b}[31m";
    let report = check(text, |root| {
        root.checked_optional("x", |text| Err::<(), _>(text.to_owned() + "\u{1b}[2J\nerror: ha"));
        poll(root)
    });
    assert!(!report.contains(['\u{1b}', '\u{202e}']), "{report:?}");
    assert!(!report.contains("\nerror: ha"), "{report:?}");
}

#[test]
fn color_changes_nothing_but_colors() {
    let invalid = read(&Source::new("agent.toml", GOOD.replace("5s", "5")), site).unwrap_err();
    let colored = invalid.render(true);
    assert!(colored.contains("\u{1b}["));
    let mut plain = String::new();
    for (i, part) in colored.split("\u{1b}[").enumerate() {
        plain.push_str(if i == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(plain, invalid.render(false));
    assert_eq!(invalid.render(false), invalid.to_string());
}

#[test]
fn machine_form() {
    let text = "x = 'é'; y = 2\npoll = 0\n";
    let invalid = read(&Source::new("agent.toml", text), poll).unwrap_err();
    let places: Vec<_> = invalid.problems().iter().map(|p| (&*p.file, p.line, p.column)).collect();
    assert_eq!(places, [("agent.toml", 1, 8), ("agent.toml", 2, 8)]);
    let Finding { span, message, label, help, .. } = &invalid.problems()[1];
    assert_eq!(&text[span.clone()], "0");
    assert_eq!(message, "`poll` must be a duration, in quotes");
    assert_eq!(label, "a whole number");
    assert_eq!(help.as_deref(), Some("for example `poll = \"10s\"`"));
}

#[test]
fn several_texts() {
    let one = read(&Source::new("agent.toml", ""), poll).unwrap_err();
    let two = Source::new("pdu.toml", "a\nb\n");
    let mut problems = Problems::new(&two);
    assert!(problems.is_empty());
    assert_eq!(problems.render(false), "");
    for span in [2..3, 0..1, 2..3] {
        let (message, label) = ("bad letter".to_owned(), String::new());
        problems.push(Problem { span, message, label, help: None });
    }
    assert_eq!(problems.len(), 2);
    let both = one.and(problems.into_result(()).unwrap_err());
    assert_snapshot!(both, @r#"
    error: `poll` is missing
     --> agent.toml:1:1
      |
    1 |
      | ^
      |
      = help: add `poll = "10s"`

    error: bad letter
     --> pdu.toml:1:1
      |
    1 | a
      | ^

    error: bad letter
     --> pdu.toml:2:1
      |
    2 | b
      | ^

    3 problems in agent.toml, pdu.toml
    "#);
}

#[test]
fn no_problems_no_error() {
    let source = Source::new("agent.toml", "");
    assert_eq!(Problems::new(&source).into_result(7).unwrap(), 7);
}

#[test]
fn positions() {
    let source = Source::new("x", "aé\r\nb\n");
    for (offset, line, column) in
        [(0, 1, 1), (1, 1, 2), (2, 1, 2), (3, 1, 3), (5, 2, 1), (6, 2, 2), (7, 3, 1), (99, 3, 1)]
    {
        assert_eq!(source.position(offset), Position { line, column }, "{offset}");
    }
}
