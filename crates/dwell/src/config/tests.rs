use super::*;

fn parse(text: &str) -> anyhow::Result<Config> {
    let config: Config = toml::from_str(text)?;
    config.check()?;
    Ok(config)
}

fn refusal(text: &str) -> String {
    format!("{:#}", parse(text).unwrap_err())
}

#[test]
fn an_empty_file_is_the_defaults_and_what_is_dumped_is_read_again() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    let mut full = config;
    full.capture.push(CaptureConfig::of("eth1"));
    full.output.push(OutputConfig::file("/var/log/dwell/eve.json".into()));
    let text = toml::to_string(&full).unwrap();
    assert_eq!(parse(&text).unwrap(), full, "{text}");
}

#[test]
fn unknown_keys_bare_numbers_and_nonsense_are_refused_with_their_place() {
    for (text, expected) in [
        ("[sensor]\nnmae = 'a'", "unknown field `nmae`"),
        ("[[capture]]\ninterface = 'a'\nbuffer = 64", "invalid type: integer"),
        ("[[capture]]\ninterface = 'a'\nbuffer = '64MB'", "unknown unit"),
        ("[flow]\ntcp_idle = '24'", "has no unit"),
        ("[[capture]]\ninterface = 'a'\nrings = 0", "1 to 64 rings"),
        ("[[capture]]\ninterface = 'a'\nfilter = 'prot tcp'", "prot tcp"),
        ("[[capture]]\ninterface = 'a'\n[[capture]]\ninterface = 'a'", "twice"),
        ("[[output]]\nname = 'x'\ntype = 'file'", "needs a path"),
        ("[[output]]\nname = 'x'\ntype = 'syslog'\naddress = 'a'", "no host:port"),
        (
            "[[output]]\nname = 'x'\ntype = 'syslog'\naddress = 'a:1'\ntransport = 'tls'",
            "authorities",
        ),
        ("[[output]]\nname = 'x'\ntype = 'webhook'", "needs a url"),
        ("[[output]]\nname = 'x'\ntype = 'file'\npath = 'p'\nurl = 'u'", "url is of no use"),
        ("[[output]]\nname = 'x'\ntype = 'file'\npath = 'p'\nrecords = ['flows']", "none of"),
    ] {
        let found = refusal(text);
        assert!(found.contains(expected), "{text}: {found}");
    }
    assert!(refusal("[sensor]\nnmae = 'a'").contains("line 2"), "says the line");
}

#[test]
fn listening_to_others_needs_a_token_or_tls() {
    assert!(refusal("[http]\nlisten = '0.0.0.0:10146'").contains("token_file"));
    assert!(parse("[http]\nlisten = '0.0.0.0:10146'\ntoken_file = '/t'").is_ok());
    assert!(parse("[http]\nlisten = '[::1]:10146'").is_ok());
    assert!(parse("[http]\nlisten = 'off'").is_ok());
    assert!(refusal("[http]\ntls_key = '/k'").contains("go together"));
}

#[test]
fn what_cannot_change_while_running_is_named() {
    let before = parse("").unwrap();
    let after = parse("[detect]\nsession_duration = '1h'").unwrap();
    assert!(before.fixed_differences(&after).is_empty());
    let after = parse("[flow]\nmax_flows = 4096\n[http]\nlisten = 'off'").unwrap();
    assert_eq!(before.fixed_differences(&after), ["[flow]", "[http]"]);
}
