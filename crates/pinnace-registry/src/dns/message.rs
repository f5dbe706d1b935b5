//! Messages on the wire (RFC 1035 section 4, RFC 6891 for the size of datagrams): reading one question, writing its answers.

use std::net::IpAddr;

const HEADER: usize = 12;
/// What a resolver takes that says nothing else, and what fits into a datagram everywhere.
const PLAIN_SIZE: usize = 512;
const LARGEST: usize = 1_232;
const CLASS_IN: u16 = 1;
const TYPE_OPT: u16 = 41;
/// What is asked in the queries of today; anything else is not implemented.
const OPCODE_QUERY: u8 = 0;

/// What a message comes in, and its answer goes in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Carrier {
    Datagram,
    Stream,
}

/// The kind of record that is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
    Any,
    Other,
}

/// How it went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Code {
    Fine = 0,
    Unknown = 3,
    Refused = 5,
}

/// The one question of a message.
#[derive(Clone, Debug)]
pub(super) struct Question {
    id: u16,
    recursion_desired: bool,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The question as it came.
    wire: Vec<u8>,
    /// Whether the resolver speaks of its buffer, and its size.
    buffer: Option<usize>,
    carrier: Carrier,
}

/// What a record holds.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Address(IpAddr),
    Alias(String),
    Srv { weight: u16, port: u16, target: String },
}

/// A message that answers.
#[derive(Debug)]
pub(super) struct Answer {
    question: Question,
    pub(super) code: Code,
    records: Vec<u8>,
    count: u16,
    further: Vec<u8>,
    further_count: u16,
    truncated: bool,
}

impl Carrier {
    /// Instances that are looked at for one answer: more than there is room for.
    pub(super) const fn most_answers(self) -> usize {
        match self {
            Self::Datagram => 64,
            Self::Stream => 4_096,
        }
    }
}

impl Question {
    /// Reads a message. What is no question is not answered; what is one, but not understood, is refused.
    pub(super) fn parse(datagram: &[u8], carrier: Carrier) -> Result<Self, Option<Vec<u8>>> {
        let header = datagram.get(..HEADER).ok_or(None)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (id, is_answer, opcode) = (word(0), header[2] & 0x80 != 0, header[2] >> 3 & 0x0f);
        if is_answer {
            return Err(None);
        }
        let refusal = |code: u8| Some([&id.to_be_bytes()[..], &[0x80 | opcode << 3, code], &[0; 8]].concat());
        if opcode != OPCODE_QUERY {
            return Err(refusal(4));
        }
        if word(4) != 1 {
            return Err(refusal(1));
        }
        let (name, end) = name(datagram).ok_or_else(|| refusal(1))?;
        let wire = datagram.get(HEADER..end + 4).ok_or_else(|| refusal(1))?;
        let number = |at: usize| u16::from_be_bytes([datagram[at], datagram[at + 1]]);
        if number(end + 2) != CLASS_IN {
            return Err(refusal(5));
        }
        let kind = match number(end) {
            1 => Kind::A,
            28 => Kind::Aaaa,
            33 => Kind::Srv,
            255 => Kind::Any,
            _ => Kind::Other,
        };
        // The one further record that matters comes first, under the root's name.
        let further = datagram.get(end + 4..end + 9).filter(|further| word(10) > 0 && further[0] == 0);
        let is_opt = |further: &&[u8]| u16::from_be_bytes([further[1], further[2]]) == TYPE_OPT;
        let buffer = further.filter(is_opt).map(|further| u16::from_be_bytes([further[3], further[4]]).into());
        Ok(Self { id, recursion_desired: header[2] & 1 != 0, name, kind, wire: wire.to_vec(), buffer, carrier })
    }

    fn room(&self) -> usize {
        match self.carrier {
            Carrier::Datagram => self.buffer.map_or(PLAIN_SIZE, |size| size.clamp(PLAIN_SIZE, LARGEST)),
            Carrier::Stream => usize::from(u16::MAX),
        }
    }
}

impl Answer {
    pub(super) fn new(question: &Question) -> Self {
        Self {
            question: question.clone(),
            code: Code::Fine,
            records: Vec::new(),
            count: 0,
            further: Vec::new(),
            further_count: 0,
            truncated: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.question.name
    }

    pub(super) const fn kind(&self) -> Kind {
        self.question.kind
    }

    /// Adds a record, if there is room for it.
    pub(super) fn add(&mut self, name: &str, data: Data) {
        match self.fitting(name, data) {
            Some(record) => {
                self.records.extend(record);
                self.count += 1;
            }
            None => self.truncated = true,
        }
    }

    /// Adds a record that spares a second question, if there is room for it.
    pub(super) fn add_further(&mut self, name: &str, data: Data) {
        if let Some(record) = self.fitting(name, data) {
            self.further.extend(record);
            self.further_count += 1;
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        let opt = self.question.buffer.is_some();
        let mut bytes = Vec::with_capacity(PLAIN_SIZE);
        bytes.extend(self.question.id.to_be_bytes());
        let truncated = u8::from(self.truncated) << 1;
        // An answer, with authority, to a query.
        bytes.push(0x84 | truncated | u8::from(self.question.recursion_desired));
        bytes.push(self.code as u8);
        for count in [1, self.count, 0, self.further_count + u16::from(opt)] {
            bytes.extend(count.to_be_bytes());
        }
        bytes.extend(&self.question.wire);
        bytes.extend(&self.records);
        bytes.extend(&self.further);
        if opt {
            bytes.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
        }
        bytes
    }

    /// A record as it stands on the wire; nothing where it does not fit.
    fn fitting(&self, name: &str, data: Data) -> Option<Vec<u8>> {
        let mut record = if name == self.question.name { vec![0xc0, 0x0c] } else { encoded(name)? };
        let (kind, data) = match data {
            Data::Address(IpAddr::V4(address)) => (1_u16, address.octets().to_vec()),
            Data::Address(IpAddr::V6(address)) => (28, address.octets().to_vec()),
            Data::Alias(target) => (5, encoded(&target)?),
            Data::Srv { weight, port, target } => {
                let mut data = vec![0, 1];
                data.extend(weight.to_be_bytes());
                data.extend(port.to_be_bytes());
                data.extend(encoded(&target)?);
                (33, data)
            }
        };
        record.extend(kind.to_be_bytes());
        record.extend(CLASS_IN.to_be_bytes());
        record.extend([0; 4]);
        record.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        record.extend(data);
        let used = HEADER + self.question.wire.len() + self.records.len() + self.further.len() + 11;
        (used + record.len() <= self.question.room()).then_some(record)
    }
}

/// The name of the question, and where it ends. A question has nothing before it that it could point to.
fn name(datagram: &[u8]) -> Option<(String, usize)> {
    let mut at = HEADER;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*datagram.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        if length > 63 || at - HEADER > 255 {
            return None;
        }
        let label = datagram.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        at += length;
    }
}

/// A name as labels with their lengths; nothing where it is none.
fn encoded(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.trim_end_matches('.').split('.') {
        bytes.push(u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}
