//! Each kind of value and section: the problems it can have, and what is read when it has none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use insta::assert_snapshot;

use super::{accept, check};
use crate::{
    Bytes, BytesError, DurationError, FromValue, Spanned, Url, UrlError, format_duration,
    parse_duration,
};

/// What is said about `x = {value}` read as a `T`: messages only, one in each line.
fn said<T: FromValue>(value: &str) -> String {
    let report = check(&format!("x = {value}"), |root| root.required::<T>("x"));
    let lines = report.lines().filter(|line| line.starts_with("error") || line.contains("= help"));
    let lines: Vec<&str> = lines.map(|line| line.trim_start().trim_start_matches("= ")).collect();
    lines.join("\n")
}

fn is<T: FromValue>(value: &str) -> T {
    accept(&format!("x = {value}"), |root| root.required::<T>("x"))
}

#[test]
fn wrong_types() {
    let all = [
        said::<String>("1"),
        said::<bool>("'yes'"),
        said::<u8>("1.5"),
        said::<i64>("'1'"),
        said::<f64>("[1]"),
        said::<Duration>("10"),
        said::<Bytes>("1024"),
        said::<SocketAddr>("502"),
        said::<PathBuf>("true"),
        said::<Url>("1979-05-27"),
        said::<Vec<u8>>("1"),
        said::<Vec<u8>>("[1, 'a', 2, 'b']"),
        said::<Vec<Vec<u8>>>("[[1], [300]]"),
        said::<BTreeMap<String, u8>>("[]"),
        said::<BTreeMap<String, u8>>("{ a = 1, b = 'c' }"),
        said::<Spanned<u8>>("{}"),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    error: `x` must be a string
    help: for example `x = "…"`
    error: `x` must be true or false
    help: for example `x = true`
    error: `x` must be a whole number from 0 to 255
    help: for example `x = 1`
    error: `x` must be a whole number from -9223372036854775808 to 9223372036854775807
    help: for example `x = 1`
    error: `x` must be a number
    help: for example `x = 1.5`
    error: `x` must be a duration, in quotes
    help: for example `x = "10s"`
    error: `x` must be a size, in quotes
    help: for example `x = "64MiB"`
    error: `x` must be an address with a port
    help: for example `x = "127.0.0.1:9464"`
    error: `x` must be a path
    help: for example `x = "/var/lib/hallwatch"`
    error: `x` must be a URL
    help: for example `x = "https://collector.example:8443"`
    error: `x` must be an array
    help: for example `x = […]`
    error: an element of `x` must be a whole number from 0 to 255
    help: for example `1`
    error: an element of `x` must be a whole number from 0 to 255
    help: for example `1`
    error: an element of an element of `x` must be from 0 to 255
    error: `x` must be a table
    help: for example `x = { name = … }`
    error: `b` must be a whole number from 0 to 255
    help: for example `b = 1`
    error: `x` must be a whole number from 0 to 255
    help: for example `x = 1`
    "#);
}

#[test]
fn out_of_range() {
    let all = [
        said::<u8>("256"),
        said::<u16>("-1"),
        said::<u32>("0x1_0000_0000"),
        said::<u64>("18446744073709551616"),
        said::<i64>("999999999999999999999999999999999999999999999999"),
        said::<f64>("nan"),
        said::<f64>("-inf"),
        said::<f64>("1e999"),
        said::<Duration>("'0s'"),
        said::<Duration>("'99999999999999999999s'"),
        said::<Duration>("'36501d'"),
        said::<Bytes>("'99999999TiB'"),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    error: `x` must be from 0 to 255
    error: `x` must be from 0 to 65535
    error: `x` must be from 0 to 4294967295
    error: `x` must be from 0 to 18446744073709551615
    error: `x` must be from -9223372036854775808 to 9223372036854775807
    error: `x` must be a finite number
    error: `x` must be a finite number
    error: `x` must be a finite number
    error: `x` must not be zero
    help: for example `x = "10s"`
    error: `x`: a duration is at most 100 years
    help: for example `x = "10s"`
    error: `x`: a duration is at most 100 years
    help: for example `x = "10s"`
    error: `x`: a size is less than 16 million TiB
    help: for example `x = "64MiB"`
    "#);
}

#[test]
fn malformed_texts() {
    let all = [
        said::<Duration>("'10'"),
        said::<Duration>("'1.5s'"),
        said::<Bytes>("'64 megabytes'"),
        said::<SocketAddr>("'localhost:80'"),
        said::<PathBuf>("''"),
        said::<Url>("'ftp://host'"),
        said::<Url>("'http://user:secret@host'"),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    error: `x`: a duration needs a unit: `ms`, `s`, `m`, `h`, `d` or `w`
    help: for example `x = "10s"`
    error: `x`: a duration is whole numbers with units from `ms`, `s`, `m`, `h`, `d`, `w`
    help: for example `x = "10s"`
    error: `x`: a size is a whole number with a unit: `B`, `KiB`, `MiB`, `GiB` or `TiB`
    help: for example `x = "64MiB"`
    error: `x` is not an address with a port
    help: write an IP address and a port, for example `x = "127.0.0.1:9464"`
    error: `x` is not a path
    help: for example `x = "/var/lib/hallwatch"`
    error: `x`: a URL starts with `http://`, `https://`, `mqtt://` or `mqtts://`
    help: for example `x = "https://collector.example:8443"`
    error: `x`: a URL must not hold a user or password
    help: for example `x = "https://collector.example:8443"`
    "#);
}

#[test]
fn numbers() {
    assert_eq!(is::<u64>("18_446_744_073_709_551_615"), u64::MAX);
    assert_eq!(is::<i64>("-9223372036854775808"), i64::MIN);
    assert_eq!(is::<u8>("+255"), 255);
    assert_eq!(is::<u16>("0xff_ff"), 0xffff);
    assert_eq!(is::<u8>("0b11"), 3);
    assert_eq!(is::<f64>("3"), 3.0);
    assert_eq!(is::<f64>("-1_0.5e1"), -105.0);
}

#[test]
fn durations() {
    for (text, millis) in [
        ("250ms", 250),
        ("10s", 10_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("7d", 604_800_000),
        ("1w", 604_800_000),
        ("1h30m", 5_400_000),
        ("1m1ms", 60_001),
        ("0s", 0),
        ("36500d", 3_153_600_000_000),
    ] {
        let duration = parse_duration(text).unwrap();
        assert_eq!(duration, Duration::from_millis(millis), "{text}");
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{text}");
    }
    for (text, error) in [
        ("", DurationError::Form),
        ("s", DurationError::Form),
        ("-1s", DurationError::Form),
        ("1 s", DurationError::Form),
        ("1", DurationError::Unit),
        ("1h30", DurationError::Unit),
        ("1m1h", DurationError::Form),
        ("1s1s", DurationError::Form),
        ("1.5s", DurationError::Form),
        ("1y", DurationError::Form),
        ("١s", DurationError::Form),
        ("36500d1ms", DurationError::TooLong),
        ("18446744073709551616ms", DurationError::TooLong),
        ("18446744073709551615w", DurationError::TooLong),
    ] {
        assert_eq!(parse_duration(text), Err(error), "{text}");
    }
    assert_eq!(format_duration(Duration::from_millis(5_400_001)), "1h30m1ms");
}

#[test]
fn sizes() {
    for (text, bytes, shown) in [
        ("64MiB", 64 << 20, "64MiB"),
        ("1 GiB", 1 << 30, "1GiB"),
        ("1000kB", 1_000_000, "1000000B"),
        ("1024KiB", 1 << 20, "1MiB"),
        ("0B", 0, "0B"),
        ("18446744073709551615B", u64::MAX, "18446744073709551615B"),
    ] {
        let size: Bytes = text.parse().unwrap();
        assert_eq!(size, Bytes(bytes), "{text}");
        assert_eq!(size.to_string(), shown, "{text}");
    }
    for (text, error) in [
        ("", BytesError::Form),
        ("MiB", BytesError::Form),
        ("64", BytesError::Form),
        ("64  MiB", BytesError::Form),
        ("64mib", BytesError::Form),
        ("-1MiB", BytesError::Form),
        ("18446744073709551616B", BytesError::TooMuch),
        ("18446744073709551615KiB", BytesError::TooMuch),
    ] {
        assert_eq!(text.parse::<Bytes>(), Err(error), "{text}");
    }
}

#[test]
fn urls() {
    for (text, scheme, host, port) in [
        ("http://a", "http", "a", 80),
        ("https://a.example:8443/x?y#z", "https", "a.example", 8443),
        ("mqtt://10.0.0.1", "mqtt", "10.0.0.1", 1883),
        ("mqtts://[::1]", "mqtts", "::1", 8883),
        ("mqtts://[fe80::1]:65535/", "mqtts", "fe80::1", 65535),
        ("http://a?b@c", "http", "a", 80),
    ] {
        let url: Url = text.parse().unwrap();
        assert_eq!((url.scheme(), url.host(), url.port()), (scheme, host, port), "{text}");
        assert_eq!(url.as_str(), text);
        assert_eq!(url.is_tls(), scheme.ends_with('s'));
    }
    for (text, error) in [
        ("", UrlError::Scheme),
        ("a.example:80", UrlError::Scheme),
        ("HTTP://a", UrlError::Scheme),
        ("http://", UrlError::Host),
        ("http://:80", UrlError::Host),
        ("http:///path", UrlError::Host),
        ("http://[::1", UrlError::Host),
        ("http://[zz]", UrlError::Host),
        ("http://u@a", UrlError::User),
        ("http://a:", UrlError::Port),
        ("http://a:0", UrlError::Port),
        ("http://a:+1", UrlError::Port),
        ("http://a:65536", UrlError::Port),
        ("http://::1", UrlError::Host),
        ("http://[::1]80", UrlError::Port),
        ("http://a b", UrlError::Blank),
        ("http://a\n", UrlError::Blank),
    ] {
        assert_eq!(text.parse::<Url>(), Err(error), "{text}");
    }
}

#[test]
fn narrower_ranges() {
    let text = "a = 300\nb = 0.5\nc = '0s'\nd = '2GiB'\n";
    assert_snapshot!(check(text, |root| {
        assert_eq!(root.ranged("a", 1..=247u8, 7), 7);
        root.optional_ranged("b", 1.0..=2.5);
        root.optional_ranged("c", Duration::from_millis(250)..=Duration::from_secs(5400));
        root.optional_ranged("d", Bytes(1 << 20)..=Bytes(1 << 30));
        root.required_ranged("e", 1..=9u16)
    }), @r#"
    error: `e` is missing
     --> agent.toml:1:1
      |
    1 | a = 300
      | ^
      |
      = help: add `e = …`, from 1 to 9

    error: `a` must be from 1 to 247
     --> agent.toml:1:5
      |
    1 | a = 300
      |     ^^^ out of range

    error: `b` must be from 1 to 2.5
     --> agent.toml:2:5
      |
    2 | b = 0.5
      |     ^^^ out of range

    error: `c` must be from 250ms to 1h30m
     --> agent.toml:3:5
      |
    3 | c = '0s'
      |     ^^^^ out of range

    error: `d` must be from 1MiB to 1GiB
     --> agent.toml:4:5
      |
    4 | d = '2GiB'
      |     ^^^^^^ out of range

    5 problems in agent.toml
    "#);
    accept("a = 247\nc = '0s'", |root| {
        assert_eq!(root.ranged("a", 1..=247u8, 7), 247);
        let zero = root.required_ranged("c", Duration::ZERO..=Duration::from_secs(1));
        assert_eq!(zero, Some(Duration::ZERO));
        Some(())
    });
}

#[test]
fn words() {
    let words = [("none", 0), ("even", 1), ("odd", 2)];
    assert_snapshot!(check("a = 'evn'\nb = 1\nc = 'x'", |root| {
        assert_eq!(root.choice("a", &words, 9), 9);
        root.optional_choice("b", &words);
        root.optional_choice("c", &words);
        root.required_choice("d", &words)
    }), @r#"
    error: `d` is missing
     --> agent.toml:1:1
      |
    1 | a = 'evn'
      | ^
      |
      = help: add `d`: one of `none`, `even`, `odd`

    error: `a` cannot be `evn`
     --> agent.toml:1:5
      |
    1 | a = 'evn'
      |     ^^^^^ not known
      |
      = help: did you mean `even`? known words are `none`, `even`, `odd`

    error: `b` must be a word
     --> agent.toml:2:5
      |
    2 | b = 1
      |     ^ a whole number
      |
      = help: for example `b = "none"`

    error: `c` cannot be `x`
     --> agent.toml:3:5
      |
    3 | c = 'x'
      |     ^^^ not known
      |
      = help: known words are `none`, `even`, `odd`

    4 problems in agent.toml
    "#);
    assert_eq!(accept("a = 'odd'", |root| root.required_choice("a", &words)), 2);
}

#[test]
fn checked_by_the_caller() {
    let even = |text: &str| match text.parse::<u8>() {
        Ok(number) if number % 2 == 0 => Ok(number),
        Ok(number) => Err(format!("{number} is odd")),
        Err(error) => Err(error.to_string()),
    };
    assert_snapshot!(check("a = '3'\nb = ['2', 'z', 4]\n", |root| {
        root.checked("a", even);
        assert_eq!(root.checked_list("b", even).len(), 1);
        assert!(root.checked_optional("c", even).is_none());
        root.checked("d", even)
    }), @r#"
    error: `d` is missing
     --> agent.toml:1:1
      |
    1 | a = '3'
      | ^
      |
      = help: add `d = "…"`

    error: `a` is not valid: 3 is odd
     --> agent.toml:1:5
      |
    1 | a = '3'
      |     ^^^ not valid

    error: an element of `b` is not valid: invalid digit found in string
     --> agent.toml:2:11
      |
    2 | b = ['2', 'z', 4]
      |           ^^^ not valid

    error: an element of `b` must be a string
     --> agent.toml:2:16
      |
    2 | b = ['2', 'z', 4]
      |                ^ a whole number
      |
      = help: for example `"…"`

    4 problems in agent.toml
    "#);
    let read = accept("a = '4'", |root| root.checked("a", even));
    assert_eq!((*read, read.span), (4, 4..7));
}

#[test]
fn missing() {
    assert_snapshot!(check("[a]\n[[b]]\n[c.d]\n[e]\nf.g = {}\n", |root| {
        root.required_section("a")?.required::<bool>("x");
        root.sections("b").pop()?.required::<Duration>("x");
        root.section("c")?.section("d")?.required::<Vec<u16>>("x");
        root.required_section("e")?.section("f")?.section("g")?.required::<SocketAddr>("x");
        root.required_section("h");
        root.required_url("i", &["mqtts"])
    }), @r#"
    error: `h` is missing
     --> agent.toml:1:1
      |
    1 | [a]
      | ^
      |
      = help: add a section `[h]`

    error: `i` is missing
     --> agent.toml:1:1
      |
    1 | [a]
      | ^
      |
      = help: add `i = "mqtts://…"`

    error: `x` is missing in `a`
     --> agent.toml:1:1
      |
    1 | [a]
      | ^^^
      |
      = help: add `x = true`

    error: `x` is missing in `b`
     --> agent.toml:2:1
      |
    2 | [[b]]
      | ^^^^^
      |
      = help: add `x = "10s"`

    error: `x` is missing in `c.d`
     --> agent.toml:3:1
      |
    3 | [c.d]
      | ^^^^^
      |
      = help: add `x = [1]`

    error: `x` is missing in `e.f.g`
     --> agent.toml:5:7
      |
    5 | f.g = {}
      |       ^^
      |
      = help: add `x = "127.0.0.1:9464"`

    6 problems in agent.toml
    "#);
}

#[test]
fn sections_of_another_shape() {
    let text = "a = 1\nb = [1, {}]\nc = { d = 2, e = {} }\nf = 3\nh = [1]\n[[g]]\n[[g]]\n";
    assert_snapshot!(check(text, |root| {
        root.section("a");
        assert_eq!(root.sections("b").len(), 1);
        assert_eq!(root.named_sections("c").len(), 1);
        root.named_sections("f");
        root.sections("f");
        root.section("g");
        root.section("h");
        Some(())
    }), @r#"
    error: `a` must be a section
     --> agent.toml:1:5
      |
    1 | a = 1
      |     ^ a whole number
      |
      = help: write `[a]`

    error: an element of `b` must be a table
     --> agent.toml:2:6
      |
    2 | b = [1, {}]
      |      ^ a whole number
      |
      = help: write `[[b]]`, once for each

    error: `d` must be a section
     --> agent.toml:3:11
      |
    3 | c = { d = 2, e = {} }
      |           ^ a whole number
      |
      = help: write `[c.NAME]`, once for each

    error: `f` must be a section of named sections
     --> agent.toml:4:5
      |
    4 | f = 3
      |     ^ a whole number
      |
      = help: write `[f.NAME]`, once for each

    error: `f` must be an array of tables
     --> agent.toml:4:5
      |
    4 | f = 3
      |     ^ a whole number
      |
      = help: write `[[f]]`, once for each

    error: `h` must be a section
     --> agent.toml:5:5
      |
    5 | h = [1]
      |     ^^^ an array
      |
      = help: write `[h]`

    error: there can be only one `g`
     --> agent.toml:6:1
      |
    6 | [[g]]
      | ^^^^^ an array of tables
      |
      = help: write `[g]`, once

    7 problems in agent.toml
    "#);
}

#[test]
fn named_sections_come_in_the_order_of_the_text() {
    let names = accept("[p.b]\n[p.c]\n[p.a]\nx = 1", |root| {
        let mut sections = root.named_sections("p");
        assert_eq!(sections[2].1.required::<u8>("x"), Some(1));
        assert_eq!(sections[2].1.path(), "p.a");
        Some(sections.into_iter().map(|(name, _)| name.value).collect::<Vec<_>>())
    });
    assert_eq!(names, ["b", "c", "a"]);
}

#[test]
fn one_of_several_sections() {
    let keys = ["modbus_tcp", "mqtt", "snmp"];
    assert_snapshot!(check("[a]\n[b.snmp]\n[b.mqtt]\n[c]\nmqtt = 1\n[d]\n[d.mqt]\n", |root| {
        for key in ["a", "b", "c", "d"] {
            root.section(key)?.one_of_sections(&keys);
        }
        assert!(root.maybe_one_of_sections(&["x", "y"]).is_none());
        Some(())
    }), @r#"
    error: one of `modbus_tcp`, `mqtt`, `snmp` is missing in `a`
     --> agent.toml:1:1
      |
    1 | [a]
      | ^^^
      |
      = help: add one of `[a.modbus_tcp]`, `[a.mqtt]`, `[a.snmp]`

    error: `snmp` and `mqtt` exclude each other in `b`
     --> agent.toml:3:4
      |
    3 | [b.mqtt]
      |    ^^^^ one too many
      |
      = help: keep one of `modbus_tcp`, `mqtt`, `snmp`

    error: `mqtt` must be a section
     --> agent.toml:5:8
      |
    5 | mqtt = 1
      |        ^ a whole number
      |
      = help: write `[c.mqtt]`

    error: one of `modbus_tcp`, `mqtt`, `snmp` is missing in `d`
     --> agent.toml:6:1
      |
    6 | [d]
      | ^^^
      |
      = help: add one of `[d.modbus_tcp]`, `[d.mqtt]`, `[d.snmp]`

    error: unknown section `mqt` in `d`
     --> agent.toml:7:4
      |
    7 | [d.mqt]
      |    ^^^ not known
      |
      = help: did you mean `mqtt`? known keys are `modbus_tcp`, `mqtt`, `snmp`

    5 problems in agent.toml
    "#);
    let picked = accept("[mqtt]", |root| Some(root.one_of_sections(&keys)?.0));
    assert_eq!(picked, "mqtt");
}

#[test]
fn unknown_keys() {
    let text = "pol = 1\nzzz = 2\n[device]\n[journal]\nsiez = 3\n[[x]]\n[extra]\nany = 1\n";
    assert_snapshot!(check(text, |root| {
        root.optional::<u8>("poll");
        root.known(&["profile"]);
        root.required_section("journal")?.optional::<u8>("size");
        root.section("extra")?.ignore_rest();
        assert!(root.has("pol"));
        Some(())
    }), @r#"
    error: unknown key `pol`
     --> agent.toml:1:1
      |
    1 | pol = 1
      | ^^^ not known
      |
      = help: did you mean `poll`? known keys are `extra`, `journal`, `poll`, `profile`

    error: unknown key `zzz`
     --> agent.toml:2:1
      |
    2 | zzz = 2
      | ^^^ not known
      |
      = help: known keys are `extra`, `journal`, `poll`, `profile`

    error: unknown section `device`
     --> agent.toml:3:2
      |
    3 | [device]
      |  ^^^^^^ not known
      |
      = help: known keys are `extra`, `journal`, `poll`, `profile`

    error: unknown key `siez` in `journal`
     --> agent.toml:5:1
      |
    5 | siez = 3
      | ^^^^ not known
      |
      = help: did you mean `size`? known keys are `size`

    error: unknown section `x`
     --> agent.toml:6:3
      |
    6 | [[x]]
      |   ^ not known
      |
      = help: known keys are `extra`, `journal`, `poll`, `profile`

    5 problems in agent.toml
    "#);
}

#[test]
fn a_mistyped_key_is_not_missing_as_well() {
    assert_snapshot!(check("adress = '[::1]:502'\n[colector]\n", |root| {
        root.required_section("collector");
        root.required::<SocketAddr>("address")
    }), @r#"
    error: unknown key `adress`
     --> agent.toml:1:1
      |
    1 | adress = '[::1]:502'
      | ^^^^^^ not known
      |
      = help: did you mean `address`? known keys are `address`, `collector`

    error: unknown section `colector`
     --> agent.toml:2:2
      |
    2 | [colector]
      |  ^^^^^^^^ not known
      |
      = help: did you mean `collector`? known keys are `address`, `collector`

    2 problems in agent.toml
    "#);
}

#[test]
fn unknown_and_double_names() {
    let text = "a = 'pdu-v9'\nnames = ['x', 'y', 'x', 'x']\n";
    assert_snapshot!(check(text, |root| {
        let a: Spanned<String> = root.required("a")?;
        root.no_such("profile", &a, ["crac-x", "pdu-v1"]);
        root.no_such("rule", &a, []);
        let many: Vec<String> = (0..50).map(|n| format!("ups-{n}")).collect();
        root.no_such("meter", &a, many.iter().map(String::as_str));
        let names: Vec<Spanned<String>> = root.required("names")?;
        root.unique("device", &names);
        let root_span = root.span();
        root.problem(root_span, "the caller's own", "here", Some("think".to_owned()));
        Some(())
    }), @r#"
    error: the caller's own
     --> agent.toml:1:1
      |
    1 | a = 'pdu-v9'
      | ^ here
      |
      = help: think

    error: no profile named `pdu-v9`
     --> agent.toml:1:5
      |
    1 | a = 'pdu-v9'
      |     ^^^^^^^^ not found
      |
      = help: did you mean `pdu-v1`? known profiles are `crac-x`, `pdu-v1`

    error: no rule named `pdu-v9`
     --> agent.toml:1:5
      |
    1 | a = 'pdu-v9'
      |     ^^^^^^^^ not found
      |
      = help: no rules are known here

    error: no meter named `pdu-v9`
     --> agent.toml:1:5
      |
    1 | a = 'pdu-v9'
      |     ^^^^^^^^ not found
      |
      = help: of 50 known meters, the closest are `ups-9`, `ups-19`, `ups-29`, `ups-39`, `ups-49`

    error: two devices are named `x`
     --> agent.toml:2:20
      |
    2 | names = ['x', 'y', 'x', 'x']
      |                    ^^^ used before
      |
      = help: the first is at line 2, column 10

    error: two devices are named `x`
     --> agent.toml:2:25
      |
    2 | names = ['x', 'y', 'x', 'x']
      |                         ^^^ used before
      |
      = help: the first is at line 2, column 10

    6 problems in agent.toml
    "#);
}

#[test]
fn refused_without_a_reason() {
    assert_snapshot!(check("", |_| None::<()>), @r#"
    error: refused without a reason
     --> agent.toml:1:1
      |
    1 |
      | ^

    1 problem in agent.toml
    "#);
}
