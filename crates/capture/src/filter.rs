//! Packet filters in tcpdump's language, compiled by libpcap. Reads no captures: [`FileSource`]
//! does not need this module.
//!
//! [`FileSource`]: crate::FileSource

use std::fmt;

use dwell_packet::{Frame, LinkType};
use pcap::{BpfProgram, Capture, Linktype};
use thiserror::Error;

/// The most link types of one replay for which a filter is compiled.
const MAX_LINK_TYPES: usize = 64;

/// A filter expression (pcap-filter(7)), compiled once for each link type that occurs.
pub struct Filter {
    expression: String,
    programs: Vec<(LinkType, BpfProgram)>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("expression", &self.expression).finish_non_exhaustive()
    }
}

impl Filter {
    /// A filter of `expression`, checked for Ethernet.
    ///
    /// # Errors
    /// When libpcap does not understand the expression.
    pub fn new(expression: &str) -> Result<Self, FilterError> {
        let program = compile(expression, LinkType::ETHERNET)?;
        let programs = vec![(LinkType::ETHERNET, program)];
        Ok(Self { expression: expression.to_owned(), programs })
    }

    /// Whether the expression matches the frame's captured bytes.
    ///
    /// # Errors
    /// When the expression makes no sense for the frame's link type, or libpcap does not know it.
    pub fn matches(&mut self, frame: &Frame<'_>) -> Result<bool, FilterError> {
        let known = self.programs.iter().find(|(link_type, _)| *link_type == frame.link_type);
        if let Some((_, program)) = known {
            return Ok(program.filter(frame.bytes));
        }
        let program = compile(&self.expression, frame.link_type)?;
        let matches = program.filter(frame.bytes);
        if self.programs.len() < MAX_LINK_TYPES {
            self.programs.push((frame.link_type, program));
        }
        Ok(matches)
    }
}

/// Why a filter cannot be used.
#[derive(Debug, Error)]
#[error("filter {expression:?} for link type {link_type}")]
#[non_exhaustive]
pub struct FilterError {
    /// The expression.
    expression: String,
    /// The link type it was compiled for.
    link_type: u32,
    /// What libpcap says.
    source: pcap::Error,
}

pub(crate) fn compile(expression: &str, link_type: LinkType) -> Result<BpfProgram, FilterError> {
    let error =
        |source| FilterError { expression: expression.to_owned(), link_type: link_type.0, source };
    let number = i32::try_from(libpcap_number(link_type).0).unwrap_or(i32::MAX);
    let handle = Capture::dead(Linktype(number)).map_err(error)?;
    handle.compile(expression, true).map_err(error)
}

/// The link type by the number that libpcap's compiler knows it by. Files number raw IP otherwise
/// than the systems that capture it (pcap-linktype(7)); of all that we decode, only that differs.
const fn libpcap_number(link_type: LinkType) -> LinkType {
    match link_type {
        LinkType::RAW | LinkType::RAW_OPENBSD => LinkType::RAW_BSD,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_packet::Timestamp;

    /// An IPv4 header of a TCP segment from 10.0.0.1:4000 to 10.0.0.2:443.
    const RAW_IP: [u8; 40] = [
        0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0x0f, 0xa0, 0x01, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0, // TCP
    ];

    fn frame(link_type: LinkType, bytes: &[u8]) -> Frame<'_> {
        let wire_len = u32::try_from(bytes.len()).unwrap();
        let processes = dwell_packet::Processes::default();
        Frame { ts: Timestamp::ZERO, link_type, bytes, wire_len, number: 1, processes }
    }

    #[test]
    fn one_expression_serves_every_link_type() {
        let mut filter = Filter::new("tcp port 443 and host 10.0.0.2").unwrap();
        let mut ethernet = vec![0; 12];
        ethernet.extend([8, 0]);
        ethernet.extend(RAW_IP);
        assert!(filter.matches(&frame(LinkType::ETHERNET, &ethernet)).unwrap());
        for raw in [LinkType::RAW, LinkType::RAW_BSD, LinkType::RAW_OPENBSD, LinkType::IPV4] {
            assert!(filter.matches(&frame(raw, &RAW_IP)).unwrap(), "{raw}");
        }
        for (link_type, header) in [
            (LinkType::NULL, &[2, 0, 0, 0][..]),
            (LinkType::LOOP, &[0, 0, 0, 2]),
            (LinkType::PPP, &[0xff, 3, 0, 0x21]),
            (LinkType::PPP_HDLC, &[0xff, 3, 0, 0x21]),
            (LinkType::C_HDLC, &[0x0f, 0, 8, 0]),
            (LinkType::LINUX_SLL, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]),
            (LinkType::LINUX_SLL2, &[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let bytes = [header, &RAW_IP].concat();
            assert!(filter.matches(&frame(link_type, &bytes)).unwrap(), "{link_type}");
        }
        ethernet[37] = 80;
        assert!(!filter.matches(&frame(LinkType::ETHERNET, &ethernet)).unwrap());
        assert!(!filter.matches(&frame(LinkType::RAW, &[])).unwrap());
    }

    #[test]
    fn what_libpcap_does_not_understand_is_an_error_that_names_it() {
        let error = Filter::new("port https or or").unwrap_err();
        assert!(error.to_string().contains("port https or or"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}
