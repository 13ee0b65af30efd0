//! Filters as the kernel takes them: classic BPF programs. Compiles with libpcap, runs nothing.

use dwell_packet::LinkType;

use super::LiveConfig;
use crate::FilterError;
use crate::filter::compile;

/// One instruction, in the layout of Linux's `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jump_true: u8,
    pub(super) jump_false: u8,
    pub(super) constant: u32,
}

/// `BPF_RET | BPF_K`: ends the program with a constant number of bytes to keep.
const RETURN_CONSTANT: u16 = 0x06;

/// The longest frame the kernel may be asked to keep, in bytes: as libpcap does.
pub(super) const MAX_SNAPLEN: u32 = 262_144;

/// The program of a configuration, or none where every frame is kept whole.
///
/// The kernel has taken the outermost VLAN tag off when it runs the program, so that an expression
/// about VLANs is left to the caller (`None`, with `true`).
pub(super) fn of(
    config: &LiveConfig,
    link_type: LinkType,
) -> Result<(Option<Vec<Instruction>>, bool), FilterError> {
    let snaplen = if config.snaplen == 0 { MAX_SNAPLEN } else { config.snaplen.min(MAX_SNAPLEN) };
    let cut = Instruction { code: RETURN_CONSTANT, jump_true: 0, jump_false: 0, constant: snaplen };
    let Some(expression) = &config.filter else {
        return Ok(((config.snaplen != 0).then(|| vec![cut]), false));
    };
    if expression.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "vlan") {
        compile(expression, link_type)?;
        return Ok(((config.snaplen != 0).then(|| vec![cut]), true));
    }
    let program = compile(expression, link_type)?;
    let mut instructions: Vec<Instruction> =
        program.get_instructions().iter().filter_map(|one| parse(&one.to_string())).collect();
    for instruction in &mut instructions {
        if instruction.code == RETURN_CONSTANT && instruction.constant != 0 {
            instruction.constant = snaplen;
        }
    }
    Ok((Some(instructions), false))
}

/// An instruction from the four numbers that libpcap's binding prints of it.
fn parse(text: &str) -> Option<Instruction> {
    let mut numbers = text.split(' ');
    Some(Instruction {
        code: numbers.next()?.parse().ok()?,
        jump_true: numbers.next()?.parse().ok()?,
        jump_false: numbers.next()?.parse().ok()?,
        constant: numbers.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(filter: Option<&str>, snaplen: u32) -> (Option<Vec<Instruction>>, bool) {
        let config =
            LiveConfig { snaplen, filter: filter.map(str::to_owned), ..LiveConfig::new("eth0") };
        of(&config, LinkType::ETHERNET).unwrap()
    }

    /// Numbers as `tcpdump -ddd -s 128 -y EN10MB ip` (libpcap 1.10.3) prints them.
    #[test]
    fn a_filter_is_libpcaps_program_with_our_snap_length() {
        let (found, left) = program(Some("ip"), 128);
        let found: Vec<_> = found
            .unwrap()
            .iter()
            .map(|one| (one.code, one.jump_true, one.jump_false, one.constant))
            .collect();
        assert_eq!(found, [(40, 0, 0, 12), (21, 0, 1, 2048), (6, 0, 0, 128), (6, 0, 0, 0)]);
        assert!(!left);
    }

    #[test]
    fn a_snap_length_alone_is_one_instruction_and_nothing_needs_none() {
        assert_eq!(program(None, 96).0.unwrap().len(), 1);
        assert_eq!(program(None, 0), (None, false));
    }

    #[test]
    fn a_vlan_expression_is_not_left_to_the_kernel_that_took_the_tag_off() {
        assert_eq!(program(Some("vlan 5 and tcp"), 0), (None, true));
        assert!(!program(Some("tcp port 443"), 0).1);
    }
}
