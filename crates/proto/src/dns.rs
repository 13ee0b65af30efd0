//! DNS messages: who was asked for, and which addresses were answered.
//!
//! Knows one message as UDP, mDNS and the TCP framing carry it (RFC 1035, section 4; RFC 6762; RFC
//! 9460). It keeps no cache and believes nobody: whether an answer belongs to a question asked is
//! for the caller to judge.

use std::net::IpAddr;

use crate::bytes::Reader;

/// A DNS message as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Transaction number; 0 in mDNS.
    pub id: u16,
    /// Whether it is an answer.
    pub response: bool,
    /// Response code (RFC 6895, section 2.3): 0 no error, 3 no such name.
    pub response_code: u8,
    /// Whether the sender says that it is cut (the same is then asked over TCP).
    pub truncated: bool,
    /// The questions, at most [`MAX_QUESTIONS`].
    pub questions: Vec<Question>,
    /// The records of answer and additional sections that matter here, at most [`MAX_RECORDS`].
    pub records: Vec<Record>,
    /// Whether all that the header announces could be read.
    pub whole: bool,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Name in lower case, without the last dot; bytes that are not plain as `\DDD`.
    pub name: String,
    /// Record type asked for (IANA "Resource Record (RR) TYPEs").
    pub kind: u16,
}

/// One record: what a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's own name, written like [`Question::name`].
    pub name: String,
    /// How long it may be kept, in seconds.
    pub ttl_s: u32,
    /// What it says.
    pub value: Value,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A and AAAA, and the address hints of SVCB and HTTPS (RFC 9460, section 7.3).
    Address(IpAddr),
    /// CNAME, and the target of SVCB and HTTPS in alias form: another name for the same.
    Alias(String),
    /// PTR: a name for an address in reverse zones, an instance of a service in mDNS.
    Pointer(String),
    /// SVCB or HTTPS with a key for Encrypted ClientHello.
    EncryptedHello,
}

impl Message {
    /// Each address answered, under the name that was asked for if aliases lead to it, and the
    /// shortest time in seconds that a record on the way may be kept.
    ///
    /// Where the address's own name was asked for, or nothing was (mDNS), it is its own name.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, IpAddr, u32)> {
        self.records.iter().filter_map(|record| match &record.value {
            Value::Address(address) => {
                let (name, ttl_s) = self.asked_name(record);
                Some((name, *address, ttl_s))
            }
            Value::Alias(_) | Value::Pointer(_) | Value::EncryptedHello => None,
        })
    }

    /// Walks the aliases back from `record`'s name to the one that was asked for.
    fn asked_name<'m>(&'m self, record: &'m Record) -> (&'m str, u32) {
        let (mut name, mut ttl_s) = (record.name.as_str(), record.ttl_s);
        for _ in 0..MAX_ALIASES {
            if self.questions.iter().any(|question| question.name == name) {
                break;
            }
            let leads_here = |alias: &&Record| matches!(&alias.value, Value::Alias(target) if target == name && alias.name != name);
            let Some(alias) = self.records.iter().find(leads_here) else { break };
            name = alias.name.as_str();
            ttl_s = ttl_s.min(alias.ttl_s);
        }
        (name, ttl_s)
    }
}

/// The message in `bytes`: a UDP payload, or what follows the two length bytes over TCP.
///
/// A message that breaks after its header still yields what came before, with [`Message::whole`]
/// unset.
///
/// # Errors
/// When the header is not one of a DNS query or response.
pub fn parse(bytes: &[u8]) -> Result<Message, DnsError> {
    let mut reader = Reader::new(bytes);
    let fields = (reader.u16(), reader.array::<2>(), reader.array::<8>());
    let (Some(id), Some([flags, codes]), Some(counts)) = fields else {
        return Err(DnsError::TooShort { captured: bytes.len() });
    };
    let opcode = flags >> 3 & 0x0f;
    if opcode != QUERY {
        return Err(DnsError::OtherOperation { opcode });
    }
    let [questions, answers, authorities, additionals] =
        [[0, 1], [2, 3], [4, 5], [6, 7]].map(|at| {
            u16::from_be_bytes(at.map(|place: usize| counts.get(place).copied().unwrap_or(0)))
        });
    let mut message = Message {
        id,
        response: flags & 0x80 != 0,
        response_code: codes & 0x0f,
        truncated: flags & 0x02 != 0,
        questions: Vec::new(),
        records: Vec::new(),
        whole: false,
    };
    let sections =
        Sections { message: bytes, questions, records: [answers, authorities, additionals] };
    message.whole = sections.read(&mut reader, &mut message).is_some();
    Ok(message)
}

/// Bytes that are no DNS query or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// Too few bytes for the header.
    #[error("dns message of {captured} bytes: the header needs 12")]
    TooShort {
        /// Bytes that are there.
        captured: usize,
    },
    /// A status, notify or update message.
    #[error("dns operation {opcode}: only queries are read")]
    OtherOperation {
        /// Operation code (RFC 6895, section 2.2).
        opcode: u8,
    },
}

struct Sections<'a> {
    message: &'a [u8],
    questions: u16,
    records: [u16; 3],
}

impl<'a> Sections<'a> {
    /// `None` as soon as something announced is not there.
    fn read(&self, reader: &mut Reader<'a>, out: &mut Message) -> Option<()> {
        for _ in 0..self.questions {
            let name = self.name(reader)?;
            let kind = reader.u16()?;
            reader.u16()?;
            if out.questions.len() < MAX_QUESTIONS {
                out.questions.push(Question { name, kind });
            }
        }
        let [answers, authorities, additionals] = self.records;
        for (count, kept) in [(answers, true), (authorities, false), (additionals, true)] {
            for _ in 0..count {
                self.record(reader, kept, out)?;
            }
        }
        Some(())
    }

    fn record(&self, reader: &mut Reader<'a>, kept: bool, out: &mut Message) -> Option<()> {
        let name = self.name(reader)?;
        let kind = reader.u16()?;
        reader.u16()?;
        let ttl_s = reader.u32()?;
        let length = usize::from(reader.u16()?);
        let start = self.message.len() - reader.rest().len();
        let body = reader.take(length)?;
        if !kept || out.records.len() >= MAX_RECORDS {
            return Some(());
        }
        let mut push = |value| {
            if out.records.len() < MAX_RECORDS {
                out.records.push(Record { name: name.clone(), ttl_s, value });
            }
        };
        let target = || self.name(&mut Reader::new(self.message.get(start..)?));
        match kind {
            A => push(Value::Address(v4(body)?)),
            AAAA => push(Value::Address(v6(body)?)),
            CNAME => push(Value::Alias(target()?)),
            PTR => push(Value::Pointer(target()?)),
            SVCB | HTTPS => self.binding(&name, start, body, &mut push)?,
            _ => {}
        }
        Some(())
    }

    /// RFC 9460, section 2.2: priority, target, and parameters of which the hints matter here.
    fn binding(
        &self,
        name: &str,
        start: usize,
        body: &'a [u8],
        push: &mut impl FnMut(Value),
    ) -> Option<()> {
        let mut whole = Reader::new(self.message.get(start..)?);
        let priority = whole.u16()?;
        let target = self.name(&mut whole)?;
        if priority == 0 && !target.is_empty() && target != name {
            push(Value::Alias(target));
        }
        let used = self.message.len() - whole.rest().len() - start;
        let mut parameters = Reader::new(body.get(used..)?);
        while let (Some(key), Some(value)) = (parameters.u16(), parameters.vector16()) {
            let mut hints = Reader::new(value.bytes);
            match key {
                IPV4_HINT => {
                    while let Some(octets) = hints.array::<4>() {
                        push(Value::Address(IpAddr::from(octets)));
                    }
                }
                IPV6_HINT => {
                    while let Some(octets) = hints.array::<16>() {
                        push(Value::Address(IpAddr::from(octets)));
                    }
                }
                ENCRYPTED_HELLO => push(Value::EncryptedHello),
                _ => {}
            }
        }
        Some(())
    }

    /// A name at the reader's place, pointers followed (RFC 1035, section 4.1.4). Pointers may only
    /// lead backwards and the name is at most 255 bytes long, so this ends.
    fn name(&self, reader: &mut Reader<'a>) -> Option<String> {
        let mut name = String::new();
        let mut labels = *reader;
        let mut wire_length = 0_usize;
        let mut jumped = false;
        loop {
            let at = self.message.len() - labels.rest().len();
            let length = labels.u8()?;
            match length >> 6 {
                0 => {
                    let label = labels.take(usize::from(length))?;
                    if !jumped {
                        *reader = labels;
                    }
                    if length == 0 {
                        return Some(name);
                    }
                    wire_length += 1 + label.len();
                    if wire_length > MAX_NAME {
                        return None;
                    }
                    push_label(&mut name, label);
                }
                3 => {
                    let target = usize::from(length & 0x3f) << 8 | usize::from(labels.u8()?);
                    if !jumped {
                        *reader = labels;
                    }
                    jumped = true;
                    if target >= at {
                        return None;
                    }
                    labels = Reader::new(self.message.get(target..)?);
                }
                _ => return None,
            }
        }
    }
}

/// Appends a label in lower case, escaped as RFC 1035, section 5.1, has it.
fn push_label(name: &mut String, label: &[u8]) {
    if !name.is_empty() {
        name.push('.');
    }
    for byte in label {
        match byte {
            b'!'..=b'-' | b'/'..=b'[' | b']'..=b'~' => {
                name.push(char::from(byte.to_ascii_lowercase()));
            }
            b'.' | b'\\' => {
                name.push('\\');
                name.push(char::from(*byte));
            }
            _ => {
                name.push('\\');
                let digits = [byte / 100, byte / 10 % 10, byte % 10];
                name.extend(digits.map(|digit| char::from(b'0' + digit)));
            }
        }
    }
}

fn v4(body: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(body).ok().map(IpAddr::from)
}

fn v6(body: &[u8]) -> Option<IpAddr> {
    <[u8; 16]>::try_from(body).ok().map(IpAddr::from)
}

/// Kept questions of a message: resolvers ask one, mDNS asks for a host's services in one go.
pub const MAX_QUESTIONS: usize = 32;
/// Kept records of a message: the largest answers of real resolvers hold a few dozen.
pub const MAX_RECORDS: usize = 128;
/// Aliases followed; resolvers give up at 8 to 16.
const MAX_ALIASES: usize = 16;
/// Longest name on the wire (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;

/// Operation code of a query and its answer.
const QUERY: u8 = 0;
const A: u16 = 1;
const CNAME: u16 = 5;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const SVCB: u16 = 64;
const HTTPS: u16 = 65;
/// Parameters of a service binding (RFC 9460, section 14.3.2; ECH: RFC 9848).
const IPV4_HINT: u16 = 4;
const ENCRYPTED_HELLO: u16 = 5;
const IPV6_HINT: u16 = 6;

#[cfg(test)]
mod tests;
