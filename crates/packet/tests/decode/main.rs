//! Tests of the decoder from outside: whole frames in, PDUs out.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod fragments;
#[cfg(test)]
mod links;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tunnels;
