//! The protocols that start in the clear and turn to TLS on request.
//!
//! Knows how they introduce themselves and how they ask for TLS, line by line (RFC 3207, RFC 2595,
//! RFC 4217, RFC 4642, RFC 5804, RFC 6120). It knows nothing else of them.

/// A protocol that can turn to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Adb,
    Amqp,
    Ftp,
    Imap,
    Irc,
    Ldap,
    Lmtp,
    MySql,
    Nntp,
    OpenVpn,
    Pop3,
    Postgres,
    Rdp,
    Sieve,
    Smtp,
    Tds,
    Vnc,
    Xmpp,
}

impl Dialect {
    /// The protocol's name as facts carry it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Adb => "adb",
            Self::Amqp => "amqp",
            Self::Ftp => "ftp",
            Self::Imap => "imap",
            Self::Irc => "irc",
            Self::Ldap => "ldap",
            Self::Lmtp => "lmtp",
            Self::MySql => "mysql",
            Self::Nntp => "nntp",
            Self::OpenVpn => "openvpn",
            Self::Pop3 => "pop3",
            Self::Postgres => "postgres",
            Self::Rdp => "rdp",
            Self::Sieve => "sieve",
            Self::Smtp => "smtp",
            Self::Tds => "tds",
            Self::Vnc => "vnc",
            Self::Xmpp => "xmpp",
        }
    }

    /// What a server that greets with `line` speaks.
    pub(crate) fn of_greeting(line: &[u8]) -> Option<Self> {
        let contains = |needle: &[u8]| {
            line.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
        };
        let begins = |prefix: &[u8]| begins_with(line, prefix);
        match () {
            () if begins(b"220") && contains(b"FTP") => Some(Self::Ftp),
            () if begins(b"220 ") || begins(b"220-") => Some(Self::Smtp),
            () if begins(b"200 ") || begins(b"201 ") => Some(Self::Nntp),
            () if begins(b"+OK") => Some(Self::Pop3),
            () if begins(b"* OK") || begins(b"* PREAUTH") || begins(b"* BYE") => Some(Self::Imap),
            () if begins(b"\"IMPLEMENTATION\"") => Some(Self::Sieve),
            () if begins(b"RFB 00") => Some(Self::Vnc),
            () => None,
        }
    }

    /// What a client whose first line is `line` speaks to a server that greeted as `greeting`.
    pub(crate) fn of_client_line(line: &[u8], greeting: Option<Self>) -> Option<Self> {
        let begins = |prefix: &[u8]| begins_with(line, prefix);
        let begins_any = |prefixes: &[&[u8]]| prefixes.iter().any(|prefix| begins(prefix));
        match () {
            () if begins_any(&[b"EHLO ", b"HELO "]) => Some(Self::Smtp),
            () if begins(b"LHLO ") => Some(Self::Lmtp),
            () if begins_any(&[b"<?xml", b"<stream:"]) => Some(Self::Xmpp),
            () if begins_any(&[b"CAPABILITIES", b"MODE READER"]) => Some(Self::Nntp),
            () if begins_any(&[b"CAP LS", b"NICK ", b"PASS "]) && greeting.is_none() => {
                Some(Self::Irc)
            }
            () if greeting == Some(Self::Pop3) => Some(Self::Pop3),
            () if begins_any(&[b"FEAT", b"USER ", b"OPTS ", b"SYST"]) => Some(Self::Ftp),
            () => Self::of_tls_request(line, greeting),
        }
    }

    /// What is spoken if `line` asks for TLS; `known` is what it seemed to be before.
    pub(crate) fn of_tls_request(line: &[u8], known: Option<Self>) -> Option<Self> {
        let begins = |prefix: &[u8]| begins_with(line, prefix);
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let (first, second) = (words.next()?, words.next());
        let tagged = second.is_some_and(|word| word.eq_ignore_ascii_case(b"STARTTLS"));
        match () {
            () if begins(b"STLS") => Some(Self::Pop3),
            () if begins(b"AUTH TLS") || begins(b"AUTH SSL") => Some(Self::Ftp),
            () if begins(b"<starttls") => Some(Self::Xmpp),
            () if first.eq_ignore_ascii_case(b"STARTTLS") => known.or(Some(Self::Smtp)),
            () if tagged && !first.starts_with(b"2") && !first.starts_with(b"*") => {
                Some(Self::Imap)
            }
            () => None,
        }
    }
}

fn begins_with(line: &[u8], prefix: &[u8]) -> bool {
    line.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_for_tls_names_its_protocol() {
        let check = |line: &str, expected| {
            assert_eq!(Dialect::of_tls_request(line.as_bytes(), None), expected, "{line}");
        };
        check("STARTTLS", Some(Dialect::Smtp));
        check("starttls", Some(Dialect::Smtp));
        check("a001 STARTTLS", Some(Dialect::Imap));
        check("STLS", Some(Dialect::Pop3));
        check("AUTH TLS", Some(Dialect::Ftp));
        check("<starttls xmlns='urn:ietf", Some(Dialect::Xmpp));
        check("250 STARTTLS", None);
        check("250-STARTTLS", None);
        check("* CAPABILITY STARTTLS", None);
        check("AUTH LOGIN", None);
        check("", None);
    }

    #[test]
    fn what_was_known_before_decides_a_bare_request() {
        for known in [Dialect::Sieve, Dialect::Nntp, Dialect::Irc, Dialect::Lmtp] {
            assert_eq!(Dialect::of_tls_request(b"STARTTLS", Some(known)), Some(known));
        }
    }

    #[test]
    fn the_client_tells_servers_apart_that_greet_alike() {
        let smtp = Dialect::of_greeting(b"220 mail.example ready");
        assert_eq!(smtp, Some(Dialect::Smtp));
        assert_eq!(Dialect::of_client_line(b"USER anonymous", smtp), Some(Dialect::Ftp));
        let pop3 = Dialect::of_greeting(b"+OK ready");
        assert_eq!(Dialect::of_client_line(b"USER me", pop3), Some(Dialect::Pop3));
        assert_eq!(Dialect::of_greeting(b"220 ProFTPD ready"), Some(Dialect::Ftp));
    }
}
