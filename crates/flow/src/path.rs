//! How packets of flows came: MAC addresses and wrapping, kept once for all flows that share them.

use std::sync::Arc;

use dwell_packet::{Encapsulation, LinkAddresses, Pdu};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// What a flow's first packet was carried by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path {
    /// MAC addresses, if there were any.
    pub link: Option<LinkAddresses>,
    /// VLANs and tunnels.
    pub encapsulation: Encapsulation,
}

impl Path {
    fn of(pdu: &Pdu<'_>) -> Self {
        Self { link: pdu.link, encapsulation: pdu.encapsulation }
    }

    /// The same way, seen from the other side.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let link = self.link.map(|link| LinkAddresses { src: link.dst, dst: link.src });
        Self { link, encapsulation: self.encapsulation }
    }
}

/// A path's number in its [`Paths`]; zero where there was no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathId(u16);

/// The paths of all open flows, each once.
#[derive(Debug)]
pub(crate) struct Paths {
    numbers: HashMap<Arc<Path>, u16, FixedState>,
    /// By number, with how many flows use each.
    paths: Vec<(Arc<Path>, u32)>,
    free: Vec<u16>,
    /// Flows whose path found no room: their records name no MAC addresses, VLANs or tunnel.
    pub(crate) refused: u64,
}

impl Paths {
    pub(crate) fn new() -> Self {
        let unknown = (Arc::new(Path::default()), 0);
        Self { numbers: HashMap::default(), paths: vec![unknown], free: Vec::new(), refused: 0 }
    }

    /// The number of a packet's path, for one more flow.
    pub(crate) fn take(&mut self, pdu: &Pdu<'_>) -> PathId {
        let path = Path::of(pdu);
        if let Some(&number) = self.numbers.get(&path) {
            self.count(number);
            return PathId(number);
        }
        let path = Arc::new(path);
        let number = match self.free.pop() {
            Some(number) => number,
            None => match u16::try_from(self.paths.len()) {
                Ok(number) => {
                    self.paths.push((Arc::clone(&path), 0));
                    number
                }
                Err(_) => {
                    self.refused += 1;
                    return PathId(0);
                }
            },
        };
        if let Some(entry) = self.paths.get_mut(usize::from(number)) {
            *entry = (Arc::clone(&path), 1);
        }
        self.numbers.insert(path, number);
        PathId(number)
    }

    /// Gives a flow's path back.
    pub(crate) fn release(&mut self, id: PathId) {
        if id.0 == 0 {
            return;
        }
        let Some((path, flows)) = self.paths.get_mut(usize::from(id.0)) else { return };
        *flows = flows.saturating_sub(1);
        if *flows == 0 {
            self.numbers.remove(path);
            self.free.push(id.0);
        }
    }

    /// The path of a number; of one that was given back until its number is taken again.
    pub(crate) fn get(&self, id: PathId) -> Option<&Arc<Path>> {
        self.paths.get(usize::from(id.0)).map(|(path, _)| path)
    }

    fn count(&mut self, number: u16) {
        if let Some((_, flows)) = self.paths.get_mut(usize::from(number)) {
            *flows = flows.saturating_add(1);
        }
    }
}
