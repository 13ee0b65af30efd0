//! Tests of the file reader from outside: bytes of a file in, frames out.

#[cfg(test)]
mod compressed;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod libpcap;
mod mapped;
#[cfg(test)]
mod pcap;
#[cfg(test)]
mod pcapng;
#[cfg(test)]
mod support;
