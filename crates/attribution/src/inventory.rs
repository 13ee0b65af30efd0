//! Inventory files: what the site says of its hosts. Knows no packets.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use dwell_packet::MacAddress;
use hashbrown::HashMap;
use serde_json::Value;

use crate::config::{LoadError, MappingError, read_file};
use crate::text::printable;

/// What the site says of one host. Texts are printable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryEntry {
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Who uses it.
    pub user: Option<Arc<str>>,
    /// Words for policies.
    pub tags: Arc<[Arc<str>]>,
}

/// Hosts by address and by MAC address, from CSV or JSON.
///
/// CSV has a header line with the columns `address`, `mac`, `name`, `user`, `tags` in any order; tags
/// are separated by spaces or semicolons. JSON is a list of objects with the same keys, `tags` a list.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    by_addr: HashMap<IpAddr, Arc<InventoryEntry>, foldhash::fast::RandomState>,
    by_mac: HashMap<MacAddress, Arc<InventoryEntry>, foldhash::fast::RandomState>,
}

impl Inventory {
    /// The inventory of a file, and an error for each entry that was refused; the rest is kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(path: &Path) -> Result<(Self, Vec<MappingError>), LoadError> {
        let text = read_file(path)?;
        Ok(Self::from_text(&path.display().to_string(), &text))
    }

    /// As [`Inventory::load`], of a text with the name it goes by in errors.
    #[must_use]
    pub fn from_text(file: &str, text: &str) -> (Self, Vec<MappingError>) {
        let mut reading =
            Reading { file, inventory: Self::default(), errors: Vec::new(), entries: 0 };
        if text.trim_start().starts_with(['[', '{']) {
            reading.json(text);
        } else {
            reading.csv(text);
        }
        (reading.inventory, reading.errors)
    }

    /// What the site says of the host at an address, or at a MAC address, which counts first.
    #[must_use]
    pub fn get(&self, addr: IpAddr, mac: Option<MacAddress>) -> Option<&Arc<InventoryEntry>> {
        let by_mac = mac.and_then(|mac| self.by_mac.get(&mac));
        by_mac.or_else(|| self.by_addr.get(&addr.to_canonical()))
    }

    /// How many addresses and MAC addresses are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_addr.len() + self.by_mac.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds another file's hosts, which count first.
    pub fn add(&mut self, other: Self) {
        self.by_addr.extend(other.by_addr);
        self.by_mac.extend(other.by_mac);
    }
}

/// A file while it is read.
struct Reading<'f> {
    file: &'f str,
    inventory: Inventory,
    errors: Vec<MappingError>,
    entries: usize,
}

impl Reading<'_> {
    fn refuse(&mut self, line: usize, key: Option<&str>, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            let key = key.map(str::to_owned);
            let file = self.file.to_owned();
            self.errors.push(MappingError { file, line, key, message: message.into() });
        }
    }

    fn csv(&mut self, text: &str) {
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let Some((line, header)) = lines.next() else { return };
        let columns = cells(header);
        for column in &columns {
            if !KEYS.contains(&column.as_str()) {
                let known = format!("unknown column, expected {}", KEYS.join(", "));
                self.refuse(line, Some(&printable(column.as_bytes(), MAX_TEXT)), known);
                return;
            }
        }
        for (line, row) in lines {
            let cells = cells(row);
            if cells.len() != columns.len() {
                let message = format!("{} cells, the header has {}", cells.len(), columns.len());
                self.refuse(line, None, message);
                continue;
            }
            let pairs = columns.iter().map(String::as_str).zip(cells.iter().map(String::as_str));
            self.entry(line, pairs);
        }
    }

    fn json(&mut self, text: &str) {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => return self.refuse(error.line(), None, format!("no JSON: {error}")),
        };
        let list = match value {
            Value::Array(list) => list,
            other => vec![other],
        };
        for (number, item) in (1..).zip(&list) {
            let Value::Object(object) = item else {
                self.refuse(number, None, format!("entry {number}: an object is needed"));
                continue;
            };
            let mut texts = Vec::new();
            for (key, value) in object {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    Value::Array(tags) if key == "tags" => {
                        tags.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(";")
                    }
                    _ => {
                        self.refuse(number, Some(key), format!("entry {number}: a text is needed"));
                        continue;
                    }
                };
                texts.push((key.as_str(), text));
            }
            self.entry(number, texts.iter().map(|(key, text)| (*key, text.as_str())));
        }
    }

    /// Takes one host in; what is wrong with it is told, and nothing of it kept.
    fn entry<'e>(&mut self, line: usize, pairs: impl Iterator<Item = (&'e str, &'e str)>) {
        let mut entry = InventoryEntry::default();
        let (mut addr, mut mac) = (None, None);
        for (key, value) in pairs {
            let value = value.trim();
            let label =
                || (!value.is_empty()).then(|| printable(value.as_bytes(), MAX_TEXT).into());
            match key {
                "address" if !value.is_empty() => match value.parse::<IpAddr>() {
                    Ok(found) => addr = Some(found.to_canonical()),
                    Err(_) => return self.refuse(line, Some(key), "no IP address"),
                },
                "mac" if !value.is_empty() => match mac_address(value) {
                    Some(found) => mac = Some(found),
                    None => return self.refuse(line, Some(key), "no MAC address"),
                },
                "address" | "mac" => {}
                "name" => entry.name = label(),
                "user" => entry.user = label(),
                "tags" => {
                    let words = value.split([';', ' ']).filter(|word| !word.is_empty());
                    let tag = |word: &str| Arc::from(printable(word.as_bytes(), MAX_TEXT));
                    entry.tags = words.take(MAX_TAGS).map(tag).collect();
                }
                other => {
                    let other = printable(other.as_bytes(), MAX_TEXT);
                    return self.refuse(line, Some(&other), "unknown key");
                }
            }
        }
        if addr.is_none() && mac.is_none() {
            return self.refuse(line, None, "an address or a MAC address is needed");
        }
        if self.entries >= MAX_ENTRIES {
            return self.refuse(line, None, format!("more than {MAX_ENTRIES} entries"));
        }
        self.entries += 1;
        let entry = Arc::new(entry);
        if let Some(addr) = addr {
            self.inventory.by_addr.insert(addr, Arc::clone(&entry));
        }
        if let Some(mac) = mac {
            self.inventory.by_mac.insert(mac, entry);
        }
    }
}

/// The cells of a CSV line (RFC 4180, without line breaks inside of quotes).
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.trim_end_matches('\r').chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(cell) = cells.last_mut() else { break };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// A MAC address with colons, dashes or nothing between its digits.
fn mac_address(text: &str) -> Option<MacAddress> {
    let digits: String = text.chars().filter(|&c| !matches!(c, ':' | '-' | '.')).collect();
    if digits.len() != 12 || !digits.is_ascii() {
        return None;
    }
    let number = u64::from_str_radix(&digits, 16).ok()?;
    let [_, _, mac @ ..] = number.to_be_bytes();
    Some(MacAddress(mac))
}

/// What an entry may say.
const KEYS: [&str; 5] = ["address", "mac", "name", "user", "tags"];

/// Longest text kept, in bytes.
const MAX_TEXT: usize = 255;

const MAX_TAGS: usize = 32;

/// Most hosts of one file: a large site's, some 300 MB at the worst.
const MAX_ENTRIES: usize = 262_144;

/// Errors told of one file.
const MAX_ERRORS: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(errors: &[MappingError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn csv_and_json_say_the_same() {
        let csv = "mac,address,name,user,tags\n3c-22-fb-00-00-01,,\"mac, one\",eva,\"dev build\"\n,10.0.0.7,srv,,\n";
        let json = r#"[{"mac":"3c:22:fb:00:00:01","name":"mac, one","user":"eva","tags":["dev","build"]},
            {"address":"10.0.0.7","name":"srv"}]"#;
        for text in [csv, json] {
            let (inventory, errors) = Inventory::from_text("i", text);
            assert_eq!(told(&errors), [""; 0]);
            let mac = MacAddress([0x3c, 0x22, 0xfb, 0, 0, 1]);
            let entry = inventory.get("10.0.0.9".parse().unwrap(), Some(mac)).unwrap();
            assert_eq!(entry.name.as_deref(), Some("mac, one"));
            assert_eq!(entry.user.as_deref(), Some("eva"));
            assert_eq!(entry.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["dev", "build"]);
            let entry = inventory.get("::ffff:10.0.0.7".parse().unwrap(), None).unwrap();
            assert_eq!(entry.name.as_deref(), Some("srv"));
        }
    }

    #[test]
    fn a_bad_entry_is_named_and_the_rest_is_kept() {
        let text = "address,name\nnowhere,a\n10.0.0.1,b\n10.0.0.2\n,c\n";
        let (inventory, errors) = Inventory::from_text("i.csv", text);
        assert_eq!(inventory.len(), 1);
        assert_eq!(
            told(&errors),
            [
                "i.csv:2: `address`: no IP address",
                "i.csv:4: 1 cells, the header has 2",
                "i.csv:5: an address or a MAC address is needed",
            ]
        );
    }

    #[test]
    fn unknown_columns_and_keys_are_refused() {
        let (_, errors) = Inventory::from_text("i", "address,nmae\n10.0.0.1,b\n");
        assert!(told(&errors)[0].starts_with("i:1: `nmae`: unknown column"));
        let (_, errors) = Inventory::from_text("i", r#"[{"address":"10.0.0.1","x":"y"}]"#);
        assert_eq!(told(&errors), ["i:1: `x`: unknown key"]);
    }

    proptest! {
        #[test]
        fn any_text_is_an_inventory_or_errors(text: String) {
            let _ = Inventory::from_text("i", &text);
        }
    }
}
